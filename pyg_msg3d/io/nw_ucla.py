"""NW-UCLA in the JSON form that CTR-GCN distributes."""

import re
from os import PathLike
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io.fields import as_floats, as_label
from pyg_msg3d.io.jsons import parse_json
from pyg_msg3d.io.reader import FilesReader, check_unique
from pyg_msg3d.io.sequence import SkeletonSequence

_JOINTS = 20
_CLASSES = (
    'pick up with one hand',
    'pick up with two hands',
    'drop trash',
    'walk around',
    'sit down',
    'stand up',
    'donning',
    'doffing',
    'throw',
    'carry',
)
_TRAIN_VIEWS = (1, 2)
_NAME = r'a(\d{1,4})_s(\d{1,4})_e(\d{1,4})_v(\d{1,4})'


class NWUCLAName(NamedTuple):
    """What ``aAA_sSS_eEE_vVV`` says."""

    action: int
    subject: int
    trial: int
    view: int

    @classmethod
    def parse(cls, name: str) -> 'NWUCLAName | None':
        """The parts of a sequence's name, or None if it is no such name."""
        match = re.fullmatch(_NAME, name, re.ASCII)
        return None if match is None else cls(*map(int, match.groups()))


class NWUCLAReader(FilesReader):
    r"""The skeletons of NW-UCLA: ``all_sqe.zip`` as it is, the unpacked folder, or one
    ``aAA_sSS_eEE_vVV.json`` of it. One person, 20 joints of Kinect v1 in metres. Views
    1 and 2 train, view 3 tests.

    Args:
        path (str or path): The archive, folder or file.

    Raises:
        SkeletonDataError: If it is not what it should be.
    """

    format = 'NW-UCLA JSON'
    skeleton = 'kinect-20'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path, '.json')
        self.classes = _CLASSES
        # A sequence's name identifies it, wherever its file lies. In a folder there may
        # be others; a single file may be called as it likes.
        short = [PurePosixPath(name).name for name in self.names]
        if len(self._members) > 1:
            known = zip(self._members, map(NWUCLAName.parse, short), strict=True)
            self._set_members([member for member, parts in known if parts])
            short = [PurePosixPath(name).name for name in self.names]
        self.names = short
        check_unique(self.names, lambda i: self.files.where(self._members[i]))
        splits: dict[str, list[str]] = {'train': [], 'test': []}
        for name in self.names:
            parts = NWUCLAName.parse(name)
            if parts is not None:
                split = 'train' if parts.view in _TRAIN_VIEWS else 'test'
                splits[split].append(name)
        self.splits = splits

    def read(self, index: int) -> SkeletonSequence:
        """Reads one sequence."""
        content, where = self.content(index)
        record = parse_json(content, where)
        if not isinstance(record, dict) or 'skeletons' not in record:
            raise SkeletonDataError(
                f"'{where}' is not a sequence of NW-UCLA: expected JSON with "
                f"'skeletons', an array [frames, {_JOINTS}, 3], and 'label'"
            )
        x = as_floats(record['skeletons'], f'{where}: skeletons')
        if x.ndim != 3 or len(x) < 1 or x.shape[1:] != (_JOINTS, 3):
            raise SkeletonDataError(
                f"'{where}': expected 'skeletons' of shape [frames, {_JOINTS} joints, "
                f'3] with at least one frame (got {list(x.shape)})'
            )
        label = as_label(record.get('label'), where, first_label=1)
        if label is not None and label >= len(_CLASSES):
            raise SkeletonDataError(
                f"'{where}': 'label' must be 1 to {len(_CLASSES)} (got {label + 1})"
            )
        return SkeletonSequence(
            np.ascontiguousarray(x[None]),
            self.names[index],
            label=label,
            path=where,
        )
