"""Text of plain numbers: MSR Action3D and UTKinect-Action3D."""

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path, PurePosixPath

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable, say_assumed
from pyg_msg3d.io.files import Files
from pyg_msg3d.io.reader import FilesReader, Reader, check_unique
from pyg_msg3d.io.sequence import SkeletonSequence

_JOINTS = 20
_SAMPLE = re.compile(r'a(\d{1,2})_s(\d{1,2})_[et](\d{1,2})(?:_skeleton.*)?', re.I)
_SEQUENCE = re.compile(r'(?:joints_)?(s(\d{1,2})_e(\d{1,2}))', re.I)
_MSR_ACTIONS = (
    'high arm wave', 'horizontal arm wave', 'hammer', 'hand catch', 'forward punch',
    'high throw', 'draw x', 'draw tick', 'draw circle', 'hand clap', 'two hand wave',
    'side boxing', 'bend', 'forward kick', 'side kick', 'jogging', 'tennis swing',
    'tennis serve', 'golf swing', 'pick up and throw',
)  # fmt: skip
_UTKINECT_ACTIONS = (
    'walk', 'sitDown', 'standUp', 'pickUp', 'carry', 'throw', 'push', 'pull',
    'waveHands', 'clapHands',
)  # fmt: skip
# Beyond this, a number stands for nothing.
_LARGEST = 1e6
_METRES = 10


class MSRAction3DReader(FilesReader):
    r"""MSR Action3D: ``a01_s01_e01_skeleton3D.txt`` in metres, ``..._skeleton.txt`` in
    the image, four numbers in a line, x, y, z and a confidence, and twenty lines a
    frame, in the order of ``'msr-action3d-20'``.

    Confidences are left out: where they are zero, Kinect has inferred a joint from
    others, and it is where it says. Subjects of odd numbers train, even ones
    test, which are the splits.

    Args:
        path (str or path): The folder, a zip archive of it, or one file.

    Raises:
        SkeletonDataError: If it is not what it should be; the message names the line.
    """

    format = 'MSR Action3D text'
    skeleton = 'msr-action3d-20'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path, '.txt')
        kept = [name for name in self._members if _sample(name)]
        solid = [name for name in kept if 'skeleton3d' in name.lower()]
        if solid and len(solid) < len(kept):
            say_assumed(
                'Of MSR Action3D, files of 3D skeletons are taken, and those in the '
                'image left out'
            )
            kept = solid
        self._set_members(kept)
        check_unique(self.names, lambda i: self.files.where(self._members[i]))
        self.classes = _MSR_ACTIONS
        self.splits = odd_and_even(self.names)

    def read(self, index: int) -> SkeletonSequence:
        """Reads one recording."""
        content, where = self.content(index)
        rows = number_rows(content, 4, where)
        if len(rows) % _JOINTS or not len(rows):
            raise SkeletonDataError(
                f"'{where}', line {len(rows)}: expected {_JOINTS} lines a frame (got "
                f'{len(rows)} lines)'
            )
        x = rows.reshape(1, -1, _JOINTS, 4)
        x = np.where((np.abs(x) > _LARGEST).any(-1, keepdims=True), 0, x)
        match = _sample(self._members[index])
        assert match is not None
        # In the image, the third is a depth of other units; in some copies, files that
        # do not say so are in metres.
        small = x.any() and np.abs(x[..., :3]).max() < _METRES
        solid = 'skeleton3d' in self._members[index].lower() or small
        action = int(match[1])
        if not 1 <= action <= len(_MSR_ACTIONS):
            raise SkeletonDataError(f"'{where}': there is no action {action}")
        return SkeletonSequence(
            np.ascontiguousarray(x[..., : 3 if solid else 2]),
            self.names[index],
            label=action - 1,
            path=where,
        )


