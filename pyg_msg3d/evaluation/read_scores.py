"""Score files: ours, the authors', MMAction2's and PYSKL's."""

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.evaluation.scores import KINDS, Scores
from pyg_msg3d.io.arrays import open_npz
from pyg_msg3d.io.files import read_bytes
from pyg_msg3d.io.ntu import SampleName
from pyg_msg3d.io.tensors import TENSORS
from pyg_msg3d.io.unpickle import unpickle

_EXPECTED = (
    "expected our .npz, the authors' pickled dictionary of names and logits, or a "
    'pickled list as MMAction2 (--dump) or PYSKL (--out) writes it'
)


def read_scores(path: str | PathLike) -> Scores:
    r"""Reads the scores of a model for a data set:

    - ``.npz``, as :meth:`Scores.save` writes it;
    - the authors' ``epoch1_test_score.pkl``, a dictionary of names and logits;
    - MMAction2's ``--dump``, a list of dictionaries with ``pred_score`` and
      ``gt_label``, numbers or tensors;
    - PYSKL's ``--out``, a list of probabilities, without names and labels.

    Pickles are read without trust: what is no array, tensor or plain container is
    refused, and no code of theirs is run. Samples of NTU RGB+D have their labels from
    their names.

    Args:
        path (str or path): The file.

    Raises:
        FileNotFoundError: If there is no such file.
        SkeletonDataError: If it is none of these.
    """
    path = Path(path)
    if path.is_dir() and (path / 'scores.npz').is_file():
        path = path / 'scores.npz'
    if not path.is_file():
        raise FileNotFoundError(f"There is no score file '{path}'")
    if zipfile.is_zipfile(path):
        scores = _read_npz(path)
    else:
        content = unpickle(read_bytes(path), printable(path), TENSORS)
        if isinstance(content, Mapping) and content:
            scores = _read_official(content, str(path))
        elif isinstance(content, list) and content:
            scores = _read_list(content, str(path))
        else:
            raise SkeletonDataError(f"'{path}': {_EXPECTED}")
    if scores.labels is None and scores.names is not None:
        parsed = [SampleName.parse(name) for name in scores.names]
        if all(parsed):
            labels = np.array([sample.action - 1 for sample in parsed if sample])
            scores = replace(scores, labels=labels)
    return scores


def read_labels(path: str | PathLike) -> dict[str, int]:
    """Reads the authors' ``val_label.pkl``, a pair of names and labels.

    Raises:
        FileNotFoundError: If there is no such file.
        SkeletonDataError: If it is something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no '{printable(path)}'")
    content = unpickle(read_bytes(path), printable(path))
    try:
        names, labels = content
        return {
            _plain(str(name)): int(label)
            for name, label in zip(names, labels, strict=True)
        }
    except (TypeError, ValueError):
        raise SkeletonDataError(
            f"'{path}': expected a pair of equally long lists, names and labels"
        ) from None


def _read_npz(path: Path) -> Scores:
    arrays = {name: array[...] for name, array in open_npz(path).items()}
    kind = str(arrays.get('kind'))
    if 'values' not in arrays or kind not in KINDS:
        raise SkeletonDataError(
            f"'{path}': expected the arrays values, kind, names and labels (got "
            f'{", ".join(arrays) or "none"})'
        )
    names = arrays.get('names')
    return Scores(
        arrays['values'],
        kind,
        None if names is None else tuple(names.tolist()),
        arrays.get('labels'),
        f"'{path}'",
        tuple(map(str, np.ravel(arrays.get('classes', [])))),
    )


def _read_official(content: Mapping[Any, Any], path: str) -> Scores:
    names = tuple(_plain(str(name)) for name in content)
    return Scores(
        _rows(list(content.values()), path), 'logits', names, None, f"'{path}'"
    )


def _read_list(content: list, path: str) -> Scores:
    if not isinstance(content[0], Mapping):
        values = _rows(content, path)
        return Scores(values, _kind(values), None, None, f"'{path}'")
    rows, labels, names = [], [], []
    for number, entry in enumerate(content):
        score = _first(entry, 'pred_score', 'pred_scores')
        label = _first(entry, 'gt_label', 'gt_labels')
        if score is None or label is None or np.size(label) != 1:
            raise SkeletonDataError(
                f"'{path}', entry {number}: expected 'pred_score' and one 'gt_label' "
                f'(got {", ".join(map(str, entry)) if entry else "nothing"})'
            )
        rows.append(score)
        labels.append(int(np.ravel(label)[0]))
        names.append(entry.get('frame_dir') or entry.get('filename'))
    values = _rows(rows, path)
    named = all(isinstance(name, str) for name in names)
    return Scores(
        values,
        _kind(values),
        tuple(map(_plain, names)) if named else None,
        np.array(labels),
        f"'{path}'",
    )


def _first(entry: Any, *keys: str) -> Any:
    """What stands under the first of the keys; later versions nest it in 'item'."""
    if not isinstance(entry, Mapping):
        return None
    for key in keys:
        value = entry.get(key)
        if isinstance(value, Mapping):
            value = value.get('item')
        if value is not None:
            return value
    return None


def _rows(rows: list, path: str) -> np.ndarray:
    try:
        values = np.stack([np.asarray(row, np.float64).reshape(-1) for row in rows])
    except (TypeError, ValueError) as error:
        raise SkeletonDataError(f"'{path}': {_EXPECTED} ({error})") from None
    return values


def _kind(values: np.ndarray) -> str:
    """Lists do not tell what they hold; probabilities are recognised."""
    is_probability = (values >= 0).all() and np.allclose(values.sum(1), 1, atol=1e-2)
    return 'probabilities' if is_probability else 'logits'


def _plain(name: str) -> str:
    return PurePath(name).name.removesuffix('.skeleton')
