"""The ``.pose`` files of sign language research, by the library ``pose-format``."""

from os import PathLike
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.files import read_bytes
from pyg_msg3d.io.limits import check_array
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.skeletons import skeleton

# Which of our names the points of a component have, and how many there must be.
_OURS = {
    'POSE_LANDMARKS': ('', skeleton('mediapipe-pose-33').joints),
    'LEFT_HAND_LANDMARKS': ('left hand ', skeleton('hand-21').joints),
    'RIGHT_HAND_LANDMARKS': ('right hand ', skeleton('hand-21').joints),
    'pose_keypoints_2d': ('', skeleton('openpose-25').joints),
    'hand_left_keypoints_2d': ('left hand ', skeleton('hand-21').joints),
    'hand_right_keypoints_2d': ('right hand ', skeleton('hand-21').joints),
}
# The first whose joints are all there is taken.
_TAKEN = (
    'mediapipe-holistic-75', 'mediapipe-pose-33', 'openpose-67', 'openpose-25',
)  # fmt: skip


class PoseFileReader(Reader):
    r"""A ``.pose`` file, of MediaPipe Holistic or OpenPose: ``x`` and ``y`` in pixels,
    ``z`` as the file has it, confidences as scores. Pose and hands are taken; another
    ``skeleton`` takes other points, by their names. Needs ``pose-format``.

    Args:
        path (str or path): The file.

    Raises:
        SkeletonDataError: If it is no such file.
        ImportError: If pose-format is not installed.
    """

    format = 'pose-format (.pose)'
    options = ('skeleton',)

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path)
        self.names = [self.path.stem]
        self._pose, self._where = _load(self.path), printable(self.path)
        holds: list[str] = []
        for component in self._pose.header.components:
            start, joints = _OURS.get(component.name, (f'{component.name} ', ()))
            points = component.points
            if len(joints) == len(points):
                points = joints
            holds += [f'{start}{point}' for point in points]
        self.holds = tuple(holds)
        if len(set(holds)) == len(holds):
            next((name for name in _TAKEN if self.choose(skeleton(name))), None)

    def read(self, index: int) -> SkeletonSequence:
        """Reads the recording."""
        body, dimensions = self._pose.body, self._pose.header.dimensions
        x = np.ma.getdata(body.data).transpose(1, 2, 0, 3)  # [M, V, T, C]
        score = np.asarray(body.confidence).transpose(1, 2, 0)
        x = np.where(score[..., None] == 0, 0, x)
        x = np.stack([self.picked(person) for person in x]).transpose(0, 2, 1, 3)
        score = np.stack([self.picked(person) for person in score]).transpose(0, 2, 1)
        size = int(dimensions.height), int(dimensions.width)
        return SkeletonSequence(
            np.ascontiguousarray(x, np.float32),
            self.names[0],
            np.ascontiguousarray(score, np.float32),
            image_size=size if min(size) > 0 else None,
            path=self._where,
        )

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_pose': None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._pose = _load(self.path)


def _load(path: str | PathLike) -> Any:
    try:
        from pose_format import Pose
    except ImportError as error:
        raise ImportError(
            "Files of .pose need pose-format: pip install 'pyg_msg3d[formats]'"
        ) from error
    content, where = read_bytes(path), printable(path)
    try:
        pose = Pose.read(content)
        shape = pose.body.data.shape
    except Exception as error:  # Whatever damaged bytes trip over.
        raise SkeletonDataError(
            f"'{where}' is no .pose file, or a damaged one ({type(error).__name__}: "
            f'{str(error)[:200]}); {len(content)} bytes from byte 0'
        ) from error
    if len(shape) != 4 or not all(shape) or shape[3] not in (2, 3):
        raise SkeletonDataError(
            f"'{where}': expected frames, people, points and 2 or 3 coordinates (got "
            f'{list(shape)})'
        )
    check_array(shape, 4, len(content), where)
    return pose
