"""The ``.skeleton`` text files of NTU RGB+D and NTU RGB+D 120.

A file is lines of numbers: the number of frames, then for every frame the number of
bodies, and for every body a line of 10 (its id first), the number of joints, and a line
of 12 per joint: x, y, z in metres, the joint in the depth image (2) and in the colour
image (2), its orientation (4), its tracking state (0 not tracked, 1 inferred, 2
tracked).
"""

import io
import re
import threading
from array import array
from collections.abc import Container
from dataclasses import replace
from functools import cache
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io.limits import check_array
from pyg_msg3d.io.reader import FilesReader, check_unique
from pyg_msg3d.io.sequence import SkeletonSequence

_JOINTS, _BODY_FIELDS, _JOINT_FIELDS = 25, 10, 12
_NUMBER = re.compile(rb'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?')
# What programs write for NaN and infinity; Windows' own has a #.
_NO_NUMBER = re.compile(rb'[+-]?(nan(\(\w*\))?|inf(inity)?|\d\.#\w+)', re.IGNORECASE)
# The columns of a joint that nobody uses: its place in the images, its orientation. Of
# real files, some have NaN there.
_UNUSED = range(3, 11)
_LARGEST_ID = 2**63 - 1
_LARGEST = float(np.finfo(np.float32).max)
# The fast path may take 28 times the text for a moment, and more if lines are short:
# too much of a large file. Two persons for 300 frames take 1.6 MB.
_FAST_BYTES, _LINE_BYTES = 1_700_000, 16


_SAMPLE = r'S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})'


class SampleName(NamedTuple):
    """What ``SsssCcccPpppRrrrAaaa`` says."""

    setup: int
    camera: int
    performer: int
    repetition: int
    action: int

    @classmethod
    def parse(cls, name: str) -> 'SampleName | None':
        """The parts of a sample's name, or None if it is no such name."""
        match = re.fullmatch(_SAMPLE, name, re.ASCII)
        return None if match is None else cls(*map(int, match.groups()))

    def __str__(self) -> str:
        return 'S{:03d}C{:03d}P{:03d}R{:03d}A{:03d}'.format(*self)


@cache
def class_names() -> tuple[str, ...]:
    """The names of the 120 actions, of which the first 60 are NTU RGB+D 60's."""
    names = Path(__file__).with_name('ntu_classes.txt').read_text()
    return tuple(names.splitlines())


class NTUReader(FilesReader):
    r"""``.skeleton`` files of NTU RGB+D: one, a folder of them, or the distributed zip
    archive without unpacking. Labels come from the names, ``SsssCcccPpppRrrrAaaa``,
    which identify a sample wherever its file lies; others have none.

    Args:
        path (str or path): The file, folder or archive.

    Raises:
        SkeletonDataError: If there are two files of one sample.
    """

    format = 'NTU RGB+D .skeleton'
    skeleton = 'ntu-rgb+d'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path, '.skeleton')
        self.classes = class_names()
        parts = [PurePosixPath(name).name for name in self.names]
        self.names = [
            part if SampleName.parse(part) else name
            for part, name in zip(parts, self.names, strict=True)
        ]
        check_unique(self.names, lambda i: self.files.where(self._members[i]))

    def read(self, index: int) -> SkeletonSequence:
        """Reads one file."""
        sequence = parse_skeleton(*self.content(index))
        return replace(sequence, name=self.names[index])


class _Bodies(NamedTuple):
    """All bodies of all frames, one after the other."""

    num_frames: int
    frame: np.ndarray  # [B]
    slot: np.ndarray  # [B], the place in its frame
    id: np.ndarray  # [B], int64
    joints: np.ndarray  # [B, 25, 4]: x, y, z, tracking state


def parse_skeleton(content: bytes, path: str) -> SkeletonSequence:
    r"""Reads the content of a ``.skeleton`` file.

    Args:
        content (bytes): The content.
        path (str): The file's path; its last part without the ending is the name,
            and if that reads ``SsssCcccPpppRrrrAaaa``, A - 1 is the label.

    Returns:
        The sequence, with as many slots as there are bodies in the fullest frame (none,
        if there is no body at all), scores of half the tracking state, and body ids.

    Raises:
        SkeletonDataError: If the content is not what it should be; the message names
            the line.
    """
    bodies = _parse_fast(content) or _parse_lines(content, path)
    num_slots = int(bodies.slot.max()) + 1 if len(bodies.slot) else 0
    shape = (num_slots, bodies.num_frames, _JOINTS, 3)
    check_array(shape, 4, len(content), path)
    keypoints = np.zeros(shape, np.float32)
    score = np.zeros(shape[:3], np.float32)
    body_ids = np.zeros(shape[:2], np.int64)
    place = bodies.slot, bodies.frame
    keypoints[place] = bodies.joints[..., :3]
    score[place] = bodies.joints[..., 3] / 2
    body_ids[place] = bodies.id
    name = Path(path).stem
    sample = SampleName.parse(name)
    return SkeletonSequence(
        keypoints,
        name,
        score=score,
        label=sample.action - 1 if sample and sample.action else None,
        body_ids=body_ids,
        path=path,
    )


