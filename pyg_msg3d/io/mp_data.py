"""MediaPipe's landmarks as one array of numbers for each frame."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path, PurePosixPath

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable, say_assumed
from pyg_msg3d.io.arrays import open_npy
from pyg_msg3d.io.class_folders import say_classes, splits_of
from pyg_msg3d.io.fields import as_floats
from pyg_msg3d.io.files import Files
from pyg_msg3d.io.limits import check_array
from pyg_msg3d.io.reader import Reader, check_unique
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.skeletons import skeleton

_POSE, _HAND = skeleton('mediapipe-pose-33').joints, skeleton('hand-21').joints
_LEFT, _RIGHT = ([f'{side} hand {j}' for j in _HAND] for side in ('left', 'right'))


def _face(count: int) -> list[str]:
    return [f'face {v}' for v in range(count)]


# Of so many numbers: the parts, each with its joints and numbers for one of them, and
# the skeleton that is taken.
_LAYOUTS: dict[int, tuple[list[tuple[Sequence[str], int]], str]] = {
    1662: ([(_POSE, 4), (_face(468), 3), (_LEFT, 3), (_RIGHT, 3)],
           'mediapipe-holistic-75'),
    1692: ([(_POSE, 4), (_face(478), 3), (_LEFT, 3), (_RIGHT, 3)],
           'mediapipe-holistic-75'),
    258: ([(_POSE, 4), (_LEFT, 3), (_RIGHT, 3)], 'mediapipe-holistic-75'),
    225: ([(_POSE, 3), (_LEFT, 3), (_RIGHT, 3)], 'mediapipe-holistic-75'),
    132: ([(_POSE, 4)], 'mediapipe-pose-33'),
    99: ([(_POSE, 3)], 'mediapipe-pose-33'),
    63: ([(_HAND, 3)], 'hand-21'),
}  # fmt: skip


def is_vector(length: int) -> bool:
    """Whether so many numbers are the landmarks of a frame."""
    return length in _LAYOUTS


class LandmarkVectors:
    r"""Rows of numbers as landmarks: pose, face and hands one after the other.

    Args:
        length (int): How many numbers a frame has.
    """

    def __init__(self, length: int) -> None:
        self._parts, self.skeleton = _LAYOUTS[length]
        self.holds = tuple(joint for joints, _ in self._parts for joint in joints)
        if length > 1000:
            say_assumed(
                f'Of {length} numbers in a frame, those of the pose and of both hands '
                f'are taken, and the face is left out; skeleton=... of points '
                f"'face 0', 'face 1', ... takes others"
            )

    def split(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows ``[T, length]`` as coordinates ``[V, T, 3]`` and scores ``[V, T]``."""
        points, scores, place = [], [], 0
        for joints, width in self._parts:
            part = rows[:, place : place + width * len(joints)]
            place += width * len(joints)
            part = part.reshape(len(rows), len(joints), width).transpose(1, 0, 2)
            # A part that was not found is zero as a whole.
            found = (part != 0).any(axis=(0, 2))
            score = np.broadcast_to(found, part.shape[:2]).astype(np.float32)
            if width == 4:
                score = part[..., 3]
            points.append(np.where(score[..., None] == 0, 0, part[..., :3]))
            scores.append(score)
        return np.concatenate(points), np.concatenate(scores)


class MPDataReader(Reader):
    r"""Folders of a ``.npy`` file per frame, ``MP_Data/class/sequence/frame.npy``,
    each MediaPipe's landmarks as one row of numbers: 1,662 of pose (x, y, z,
    visibility), face, left and right hand, or those without the face (258), the pose
    alone (132), or one hand (63). Frames are in the order of their numbers.

    Pose and hands are given, as ``'mediapipe-holistic-75'``; of the face, a
    ``skeleton`` of points ``'face 0'``, ``'face 1'``, ... takes those.

    Args:
        path (str or path): The folder: of classes, of sequences, or of one sequence.

    Raises:
        SkeletonDataError: If a file is not what it should be.
    """

    format = 'a .npy of landmarks per frame'
    options = ('skeleton',)

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path)
        files = Files(path)
        sequences: dict[str, list[tuple[int, str]]] = {}
        for member in files.ending('.npy'):
            place = PurePosixPath(member)
            if not place.stem.isdecimal() or len(place.stem) > 9:
                raise SkeletonDataError(
                    f"'{files.where(member)}': expected a frame's number as the name "
                    f'of a file beside others that have'
                )
            frame = int(place.stem), member
            sequences.setdefault(str(place.parent), []).append(frame)
        self._frames = [sorted(sequences[name]) for name in sorted(sequences)]
        own = self.path.name
        self.names = [own if name == '.' else name for name in sorted(sequences)]
        check_unique(self.names, lambda i: self._frames[i][0][1])
        self._take_classes()
        first = open_npy(self.path / self._frames[0][0][1])
        self._length = int(np.prod(first.shape))
        if not is_vector(self._length):
            raise SkeletonDataError(
                f"'{printable(first.path)}': expected "
                f'{", ".join(map(str, _LAYOUTS))} numbers in a frame (got '
                f'{self._length})'
            )
        self._vectors = LandmarkVectors(self._length)
        self.holds = self._vectors.holds
        self.choose(skeleton(self._vectors.skeleton))

    def _take_classes(self) -> None:
        """Classes are the folders of sequences; above them may be those of splits."""
        parts = [name.split('/') for name in self.names]
        splits = splits_of({part[0] for part in parts if len(part) > 2})
        if any(len(part) < 3 for part in parts):
            splits = {}
        above = [part[-2] if len(part) > 1 else '' for part in parts]
        self._labels = above if all(above) else []
        self.classes = sorted(set(self._labels))
        members: dict[str, list[str]] = {}
        for name, part in zip(self.names, parts, strict=True):
            if splits:
                members.setdefault(splits[part[0]], []).append(name)
        self.splits = members
        if self.classes:
            say_classes(self.path, self.classes, splits)

    def read(self, index: int) -> SkeletonSequence:
        """Reads one sequence."""
        name, frames = self.names[index], self._frames[index]
        where = printable(f'{self.path}: {name}')
        first, last = frames[0][0], frames[-1][0]
        size = 4 * self._length * len(frames)
        check_array((last - first + 1, self._length), 4, size, where)
        rows = np.zeros((last - first + 1, self._length), np.float32)
        for number, member in frames:
            file = self.path / member
            row = as_floats(open_npy(file)[...], printable(file)).ravel()
            if len(row) != self._length:
                raise SkeletonDataError(
                    f"'{printable(file)}': expected {self._length} numbers, as in "
                    f'other frames (got {len(row)})'
                )
            rows[number - first] = row
        x, score = self._vectors.split(rows)
        label = None
        if self._labels:
            label = list(self.classes).index(self._labels[index])
        return SkeletonSequence(
            np.ascontiguousarray(self.picked(x).transpose(1, 0, 2)[None]),
            name,
            np.ascontiguousarray(self.picked(score).T[None]),
            label=label,
            path=where,
        )


def holds_frames(folder: Path, files: Files) -> bool:
    """Whether a folder has a file of landmarks per frame."""
    members = files.ending('.npy')
    if not members or not all(PurePosixPath(m).stem.isdecimal() for m in members):
        return False
    shape = open_npy(folder / members[0]).shape
    return len(shape) == 1 and is_vector(shape[0])
