from dataclasses import dataclass

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.limits import check_empty


@dataclass(frozen=True, eq=False)
class SkeletonSequence:
    r"""One recording of moving skeletons as its file has it, before anything is done to
    it: what every reader gives.

    With :math:`M` body slots, :math:`T` frames, :math:`V` joints and :math:`C`
    coordinates. A slot is a place in the file's lists of bodies, not a person: who
    stands in it may change from frame to frame, as :obj:`body_ids` tells where the
    format tells it.

    What was not seen is zero, coordinates and score alike, whatever a file has for it:
    joints of zeros or of :math:`-1` throughout, bodies that are NaN in a frame and, of
    2D key points, joints with a score of zero.

    Args:
        keypoints (np.ndarray): float32 :math:`(M, T, V, C)`, in the file's units
            (metres for depth cameras, pixels or shares of the image for 2D).
        name (str): What the file calls the recording.
        score (np.ndarray, optional): float32 :math:`(M, T, V)`, the confidence of
            every joint; for NTU RGB+D half the tracking state.
        label (int, optional): The class, from 0; :obj:`None` where it is not known.
        image_size (tuple[int, int], optional): Height and width, in pixels.
        body_ids (np.ndarray, optional): int64 :math:`(M, T)`, who stands in a slot;
            meaningless where the body is absent.
        path (str, optional): Where it was read, as messages name it.

    Raises:
        SkeletonDataError: If shapes do not fit, or a number is infinite, or NaN where
            other joints of the body were seen.
    """

    keypoints: np.ndarray
    name: str
    score: np.ndarray | None = None
    label: int | None = None
    image_size: tuple[int, int] | None = None
    body_ids: np.ndarray | None = None
    path: str = ''

    def __post_init__(self) -> None:
        shape, where = self.keypoints.shape, self.path or printable(self.name)
        if len(shape) != 4:
            raise SkeletonDataError(
                f"'{where}': expected keypoints of shape [bodies, frames, joints, "
                f'coordinates] (got {list(shape)})'
            )
        for field, expected in (('score', shape[:3]), ('body_ids', shape[:2])):
            value = getattr(self, field)
            if value is not None and value.shape != expected:
                raise SkeletonDataError(
                    f"'{where}': expected {field} of shape {list(expected)}, as "
                    f'the keypoints are {list(shape)} (got {list(value.shape)})'
                )
        check_empty(shape, where)
        self._clear_unseen()
        for field in ('keypoints', 'score'):
            value = getattr(self, field)
            if value is not None and not np.isfinite(value).all():
                bad = np.argwhere(~np.isfinite(value))
                raise SkeletonDataError(
                    f"'{where}': {len(bad)} {field} are NaN or infinite, the first "
                    f'at body {bad[0][0]}, frame {bad[0][1]}, joint {bad[0][2]}, while '
                    f'others of the body were seen. Repair or leave out the recording; '
                    f'joints that were not seen are zero'
                )

    def _clear_unseen(self) -> None:
        """Makes joints that were not seen zero."""
        x, score = self.keypoints, self.score
        if not x.size:
            return
        first = x[..., 0]
        unseen = (first == 0) | (first == -1) | np.isnan(first)
        if unseen.any():  # Few are, and the other coordinates of these alone tell.
            some = x[unseen]
            whole = (some == 0).all(-1) | (some == -1).all(-1)
            nobody = np.isnan(x).all(axis=(2, 3))[..., None]
            whole |= np.broadcast_to(nobody, unseen.shape)[unseen]
            unseen[unseen] = whole
        if score is not None and x.shape[-1] == 2:
            unseen |= score == 0
        if not unseen.any():
            return
        if (x[unseen] != 0).any():
            object.__setattr__(self, 'keypoints', np.where(unseen[..., None], 0, x))
        if score is not None and (score[unseen] != 0).any():
            object.__setattr__(self, 'score', np.where(unseen, 0, score))

    @property
    def num_frames(self) -> int:
        """The number of frames."""
        return self.keypoints.shape[1]

    @property
    def num_joints(self) -> int:
        """The number of joints."""
        return self.keypoints.shape[2]

    @property
    def present(self) -> np.ndarray:
        """Which slots hold a body in which frames: bool ``[M, T]``."""
        return (self.keypoints != 0).any(axis=(2, 3))
