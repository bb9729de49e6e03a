"""OpenPose's own output: a JSON file per frame."""

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.fields import as_floats
from pyg_msg3d.io.files import Files
from pyg_msg3d.io.jsons import parse_json
from pyg_msg3d.io.limits import check_array
from pyg_msg3d.io.reader import Reader, check_unique
from pyg_msg3d.io.sequence import SkeletonSequence

# Every habit of numbering frames: video_000000000012_keypoints, video.0012, frame0001,
# img00001, video-0001, 0001.
_NAME = re.compile(r'(?P<video>.*?)(?P<mark>[_.\- ]?)(?P<frame>\d{1,18})', re.ASCII)
# Without a mark before it, a number is one of frames where it is this long, or where
# the word before it says so.
_LONG = 4
_WORDS = re.compile(r'(.*[_.\- ])?(frame|frm|img|image|f)', re.IGNORECASE)
# BODY_25's joints in the order of openpose-18; its middle of the hips and its feet are
# left out.
_FROM_BODY_25 = [*range(8), *range(9, 19)]
_JOINTS = 18
# Two poses may be one person if the joints have moved by less than the person's size.
_REACH = 1.0
_MOST_PEOPLE = 200


class OpenPoseReader(Reader):
    r"""Folders of ``<video>_<frame>_keypoints.json``, as OpenPose's ``--write_json``
    leaves them, or with frames numbered in another way (``frame0001.json``,
    ``video-0001.json``). Files of a folder that differ in the number alone are one
    video, called by the folder and what stands before the number. BODY_25 and COCO
    models are both given as the 18 joints of ``'openpose-18'``, in pixels, with scores.

    A frame whose file is missing has nobody in it.

    OpenPose does not follow persons from frame to frame. Here poses of consecutive
    frames are matched, nearest first, where they moved by less than the person's size
    (the diagonal of its joints' bounding box); a person that is matched keeps slot and
    body id.

    Args:
        path (str or path): The folder, a zip archive of it, or the file of one frame.

    Raises:
        SkeletonDataError: If it is not what it should be, if a frame has two files, or
            if files may be videos of a frame each as well as frames of one.
    """

    format = 'OpenPose JSON per frame'
    skeleton = 'openpose-18'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path)
        self.files = Files(path)
        videos: dict[tuple[str, str, str], dict[int, str]] = {}
        for member in self.files.ending('.json'):
            folder = str(PurePosixPath(member).parent)
            video, mark, frame = _split(member)
            frames = videos.setdefault((folder, video, mark), {})
            if frame in frames:
                raise SkeletonDataError(
                    f"'{self.files.where(frames[frame])}' and "
                    f"'{self.files.where(member)}' are both frame {frame} of one video"
                )
            frames[frame] = member
        self.names: list[str] = []
        #: The files of each video's frames, by their numbers.
        self._frames: list[list[tuple[int, str]]] = []
        for folder, video, mark in sorted(videos):
            files = sorted(videos[folder, video, mark].items())
            if not mark and not _numbers_frames(video, files[0][1]):
                if len(files) > 1:
                    first, second = (self.files.where(files[i][1]) for i in (0, 1))
                    raise SkeletonDataError(
                        f"Are '{first}' and '{second}' two videos of one frame, or two "
                        f'frames of one video? Put videos into folders of their own, '
                        f'or number frames like {printable(video)}_0001.json'
                    )
                video = _stem(files[0][1])
            self.names.append(self._name(folder, video))
            self._frames.append(files)
        check_unique(self.names, lambda i: self.files.where(self._frames[i][0][1]))

    def _name(self, folder: str, video: str) -> str:
        if folder == '.':
            own = self.path.name if self.path.is_dir() else self.path.stem
            return video or own
        return f'{folder}/{video}' if video else folder

    def _where(self, index: int) -> str:
        return printable(f'{self.path}: {self.names[index]}')

    def read(self, index: int) -> SkeletonSequence:
        """Reads one video."""
        frames = self._frames[index]
        first = frames[0][0]
        tracks, num_bytes = _Tracks(), 0
        for frame, member in frames:
            content = self.files.read(member)
            num_bytes += len(content)
            tracks.add(frame - first, _people(content, self.files.where(member)))
        shape = (tracks.num_slots, frames[-1][0] - first + 1, _JOINTS, 3)
        check_array(shape, 4, num_bytes, self._where(index))
        x = np.zeros(shape, np.float32)
        body_ids = np.zeros(shape[:2], np.int64)
        for slot, frame, body_id, pose in tracks.poses:
            x[slot, frame] = pose
            body_ids[slot, frame] = body_id
        return SkeletonSequence(
            np.ascontiguousarray(x[..., :2]),
            self.names[index],
            score=x[..., 2].copy(),
            body_ids=body_ids,
            path=self._where(index),
        )