class UTKinectReader(Reader):
    r"""UTKinect-Action3D: ``joints_s01_e01.txt``, lines of a frame's number and sixty
    numbers, the joints of ``'kinect-20'`` in metres, with ``actionLabel.txt``, which
    says from which frame to which an action goes: ten recordings in a file.

    Args:
        path (str or path): The folder that holds both, or a zip archive of it, or one
            file, which without labels is one recording.

    Raises:
        SkeletonDataError: If it is not what it should be; the message names the line.
    """

    format = 'UTKinect-Action3D text'
    skeleton = 'kinect-20'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path)
        self.files = Files(path)
        members: dict[str, str] = {}
        for name in self.files.ending('.txt'):
            match = _SEQUENCE.fullmatch(PurePosixPath(name).stem)
            if match is None:
                continue
            sequence = _sequence(match)
            if sequence in members:
                raise SkeletonDataError(
                    f"'{self.files.where(members[sequence])}' and "
                    f"'{self.files.where(name)}' are both sequence {sequence}"
                )
            members[sequence] = name
        tables = self.files.ending('actionlabel.txt')
        if len(tables) > 1:
            raise SkeletonDataError(
                f"'{self.files.where(tables[0])}' and '{self.files.where(tables[1])}': "
                f'expected one table of actions'
            )
        segments = {}
        for name in tables:
            segments = _segments(self.files.read(name), self.files.where(name))
        unnamed = sorted(set(members) - set(segments)) if segments else []
        if unnamed:
            say_assumed(
                f'actionLabel.txt does not name {", ".join(unnamed[:10])}, whose '
                f'actions are left out'
            )
        self.classes = _UTKINECT_ACTIONS if segments else ()
        self._parts: list[tuple[str, int | None, int, int]] = []
        names = []
        for sequence in sorted(members):
            whole: list[tuple[str | None, int, int]] = []
            if not segments:
                whole = [(None, 0, 1 << 40)]
            for action, begin, end in segments.get(sequence, whole):
                label = None if action is None else _UTKINECT_ACTIONS.index(action)
                names.append(sequence if action is None else f'{sequence}_{action}')
                self._parts.append((members[sequence], label, begin, end))
        self.names = names
        check_unique(names, lambda index: self.files.where(self._parts[index][0]))
        if not names:
            raise SkeletonDataError(
                f"'{printable(path)}': expected files joints_s01_e01.txt, and "
                f'actionLabel.txt about them'
            )

    def read(self, index: int) -> SkeletonSequence:
        """Reads one recording."""
        member, label, begin, end = self._parts[index]
        where = self.files.where(member)
        rows = number_rows(self.files.read(member), 1 + 3 * _JOINTS, where)
        # Some frames stand there twice.
        keep = np.ones(len(rows), bool)
        keep[1:] = np.diff(rows[:, 0]) != 0
        keep &= (rows[:, 0] >= begin) & (rows[:, 0] <= end)
        if not keep.any():
            raise SkeletonDataError(
                f"'{where}' has no frame from {begin} to {end}, where actionLabel.txt "
                f'has {self.names[index]!r}'
            )
        x = rows[keep, 1:].reshape(1, -1, _JOINTS, 3)
        return SkeletonSequence(x, self.names[index], label=label, path=where)


def _segments(
    content: bytes, where: str
) -> dict[str, list[tuple[str | None, int, int]]]:
    """Of each sequence the actions with their first and last frames."""
    segments: dict[str, list[tuple[str | None, int, int]]] = {}
    sequence = ''
    for number, line in enumerate(content.decode('ascii', 'replace').splitlines(), 1):
        words = line.replace(':', ' ').split()
        if not words:
            continue
        match = _SEQUENCE.fullmatch(words[0]) if len(words) == 1 else None
        if match is not None:
            sequence = _sequence(match)
            segments[sequence] = []
            continue
        if (
            len(words) != 3
            or words[0] not in _UTKINECT_ACTIONS
            or not sequence
            or not all(w.isdecimal() and len(w) < 9 for w in words[1:])
        ):
            if len(words) == 3 and {w.lower() for w in words[1:]} == {'nan'}:
                continue  # This action is missing.
            raise SkeletonDataError(
                f"'{where}', line {number}: expected a sequence, s01_e01, or an action "
                f'with its first and last frame (got {printable(line, 60)!r})'
            )
        segments[sequence].append((words[0], int(words[1]), int(words[2])))
    return segments


def _sequence(match: 're.Match[str]') -> str:
    """A sequence's name, however its numbers are padded."""
    return f's{int(match[2]):02d}_e{int(match[3]):02d}'


def number_rows(content: bytes, width: int, where: str) -> np.ndarray:
    """Lines of so many numbers each, float32 ``[lines, width]``.

    Raises:
        SkeletonDataError: If one has others; the message names the line.
    """
    lines = content.split(b'\n')
    while lines and not lines[-1].strip():
        lines.pop()
    words = content.split()
    try:
        flat = np.array(words, np.float64)
    except ValueError:
        flat = None
    if flat is None or any(len(line.split()) != width for line in lines):
        for number, line in enumerate(lines, 1):
            parts = line.split()
            try:
                good = len([float(part) for part in parts]) == width
            except ValueError:
                good = False
            if not good:
                raise SkeletonDataError(
                    f"'{where}', line {number}: expected {width} numbers (got "
                    f'{printable(line[:60].decode("ascii", "replace"))!r})'
                )
    with np.errstate(over='ignore'):
        return np.asarray(flat).reshape(-1, width).astype(np.float32)


def _sample(name: str) -> 're.Match[str] | None':
    return _SAMPLE.fullmatch(PurePosixPath(name).stem)


def odd_and_even(names: Sequence[str]) -> dict[str, list[str]]:
    """Splits by the subjects that names tell, ``a01_s01_e01``: odd ones train."""
    splits: dict[str, list[str]] = {'train': [], 'test': []}
    for name in names:
        match = _sample(name)
        if match is not None:
            splits['train' if int(match[2]) % 2 else 'test'].append(name)
    return splits


def is_msr(path: Path) -> bool:
    """Whether a file's name is one of MSR Action3D."""
    return _sample(path.name) is not None


def is_utkinect(name: str) -> bool:
    """Whether a file's name is one of UTKinect-Action3D."""
    stem = PurePosixPath(name).stem
    return stem.lower() == 'actionlabel' or (
        stem.lower().startswith('joints_') and _SEQUENCE.fullmatch(stem) is not None
    )
