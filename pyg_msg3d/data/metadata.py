from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pyg_msg3d.data.errors import CheckpointError, printable

_AVERAGES = ('logits', 'probabilities')
_MOST_CLASSES, _LONGEST, _MOST_STEPS, _LARGEST = 100_000, 1000, 100, 1_000_000


@dataclass(frozen=True)
class Metadata:
    r"""What a model answers, and what is done to a recording before the model sees it:
    plain values, for checkpoints.

    Args:
        classes (sequence of str, optional): The names of the classes, in the order of
            labels; empty where they have none.
        persons (str, optional): Who of a recording is in a clip: the name of a rule of
            :func:`pyg_msg3d.datasets.select_persons`.
        steps (sequence of mapping, optional): What is done to a clip, one transform
            after the other, as :func:`pyg_msg3d.transforms.declare` tells them;
            :obj:`None` where that is not known.
        stream (str, optional): ``'joint'``, ``'bone'``, ...
        recipe (str, optional): Whose preprocessing it is.
        average (str, optional): What is averaged over several clips of a recording:
            ``'logits'`` or ``'probabilities'``.
    """

    classes: tuple[str, ...] = ()
    persons: str = 'all'
    steps: tuple[Mapping[str, Any], ...] | None = None
    stream: str = 'joint'
    recipe: str = ''
    average: str = 'logits'

    def arguments(self) -> dict[str, Any]:
        """The arguments that make it: plain values, for files."""
        return {
            'classes': list(self.classes),
            'persons': self.persons,
            'steps': None if self.steps is None else [dict(s) for s in self.steps],
            'stream': self.stream,
            'recipe': self.recipe,
            'average': self.average,
        }

    @classmethod
    def of(cls, content: Any, name: str) -> 'Metadata':
        """What a checkpoint says of itself, checked: nothing in it is trusted.

        Args:
            content (mapping or None): What :meth:`arguments` gave.
            name (str): What messages call the checkpoint.

        Raises:
            CheckpointError: If it is something else.
        """
        if content is None:
            return cls()
        known = {field.name for field in fields(cls)}
        if not isinstance(content, Mapping) or not content.keys() <= known:
            raise _refused(name, 'metadata', f'the keys {", ".join(sorted(known))}')
        values = dict(content)
        classes, steps = values.pop('classes', ()), values.pop('steps', None)
        if (
            not isinstance(classes, Sequence)
            or isinstance(classes, str)
            or len(classes) > _MOST_CLASSES
            or not all(isinstance(c, str) and len(c) <= _LONGEST for c in classes)
            or len(set(classes)) < len(classes)
        ):
            raise _refused(name, 'classes', 'names that differ')
        for key, value in values.items():
            if not isinstance(value, str) or len(value) > _LONGEST:
                raise _refused(name, key, 'a word')
        if values.get('average', 'logits') not in _AVERAGES:
            raise _refused(name, 'average', ' or '.join(_AVERAGES))
        if steps is not None and (
            not isinstance(steps, Sequence)
            or len(steps) > _MOST_STEPS
            or not all(isinstance(step, Mapping) and _is_plain(step) for step in steps)
        ):
            raise _refused(name, 'steps', 'transforms with plain arguments')
        return cls(
            tuple(map(str, classes)),
            steps=None if steps is None else tuple(steps),
            **values,
        )


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Whether it is made of numbers, words, lists and dictionaries, none too large."""
    if isinstance(value, Mapping):
        return depth < 6 and all(
            isinstance(k, str) and _is_plain(v, depth + 1) for k, v in value.items()
        )
    if isinstance(value, list | tuple):
        return depth < 6 and all(_is_plain(part, depth + 1) for part in value)
    if isinstance(value, int | float):
        return abs(value) <= _LARGEST
    return value is None or (isinstance(value, str) and len(value) <= _LONGEST)


def _refused(name: str, key: str, expected: str) -> CheckpointError:
    return CheckpointError(
        f'{printable(name)} does not fit itself: of what it says of its data, '
        f'expected {expected} under {key!r}'
    )
