"""What a run remembers of its clips, so that it goes on with the same."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from pyg_msg3d.datasets.classes import labels_of

_WORDS = {
    'clips': 'clips',
    'names': 'names (a digest)',
    'labels': 'labels (a digest)',
    'order': 'order of clips (a digest)',
    'content': 'coordinates (a digest)',
}


def data_facts(dataset: Any) -> dict[str, Any]:
    """The number of clips, and digests of their names, labels, order and, of stored
    clips, of their coordinates."""
    names, labels = _names(dataset), labels_of(dataset).tolist()
    pairs = [f'{name}\0{label}' for name, label in zip(names, labels, strict=True)]
    checksums = getattr(dataset, 'checksums', None)
    return {
        'clips': len(names),
        'names': _digest(sorted(names)),
        'labels': _digest(sorted(pairs)),
        'order': _digest(names),
        'content': '' if checksums is None else _digest(map(str, checksums)),
    }


def facts_differ(
    then: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """What of the clips of a run is other than before, with both sides: of each part
    of the data the first thing that tells."""
    differ = []
    for part, facts in now.items():
        for fact, value in facts.items():
            if then[part][fact] != value:
                differ.append(
                    f'{_WORDS[fact]} of the {part} data: {then[part][fact]} then, '
                    f'{value} now'
                )
                break
    return differ


def _names(dataset: Any) -> list[str]:
    names = getattr(dataset, 'names', None)
    return [clip.name for clip in dataset] if names is None else list(names)


def _digest(parts: Iterable[str]) -> str:
    state = hashlib.sha256()
    for part in parts:
        state.update(f'{part}\n'.encode('utf-8', 'surrogatepass'))
    return state.hexdigest()[:12]