def _stem(member: str) -> str:
    return PurePosixPath(member).stem.removesuffix('_keypoints')


def _split(member: str) -> tuple[str, str, int]:
    """Video, mark before the number, and frame, of a file's name; without a number, it
    is the only frame."""
    match = _NAME.fullmatch(stem := _stem(member))
    if match is None:
        return stem, '', 0
    return match['video'], match['mark'], int(match['frame'])


def _numbers_frames(video: str, member: str) -> bool:
    """Whether a number right behind a video's name plainly counts frames."""
    digits = len(_stem(member)) - len(video)
    return not video or digits >= _LONG or _WORDS.fullmatch(video) is not None


def _people(content: bytes, where: str) -> list[np.ndarray]:
    """The poses ``[18, 3]`` of a frame."""
    record = parse_json(content, where)
    if not isinstance(record, dict) or not isinstance(record.get('people'), list):
        raise SkeletonDataError(
            f"'{where}' is no frame of OpenPose: expected an object with 'people'"
        )
    if len(record['people']) > _MOST_PEOPLE:
        raise SkeletonDataError(
            f"'{where}' has {len(record['people'])} people in a frame, more than "
            f'{_MOST_PEOPLE}'
        )
    poses = []
    for number, person in enumerate(record['people']):
        place = f'{where}: person {number}'
        if person is None:
            continue
        if not isinstance(person, dict):
            raise SkeletonDataError(f"'{place}': expected 'pose_keypoints_2d'")
        values: Any = person.get('pose_keypoints_2d', person.get('pose_keypoints'))
        pose = as_floats(values, f'{place}: pose_keypoints_2d', group=3)
        if pose.shape not in ((75,), (54,)):
            raise SkeletonDataError(
                f"'{place}': expected 75 (BODY_25) or 54 (COCO) numbers x, y, score "
                f"in 'pose_keypoints_2d' (got {list(pose.shape)})"
            )
        pose = pose.reshape(-1, 3)
        pose = pose[_FROM_BODY_25] if len(pose) == 25 else pose
        # A joint without confidence was not seen, wherever it stands.
        pose[(pose[:, 2] == 0) | (pose[:, :2] == 0).all(1)] = 0
        if pose.any():
            poses.append(pose)
    return poses


class _Tracks:
    """Follows bodies from frame to frame."""

    def __init__(self) -> None:
        self.num_slots = 0
        self.poses: list[tuple[int, int, int, np.ndarray]] = []
        self._next_id = 1
        self._current: list[tuple[int, int, np.ndarray]] = []  # slot, id, pose

    def add(self, frame: int, poses: Sequence[np.ndarray]) -> None:
        distances = _distances([pose for *_, pose in self._current], poses)
        pairs = [(distances[i, j], i, j) for i, j in np.argwhere(distances < _REACH)]
        matched: dict[int, tuple[int, int]] = {}
        taken = set()
        for _, old, new in sorted(pairs):
            if old not in taken and new not in matched:
                taken.add(old)
                matched[new] = self._current[old][:2]
        busy = {slot for slot, _ in matched.values()}
        self._current = []
        for new, pose in enumerate(poses):
            if new not in matched:
                slot = next(slot for slot in range(len(poses)) if slot not in busy)
                busy.add(slot)
                matched[new] = slot, self._next_id
                self._next_id += 1
            slot, body_id = matched[new]
            self.num_slots = max(self.num_slots, slot + 1)
            self._current.append((slot, body_id, pose))
            self.poses.append((slot, frame, body_id, pose))


def _distances(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> np.ndarray:
    """How far the joints that both have moved on average, by the size of the person
    before: [before, after]."""
    distances = np.full((len(before), len(after)), np.inf)
    later = np.array(after).reshape(len(after), _JOINTS, 3)
    for row, pose in zip(distances, before, strict=True):
        seen = pose[:, 2] > 0
        size = np.linalg.norm(np.ptp(pose[seen, :2], axis=0)) if seen.any() else 0
        if len(later) and size > 0:
            both = seen & (later[..., 2] > 0)
            moved = np.linalg.norm(later[..., :2] - pose[:, :2], axis=2)
            number = both.sum(1)
            mean = (moved * both).sum(1) / np.maximum(number, 1)
            row[number > 0] = (mean / size)[number > 0]
    return distances