# A parser for each thread, which keeps its memory from file to file.
_local = threading.local()
# Which numbers of a body's joints: x, y, z and the tracking state of each.
_WANTED = (_JOINT_FIELDS * np.arange(_JOINTS)[:, None] + [0, 1, 2, 11]).ravel()


def _parse_fast(content: bytes) -> _Bodies | None:
    """Parses all numbers at once, as one JSON array, or gives None for content that is
    not plainly as it should be, which :func:`_parse_lines` then judges."""
    content = content.rstrip()
    if not content or len(content) > _FAST_BYTES:
        return None
    text = np.frombuffer(content, np.uint8)
    newline, space = text == ord('\n'), text == ord(' ')
    if np.count_nonzero(newline) > len(text) // _LINE_BYTES + 1000:
        return None
    # Newlines and spaces become commas, carriage returns spaces; several times as fast
    # as bytes.translate.
    document = np.full(len(text) + 2, ord('['), np.uint8)
    inside = document[1:-1]
    np.add(text, newline * np.uint8(ord(',') - ord('\n')), out=inside)
    inside += space * np.uint8(ord(',') - ord(' '))
    inside += (text == ord('\r')) * np.uint8(ord(' ') - ord('\r'))
    document[-1] = ord(']')
    if not hasattr(_local, 'parser'):
        # Where it is used, since models on GPUs without files do without it.
        import simdjson

        _local.parser = simdjson.Parser()
    try:
        numbers = _local.parser.parse(document.tobytes())
        values = np.frombuffer(numbers.as_buffer(of_type='d'))
    except (ValueError, TypeError, RuntimeError):
        return None

    starts = np.concatenate([[0], np.flatnonzero(newline) + 1, [len(text) + 1]])
    walked = _walk(content, starts.tolist())
    if walked is None:
        return None
    num_frames, frame_of, slot_of, ids, fields = walked
    # Does every line have as many numbers as it should?
    found = np.add.reduceat(space.view(np.uint8), starts[:-1], dtype=np.uint8)
    found += np.uint8(1)
    # Their sum, too, since counts of a line are kept modulo 256.
    expected = np.frombuffer(fields, np.uint8)
    if not np.array_equal(found, expected) or len(values) != expected.sum():
        return None

    # Numbers of a body: its own line, the number of joints, the joints.
    size = _BODY_FIELDS + 1 + _JOINTS * _JOINT_FIELDS
    begin = 2 + frame_of + size * np.arange(len(frame_of))
    if not (values[begin + _BODY_FIELDS] == _JOINTS).all():
        return None
    first = begin + _BODY_FIELDS + 1
    joints = values[first[:, None] + _WANTED].reshape(-1, _JOINTS, 4)
    if not np.isin(joints[..., 3], (0, 1, 2)).all():
        return None
    if not (np.abs(joints) <= _LARGEST).all():
        return None
    return _Bodies(num_frames, frame_of, slot_of, ids, joints)


def _walk(
    content: bytes, start: list[int]
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray, bytes] | None:
    """Goes from count to count, given where lines start: the number of frames, the
    frame, slot and id of each body, and how many numbers every line should have."""

    def number(line: int) -> int:
        token = content[start[line] : start[line + 1] - 1].rstrip()
        return int(token) if token.isdigit() and len(token) < 10 else -1

    fields, num_lines = [b'\1'], len(start) - 1
    frames, slots, ids = array('q'), array('q'), array('q')
    num_frames, line = number(0), 1
    for frame in range(num_frames):
        num_bodies = number(line) if line < num_lines else -1
        line += 1
        if num_bodies < 0 or line + num_bodies * (2 + _JOINTS) > num_lines:
            return None
        fields.append(_FIELDS[num_bodies] if num_bodies < 8 else _fields(num_bodies))
        for slot in range(num_bodies):
            begin = start[line]
            head = content[begin : content.find(b' ', begin)]
            if not head.isdigit() or len(head) > 19:
                return None
            if start[line + 2] - start[line + 1] > 4:  # '25', not '25.0'
                return None
            frames.append(frame)
            slots.append(slot)
            ids.append(min(int(head), _LARGEST_ID))
            line += 2 + _JOINTS
    if line != num_lines or num_frames < 1 or max(ids, default=0) == _LARGEST_ID:
        return None
    frame_of, slot_of, id_of = (
        np.frombuffer(column, np.int64) for column in (frames, slots, ids)
    )
    return num_frames, frame_of, slot_of, id_of, b''.join(fields)


def _fields(num_bodies: int) -> bytes:
    """How many numbers each line of a frame has."""
    body = bytes([_BODY_FIELDS, 1]) + bytes([_JOINT_FIELDS]) * _JOINTS
    return b'\1' + body * num_bodies


_FIELDS = [_fields(num_bodies) for num_bodies in range(8)]


