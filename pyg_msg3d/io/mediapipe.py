"""Landmarks as MediaPipe's solutions give them."""

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.sequence import SkeletonSequence

_POSE, _HAND = 33, 21


def is_landmarks(x: np.ndarray) -> bool:
    """Whether an array has MediaPipe's joints and more columns than coordinates."""
    return x.shape[-2] in (_POSE, _HAND) and x.shape[-1] in (4, 5)


def from_landmarks(
    landmarks: np.ndarray, name: str, label: int | None = None, path: str = ''
) -> SkeletonSequence:
    r"""A sequence from MediaPipe's landmarks of pose (33) or hand (21).

    Args:
        landmarks (np.ndarray): :math:`(T, V, D)` or :math:`(M, T, V, D)`, columns x, y,
            z and, where there are more, visibility and presence; the visibility becomes
            the score. Frames without a detection are NaN, as it is usual to fill
            them, or zero; a landmark with a visibility of zero was not seen.
        name (str): The name of the recording.
        label (int, optional): Its class, from 0.
        path (str, optional): Where it was read, as messages name it.

    Raises:
        SkeletonDataError: If the shape is another one, or NaN stands elsewhere.
    """
    if (
        landmarks.ndim not in (3, 4)
        or landmarks.shape[-2] not in (_POSE, _HAND)
        or landmarks.shape[-1] not in (3, 4, 5)
    ):
        raise SkeletonDataError(
            f"'{path or printable(name)}': expected landmarks of shape [frames, "
            f'{_POSE} (pose) or {_HAND} (hand), x y z and perhaps visibility and '
            f'presence] (got {list(landmarks.shape)})'
        )
    x = np.array(landmarks, np.float32, ndmin=4)
    score = None
    if x.shape[-1] > 3:
        score = x[..., 3].copy()
        nobody = np.isnan(x[..., :3]).all(axis=(2, 3))
        score[nobody] = 0
        x[score == 0] = 0
    return SkeletonSequence(
        np.ascontiguousarray(x[..., :3]), name, score=score, label=label, path=path
    )
