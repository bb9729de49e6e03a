"""UTD-MHAD's skeletons, and other MATLAB files of one."""

import io
import re
import zlib
from os import PathLike
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io.limits import check_expansion
from pyg_msg3d.io.numbers_text import odd_and_even
from pyg_msg3d.io.reader import FilesReader, check_unique
from pyg_msg3d.io.sequence import SkeletonSequence

_SAMPLE = re.compile(r'a(\d{1,2})_s(\d{1,2})_t(\d{1,2})(?:_skeleton)?', re.I)
_KEY = 'd_skel'
_COMPRESSED = 15
_ACTIONS = (
    'swipe left', 'swipe right', 'wave', 'clap', 'throw', 'arm cross',
    'basketball shoot', 'draw x', 'draw circle clockwise',
    'draw circle counter clockwise', 'draw triangle', 'bowling', 'boxing',
    'baseball swing', 'tennis swing', 'arm curl', 'tennis serve', 'push', 'knock',
    'catch', 'pick up and throw', 'jog', 'walk', 'sit to stand', 'stand to sit',
    'lunge', 'squat',
)  # fmt: skip


class UTDMHADReader(FilesReader):
    r"""UTD-MHAD: MATLAB files ``a1_s1_t1_skeleton.mat`` with ``d_skel``
    :math:`(20, 3, T)`, in metres and in the order of ``'utd-mhad-20'``. Subjects of odd
    numbers train, even ones test, which are the splits. Needs scipy.

    Args:
        path (str or path): The folder, a zip archive of it, or one file.

    Raises:
        SkeletonDataError: If it is not what it should be.
        ImportError: If scipy is not installed.
    """

    format = 'UTD-MHAD .mat'
    skeleton = 'utd-mhad-20'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path, '.mat')
        skeletons = [name for name in self._members if _sample(name)]
        self._set_members(skeletons or self._members)
        check_unique(self.names, lambda i: self.files.where(self._members[i]))
        self.classes = _ACTIONS if skeletons else ()
        if len(skeletons) > 1:
            self.splits = odd_and_even(self.names)

    def read(self, index: int) -> SkeletonSequence:
        """Reads one recording."""
        content, where = self.content(index)
        skel = _load(content, where).get(_KEY)
        if skel is None or skel.ndim not in (2, 3) or skel.shape[:2] != (20, 3):
            raise SkeletonDataError(
                f"'{where}': expected {_KEY!r} of shape [20 joints, 3, frames] (got "
                f'{None if skel is None else list(skel.shape)})'
            )
        x = np.atleast_3d(skel).transpose(2, 0, 1)[None]
        match = _sample(self._members[index])
        label = None if match is None else int(match[1]) - 1
        if label is not None and not 0 <= label < len(_ACTIONS):
            raise SkeletonDataError(f"'{where}': there is no action {label + 1}")
        return SkeletonSequence(
            np.ascontiguousarray(x, np.float32),
            self.names[index],
            label=label,
            path=where,
        )


def _load(content: bytes, where: str) -> dict[str, np.ndarray]:
    """The arrays of numbers in a MATLAB file; nothing else in it is looked at."""
    try:
        from scipy.io import loadmat, whosmat
    except ImportError as error:
        raise ImportError(
            "MATLAB files need scipy: pip install 'pyg_msg3d[formats]'"
        ) from error
    try:
        check_expansion(_unfolded(content), len(content), where)
        names = [
            name
            for name, _, kind in whosmat(io.BytesIO(content))
            if name == _KEY and kind in ('double', 'single')
        ]
        found: dict[str, Any] = loadmat(io.BytesIO(content), variable_names=names)
    except SkeletonDataError:
        raise
    except Exception as error:  # Whatever damaged bytes trip over.
        raise SkeletonDataError(
            f"'{where}' is no MATLAB file of version 5 to 7, or a damaged one "
            f'({type(error).__name__}: {str(error)[:200]}); {len(content)} bytes from '
            f'byte 0'
        ) from error
    return {key: found[key] for key in names}


def _unfolded(content: bytes) -> int:
    """How many bytes the compressed parts of a file unfold to, as far as that is no
    more than reading may take."""
    total, place = 0, 128
    most = 16 * len(content) + (8 << 20)
    while place + 8 <= len(content) and total <= most:
        kind = int.from_bytes(content[place : place + 4], 'little')
        size = int.from_bytes(content[place + 4 : place + 8], 'little')
        if kind == _COMPRESSED:
            part = content[place + 8 : place + 8 + size]
            total += len(zlib.decompressobj().decompress(part, most + 1))
        place += 8 + size
    return total


def _sample(name: str) -> 're.Match[str] | None':
    return _SAMPLE.fullmatch(PurePosixPath(name).stem)