class _Lines:
    """The lines of a file, with messages that name them."""

    def __init__(self, content: bytes, path: str) -> None:
        self.stream = io.BytesIO(content)
        self.path = path
        self.number = 0

    def error(self, message: str) -> SkeletonDataError:
        return SkeletonDataError(f"'{self.path}', line {self.number}: {message}")

    def fields(
        self, count: int, what: str, may_lack: Container[int] = ()
    ) -> list[bytes]:
        line = self.stream.readline()
        self.number += 1
        if not line:
            raise self.error(
                f'the file ends where {what} should be. It is cut off, or an earlier '
                f'count is too large'
            )
        fields = line.split()
        if len(fields) != count:
            raise self.error(
                f'expected {count} number{"s" * (count > 1)}, {what} (got '
                f'{len(fields)}: {_show(line)})'
            )
        for place, field in enumerate(fields):
            unused = place in may_lack and _NO_NUMBER.fullmatch(field)
            if not unused and not _NUMBER.fullmatch(field):
                raise self.error(f'expected numbers, {what} (got {_show(field)})')
        return fields

    def count(self, what: str) -> int:
        return self.whole(self.fields(1, what)[0], what)

    def whole(self, field: bytes, what: str) -> int:
        if not field.isdigit() or len(field) > 19 or int(field) > _LARGEST_ID:
            raise self.error(f'expected a whole number, {what} (got {_show(field)})')
        return int(field)


def _parse_lines(content: bytes, path: str) -> _Bodies:
    """Parses line by line and says which line is wrong."""
    lines = _Lines(content, path)
    frames, slots, ids, joints = array('q'), array('q'), array('q'), array('d')
    num_frames = lines.count('the number of frames')
    if num_frames < 1:
        raise lines.error('expected at least one frame (got 0)')
    for frame in range(num_frames):
        for slot in range(lines.count(f'the number of bodies of frame {frame}')):
            what = f'body {slot} of frame {frame}'
            head = lines.fields(
                _BODY_FIELDS, f'the id and the state of {what}', range(1, _BODY_FIELDS)
            )
            frames.append(frame)
            slots.append(slot)
            ids.append(lines.whole(head[0], f'the id of {what}'))
            num_joints = lines.count(f'the number of joints of {what}')
            if num_joints != _JOINTS:
                raise lines.error(
                    f'expected {_JOINTS} joints for {what} (got {num_joints})'
                )
            for joint in range(_JOINTS):
                fields = lines.fields(
                    _JOINT_FIELDS, f'joint {joint} of {what}', _UNUSED
                )
                values = [float(fields[i]) for i in (0, 1, 2, 11)]
                if max(map(abs, values)) > _LARGEST:
                    raise lines.error(
                        f'joint {joint} of {what} is beyond float32 '
                        f'({_show(b" ".join(fields[:3]))})'
                    )
                if values[3] not in (0, 1, 2):
                    raise lines.error(
                        f'expected a tracking state of 0, 1 or 2 (got '
                        f'{_show(fields[11])})'
                    )
                joints.extend(values)
    for rest in lines.stream:
        lines.number += 1
        if rest.strip():
            raise lines.error(
                f'expected the end of the file after the {num_frames} frames that its '
                f'first line declares (got {_show(rest)})'
            )
    return _Bodies(
        num_frames,
        np.array(frames, np.int64),
        np.array(slots, np.int64),
        np.array(ids, np.int64),
        np.array(joints).reshape(-1, _JOINTS, 4),
    )


def _show(text: bytes) -> str:
    shown = text[:60].decode('ascii', 'backslashreplace').strip()
    return repr(shown + '...' if len(text) > 60 else shown)


def write_skeleton(
    path: str | PathLike, sequence: SkeletonSequence, newline: str = '\r\n'
) -> None:
    r"""Writes a ``.skeleton`` file, as NTU RGB+D's are written; what a sequence does
    not know (the joints in the images, orientations, the state of hands) becomes 0.

    Reading it again gives the same float32 coordinates, tracking states and body ids.

    Args:
        path (str or path): The file.
        sequence (SkeletonSequence): 25 joints in three dimensions. A body is written
            to the frames where it is present (not all zero).
        newline (str, optional): The end of a line. (default: :obj:`'\\r\\n'`)
    """
    keypoints = sequence.keypoints
    if keypoints.shape[2:] != (_JOINTS, 3):
        raise ValueError(
            f'Expected {_JOINTS} joints in 3 dimensions (got {list(keypoints.shape)})'
        )
    score = sequence.score
    if score is None:
        score = (keypoints != 0).any(-1)
    states = np.rint(2 * score)
    present = sequence.present
    head = f'{{}} 0 0 0 0 0 0 0 0 2{newline}{_JOINTS}{newline}'
    joint = f'%.9g %.9g %.9g 0 0 0 0 0 0 0 0 %d{newline}'
    lines = [f'{sequence.num_frames}{newline}']
    for frame in range(sequence.num_frames):
        slots = np.flatnonzero(present[:, frame])
        lines.append(f'{len(slots)}{newline}')
        for slot in slots:
            known = sequence.body_ids
            body_id = slot + 1 if known is None else known[slot, frame]
            values = np.column_stack([keypoints[slot, frame], states[slot, frame]])
            lines.append(head.format(int(body_id)))
            lines.append(joint * _JOINTS % tuple(values.ravel().tolist()))
    Path(path).write_bytes(''.join(lines).encode('ascii'))
