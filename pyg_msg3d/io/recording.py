"""A recording in a file of its own: a user's ``.npz``, ``.npy`` or ``.json``."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable, say_assumed
from pyg_msg3d.io.arrays import open_npy, open_npz
from pyg_msg3d.io.fields import as_floats, as_image_size, as_label
from pyg_msg3d.io.files import read_bytes
from pyg_msg3d.io.jsons import parse_json
from pyg_msg3d.io.layout import split_score, to_mtvc
from pyg_msg3d.io.mediapipe import from_landmarks, is_landmarks
from pyg_msg3d.io.mp_data import LandmarkVectors, is_vector
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.skeletons import skeleton

_KEYS = ('keypoints', 'keypoint', 'landmarks')


class RecordingReader(Reader):
    r"""One recording: a ``.npy`` file of key points :math:`(T, V, C)` or
    :math:`(M, T, V, C)`, or a ``.npz`` or ``.json`` file with them under
    ``keypoints`` and, where known, ``score`` :math:`(T, V)` or :math:`(M, T, V)`,
    ``label`` (from 0) and ``image_size`` (height, width). Where their shape or numbers
    do not tell, ``layout`` and ``coordinates`` in the file, or as arguments, do; see
    :func:`read`.

    Arrays of MediaPipe's landmarks, see :func:`from_landmarks`, are recognised by their
    33 or 21 joints and 4 or 5 columns, or by the key ``landmarks``.

    Args:
        path (str or path): The file.
        layout (str, optional): See :func:`read`.
        coordinates (str, optional): See :func:`read`.
        first_label (int, optional): See :func:`read`.
        labelled (bool, optional): Look at what the file has for a label.
            (default: :obj:`True`)

    Raises:
        SkeletonDataError: If it is not what it should be.
    """

    format = 'a recording (.npy, .npz, .json)'
    options = ('layout', 'coordinates', 'first_label')

    def __init__(
        self, path: str | PathLike, labelled: bool = True, **options: Any
    ) -> None:
        super().__init__(path, **options)
        self._labelled = labelled
        self.names = [self.path.stem]

    def read(self, index: int) -> SkeletonSequence:
        """Reads the recording."""
        return read_recording(
            self.path,
            self.layout,
            self.coordinates,
            self._labelled,
            self.first_label,
        )


def read_recording(
    path: str | PathLike,
    layout: str | None = None,
    coordinates: str | None = None,
    labelled: bool = True,
    first_label: int | None = None,
) -> SkeletonSequence:
    """Reads a ``.npy``, ``.npz`` or ``.json`` file; see :class:`RecordingReader`. If
    its label is not asked for, whatever it has for one is passed over."""
    path, where = Path(path), printable(path)
    fields = _fields(path, where)
    key = next((key for key in _KEYS if key in fields), None)
    if key is None:
        raise SkeletonDataError(
            f"'{where}': expected key points under 'keypoints' (got "
            f'{", ".join(printable(k, 40) for k in list(fields)[:10]) or "nothing"})'
        )
    x = as_floats(fields[key], f'{where}: {key}')
    score = fields.get('score')
    label = None
    if labelled:
        label = _label(fields.get('label'), where, first_label)
    coordinates = _text(fields.get('coordinates'), where) or coordinates
    layout = _text(fields.get('layout'), where) or layout
    if score is not None:
        score = as_floats(score, f'{where}: score', group=1)
    if layout is None and score is not None and score.shape == x.shape[:-1]:
        layout = 'MTVC'[-x.ndim :]  # Scores say what the last dimension is.
    if x.ndim == 2 and layout is None and is_vector(x.shape[1]):
        return _from_vectors(x, path, label, where)
    x = to_mtvc(x, layout, where)
    if key == 'landmarks' or (
        score is None and coordinates is None and is_landmarks(x)
    ):
        return from_landmarks(x, name=path.stem, label=label, path=where)
    if score is None:
        x, score = split_score(x, coordinates, where)
    else:
        x, _ = split_score(x, coordinates or 'xyz'[: x.shape[-1]], where)
        order = (layout or 'MTVC'[-1 - score.ndim :]).replace('C', '')
        if score.ndim == len(order):
            score = score.transpose([order.index(c) for c in 'MTV' if c in order])
        score = score if score.ndim != 2 else score[None]
    if score is not None and score.shape == x.shape[:3]:
        # In three dimensions, too; there, of NTU RGB+D's files, it means less.
        x = np.where(score[..., None] == 0, 0, x)
    return SkeletonSequence(
        np.ascontiguousarray(x),
        path.stem,
        score=score,
        label=label,
        image_size=as_image_size(fields.get('image_size'), where),
        body_ids=_body_ids(fields.get('body_ids'), where),
        path=where,
    )


def _from_vectors(
    x: np.ndarray, path: Path, label: int | None, where: str
) -> SkeletonSequence:
    """MediaPipe's landmarks as a row of numbers for each frame."""
    vectors = LandmarkVectors(x.shape[1])
    points, score = vectors.split(x)
    place = {joint: v for v, joint in enumerate(vectors.holds)}
    order = [place[joint] for joint in skeleton(vectors.skeleton).joints]
    return SkeletonSequence(
        np.ascontiguousarray(points[order].transpose(1, 0, 2)[None]),
        path.stem,
        np.ascontiguousarray(score[order].T[None]),
        label,
        path=where,
    )


def _fields(path: Path, where: str) -> dict[str, Any]:
    if path.suffix.lower() == '.npy':
        return {'keypoints': open_npy(path)[...]}
    if path.suffix.lower() == '.npz':
        return {name: array[...] for name, array in open_npz(path).items()}
    record = parse_json(read_bytes(path), where)
    return record if isinstance(record, dict) else {'keypoints': record}


def _label(value: Any, where: str, first_label: int | None) -> int | None:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, str) and not value.strip().lstrip('-').isdecimal():
        if value.strip():
            say_assumed(
                'Recordings whose own label is text are taken for unlabelled; '
                'labels.csv beside them can name their classes'
            )
        return None
    if isinstance(value, str):
        value = int(value) if len(value) < 20 else value
    return as_label(value, where, first_label)


def _text(value: Any, where: str) -> str | None:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if value is not None and not isinstance(value, str):
        raise SkeletonDataError(f"'{where}': 'layout' and 'coordinates' are text")
    return value or None


def _body_ids(value: Any, where: str) -> np.ndarray | None:
    if value is None:
        return None
    if not isinstance(value, np.ndarray) or value.dtype.kind not in 'iu':
        raise SkeletonDataError(f"'{where}': expected 'body_ids' as whole numbers")
    return value.astype(np.int64)
