"""A recording in a file of its own: a user's ``.npz``, ``.npy`` or ``.json``."""

from os import PathLike
from pathlib import Path
from typing import Any

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io.arrays import open_npy, open_npz
from pyg_msg3d.io.fields import as_floats, as_image_size, as_whole
from pyg_msg3d.io.jsons import parse_json
from pyg_msg3d.io.mediapipe import from_landmarks, is_landmarks
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.sequence import SkeletonSequence

_KEYS = ('keypoints', 'keypoint', 'landmarks')


class RecordingReader(Reader):
    r"""One recording: a ``.npy`` file of key points :math:`(T, V, C)` or
    :math:`(M, T, V, C)`, or a ``.npz`` or ``.json`` file with them under
    ``keypoints`` and, where known, ``score`` :math:`(T, V)` or :math:`(M, T, V)`,
    ``label`` (from 0) and ``image_size`` (height, width).

    Arrays of MediaPipe's landmarks, see :func:`from_landmarks`, are recognised by their
    33 or 21 joints and 4 or 5 columns, or by the key ``landmarks``.

    Args:
        path (str or path): The file.

    Raises:
        SkeletonDataError: If it is not what it should be.
    """

    format = 'a recording (.npy, .npz, .json)'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path)
        self.names = [self.path.stem]

    def read(self, index: int) -> SkeletonSequence:
        """Reads the recording."""
        return read_recording(self.path)

    def signature(self, index: int) -> str:
        """The bytes of the file."""
        return str(self.path.stat().st_size)


def read_recording(path: str | PathLike) -> SkeletonSequence:
    """Reads a ``.npy``, ``.npz`` or ``.json`` file; see :class:`RecordingReader`."""
    path, where = Path(path), str(path)
    fields: dict[str, Any]
    if path.suffix.lower() == '.npy':
        fields = {'keypoints': open_npy(path)}
    elif path.suffix.lower() == '.npz':
        fields = dict(open_npz(path))
    else:
        record = parse_json(path.read_bytes(), where)
        fields = record if isinstance(record, dict) else {'keypoints': record}
    key = next((key for key in _KEYS if key in fields), None)
    if key is None:
        raise SkeletonDataError(
            f"'{where}': expected key points under 'keypoints' (got "
            f'{", ".join(map(str, list(fields)[:10])) or "nothing"})'
        )
    x = as_floats(fields[key], f'{where}: {key}')
    if x.ndim not in (3, 4) or min(x.shape[-3:]) < 1 or x.shape[-1] > 5:
        raise SkeletonDataError(
            f"'{where}': expected key points of shape [frames, joints, coordinates] or "
            f'[persons, frames, joints, coordinates] (got {list(x.shape)})'
        )
    label = as_whole(fields.get('label'), where)
    if key == 'landmarks' or ('score' not in fields and is_landmarks(x)):
        return from_landmarks(x, name=path.stem, label=label, path=where)
    if x.shape[-1] not in (2, 3):
        raise SkeletonDataError(
            f"'{where}': expected 2 or 3 coordinates (got {x.shape[-1]}); a score "
            f"belongs under 'score'"
        )
    score = fields.get('score')
    if score is not None:
        score = as_floats(score, f'{where}: score')
        score = score if x.ndim == 4 else score[None]
    return SkeletonSequence(
        x if x.ndim == 4 else x[None],
        path.stem,
        score=score,
        label=label,
        image_size=as_image_size(fields.get('image_size'), where),
        path=where,
    )
