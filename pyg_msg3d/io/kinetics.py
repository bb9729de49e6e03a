"""Kinetics-skeleton: OpenPose on Kinetics, as ST-GCN's authors distribute it."""

from os import PathLike
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.fields import as_floats, as_label, as_whole
from pyg_msg3d.io.jsons import parse_json
from pyg_msg3d.io.limits import check_array
from pyg_msg3d.io.reader import FilesReader, check_unique
from pyg_msg3d.io.sequence import SkeletonSequence

_JOINTS = 18
_LABEL_FILE = '_label.json'


class KineticsReader(FilesReader):
    r"""Kinetics-skeleton: a JSON file per clip in folders ``kinetics_train`` and
    ``kinetics_val``, with ``kinetics_train_label.json`` and ``kinetics_val_label.json``
    beside them. Coordinates are shares of the image, 18 joints of OpenPose.

    Frames stand where their ``frame_index`` puts them, which counts from 1, as in the
    distributed files, unless some frame is 0. Bodies are in each frame's own order. A
    clip is called as the label files call it; where clips of two folders have the same
    name there, by its path.

    Args:
        path (str or path): The folder or zip archive that holds all of it, or a
            single clip.

    Raises:
        SkeletonDataError: If it is not what it should be.
    """

    format = 'Kinetics-skeleton JSON'
    skeleton = 'openpose-18'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path, '.json')
        found = self._members
        self._set_members([name for name in found if not name.endswith(_LABEL_FILE)])
        #: What label files say of each clip, by its index.
        self._labels: dict[int, int] = {}
        splits = self._read_label_files(
            [name for name in found if name.endswith(_LABEL_FILE)]
        )
        short = [PurePosixPath(name).name for name in self.names]
        if len(set(short)) == len(short):
            self.names = short
        check_unique(self.names, lambda i: self.files.where(self._members[i]))
        self.splits = {
            split: [self.names[index] for index in clips]
            for split, clips in splits.items()
        }

    def _read_label_files(self, files: list[str]) -> dict[str, list[int]]:
        """Which clips each label file is about: those in its folder, ``kinetics_val``
        for ``kinetics_val_label.json``, or else all of those names."""
        splits: dict[str, list[int]] = {}
        classes: dict[int, str] = {}
        for file in files:
            where = self.files.where(file)
            records = parse_json(self.files.read(file), where)
            if not isinstance(records, dict) or not all(
                isinstance(record, dict) for record in records.values()
            ):
                raise SkeletonDataError(
                    f"'{where}': expected an object with has_skeleton, label and "
                    f'label_index for each clip'
                )
            labels = {}
            for name, record in records.items():
                place = f'{where}: {printable(name, 100)}'
                label = as_label(record.get('label_index'), place)
                labels[name] = label
                text = record.get('label')
                if label is not None and isinstance(text, str):
                    classes[label] = text
            prefix = file.removesuffix(_LABEL_FILE)
            places = range(len(self.names))
            own = [i for i in places if self.names[i].startswith(f'{prefix}/')]
            clips = []
            for index in own or places:
                name = PurePosixPath(self.names[index]).name
                if name in labels:
                    clips.append(index)
                    known = labels[name]
                    if known is not None:
                        self._labels[index] = known
            split = PurePosixPath(prefix).name.split('_')[-1]
            splits.setdefault(split, []).extend(sorted(clips))
        if sorted(classes) == list(range(len(classes))):
            self.classes = [classes[label] for label in sorted(classes)]
        return splits

    def read(self, index: int) -> SkeletonSequence:
        """Reads one clip."""
        name = self.names[index]
        content, where = self.content(index)
        record = parse_json(content, where)
        if not isinstance(record, dict) or not isinstance(record.get('data'), list):
            raise SkeletonDataError(
                f"'{where}' is no clip of Kinetics-skeleton: expected an object with "
                f"'data', a list of frames"
            )
        label = as_label(record.get('label_index'), where)
        known = self._labels.get(index)
        if known is not None and label is not None and label != known:
            raise SkeletonDataError(
                f"'{where}' says class {label}, but the label file {known}"
            )
        keypoints, score = _poses(record['data'], len(content), where)
        return SkeletonSequence(
            keypoints,
            name,
            score=score,
            label=known if label is None else label,
            path=where,
        )


def _poses(
    frames: list[Any], num_bytes: int, where: str
) -> tuple[np.ndarray, np.ndarray]:
    poses: list[tuple[int, int, Any, Any]] = []
    num_frames, num_slots, from_zero = 0, 0, False
    for number, frame in enumerate(frames):
        if not isinstance(frame, dict) or not isinstance(frame.get('skeleton'), list):
            raise SkeletonDataError(
                f"'{where}': expected frame {number} to have 'frame_index' and "
                f"'skeleton', a list of bodies"
            )
        index = as_whole(frame.get('frame_index', number), f'{where}: frame {number}')
        if index is None:
            raise SkeletonDataError(
                f"'{where}': expected 'frame_index' of frame {number}, a whole number "
                f'(got null)'
            )
        num_frames = max(num_frames, index + 1)
        from_zero |= index == 0
        num_slots = max(num_slots, len(frame['skeleton']))
        for slot, body in enumerate(frame['skeleton']):
            if body is None:
                continue
            if not isinstance(body, dict):
                raise SkeletonDataError(
                    f"'{where}': frame {number}, body {slot}: expected 'pose' and "
                    f"'score'"
                )
            poses.append((slot, index, body.get('pose'), body.get('score')))
    if not from_zero and num_frames:
        num_frames, poses = num_frames - 1, [(s, i - 1, p, c) for s, i, p, c in poses]
    shape = (num_slots, num_frames, _JOINTS)
    check_array(shape, 12, num_bytes, where)
    keypoints = np.zeros((*shape, 2), np.float32)
    scores = np.zeros(shape, np.float32)
    for slot, index, pose, score in poses:
        place = f'{where}: frame_index {index + (not from_zero)}, body {slot}'
        pose, score = as_floats(pose, place, 2), as_floats(score, place, 1)
        if pose.shape != (2 * _JOINTS,) or score.shape != (_JOINTS,):
            raise SkeletonDataError(
                f"'{place}': expected {2 * _JOINTS} numbers x, y, x, y, ... in 'pose' "
                f"and {_JOINTS} in 'score' (got {list(pose.shape)} and "
                f'{list(score.shape)})'
            )
        keypoints[slot, index] = pose.reshape(_JOINTS, 2)
        scores[slot, index] = score
    return keypoints, scores
