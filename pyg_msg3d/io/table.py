"""Tables of key points as text: a row for each frame, or for each joint of one."""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable, say_assumed
from pyg_msg3d.io.files import read_bytes
from pyg_msg3d.io.limits import check_array
from pyg_msg3d.io.numbering import split_name
from pyg_msg3d.io.reader import Reader, check_unique
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.io.tracks import Body, Tracks
from pyg_msg3d.skeletons import skeleton

_MOST_COLUMNS = 10_000
_AXES = {'x': 0, 'y': 1, 'z': 2}
# What stands for a joint's score, and for Kinect's states, which go up to 2.
_SCORES = ('v', 'vis', 'visibility', 'c', 'conf', 'confidence', 'score', 'likelihood')
_STATES = ('state', 'trackingstate')
_LAST = '|'.join((*_AXES, *_SCORES, *_STATES))
_NUMBERED = re.compile(rf'({_LAST})[_. ]?(\d+)')
_AFTER = re.compile(rf'([a-z _.]*?)[_. ]?(\d+)[_. ]?({_LAST})')
_NAMED = re.compile(rf'(.+?)[_. ]?({_LAST})')
_BEFORE = re.compile(rf'({_LAST})[_. ](.+)')
# Columns that say of a row what it is.
_ROLES = {
    'frame': ('frame', 'frameid', 'framenumber', 'framenum', 'frameno', 'frameindex',
              'image', 'timestamp', 'timestampms', 'time', 'capturetime', 't'),
    'person': ('person', 'personid', 'trackingid', 'bodyid', 'trackid', 'bodyindex'),
    'label': ('label', 'class', 'action', 'activity', 'target'),
    'clip': ('file', 'filename', 'filepath', 'path', 'video', 'videoname', 'videoid',
             'videopath', 'clip', 'clipid', 'clipname', 'sequence', 'sequenceid',
             'sequencename', 'seq', 'seqid', 'sample', 'sampleid', 'recording',
             'recordingid', 'session', 'sessionid', 'trial', 'name'),
    'joint': ('joint', 'jointid', 'jointname', 'landmark', 'landmarkid', 'keypoint',
              'landmarkname', 'pointindex', 'landmarkindex'),
}  # fmt: skip
_LONG = {'x': ('x', 'positionx', 'posx'), 'y': ('y', 'positiony', 'posy'),
         'z': ('z', 'positionz', 'posz'), 'score': (*_SCORES, *_STATES)}  # fmt: skip
# Joints that tools call otherwise than our skeletons.
_ALIASES = {
    'mediapipe-pose-33': {
        'left pinky': 'left little finger', 'right pinky': 'right little finger',
        'left index': 'left index finger', 'right index': 'right index finger',
        'left foot index': 'left foot tip', 'right foot index': 'right foot tip',
    },
    'ntu-rgb+d': {'spine mid': 'spine middle'},
    'kinect-20': {
        'hip center': 'hip centre', 'shoulder center': 'shoulder centre',
    },
    'coco-17': {},
    'openpose-25': {'mid hip': 'middle hip'},
}  # fmt: skip
# By their numbers alone, where columns count joints.
_COUNTS = {33: 'mediapipe-pose-33', 21: 'hand-21', 17: None, 25: None, 20: None}


class _Column(NamedTuple):
    joint: str
    axis: int  # 0, 1, 2, or 3 for a score.
    divisor: float


class TableReader(Reader):
    r"""A table as text (``.csv``, ``.tsv``) with a header, of these kinds:

    - a row for each frame, with columns for each joint and coordinate: by number
      (``x_0``, ``x1``, ``landmark_0_x``) or by name (``nose_x``, ``SpineBase_X``,
      ``SpineBaseX``, ``X_NOSE``), as MediaPipe's users and Kinect's recorders write
      them; scores under ``v``, ``visibility``, ``conf``, ``state``;
    - a row for each joint in a frame: ``frame``, ``joint``, ``x``, ``y``, ``z``.

    Further columns tell frames (``frame``, ``timestamp``), persons (``person``,
    ``TrackingID``), recordings (``file``, ``video``) and classes (``label``,
    ``class``). Where rows have classes, but neither recordings nor frames, rows in a
    row with one class are one recording, which is said. Empty cells were not seen.

    Args:
        path (str or path): The file.
        first_label (int, optional): See :func:`read`.

    Raises:
        SkeletonDataError: If it is no such table; the message names the line.
    """

    format = 'a table of key points'
    options = ('skeleton',)

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path)
        self._where = printable(path)
        content = read_bytes(path)
        self._num_bytes = len(content)
        rows = _rows(content, self._where)
        header = next(rows)[1]
        self._wide(header)
        self._clips: list[dict[Any, dict[int, np.ndarray]]] = []
        self._labels: list[str] = []
        self._numbers: dict[str, int] = {}  # Of joints, where each has a row.
        self._people = {'': 0}
        names = self._read(rows, len(header))
        found = sorted({label for label in self._labels if label})
        self.classes = [] if all(map(_is_number, found)) else found
        self.names = _numbered_apart(names)
        check_unique(self.names, lambda index: self._where)
        self._find_skeleton()

    # Columns -------------------------------------------------------------------

    def _wide(self, header: Sequence[str]) -> None:
        """Finds out what each column is."""
        plain = [_plain(name) for name in header]
        self._roles = {
            role: next((i for i, name in enumerate(plain) if name in names), None)
            for role, names in _ROLES.items()
        }
        long = {
            part: next((i for i, name in enumerate(plain) if name in names), None)
            for part, names in _LONG.items()
        }
        if self._roles['joint'] is not None and None not in (long['x'], long['y']):
            self._long: dict[str, int | None] | None = long
            self._columns: dict[int, _Column] = {}
            return
        self._long = None
        taken = {place for place in self._roles.values() if place is not None}
        self._columns = {
            place: column
            for place, name in enumerate(header)
            if place not in taken and (column := _column(name)) is not None
        }
        self._without_prefix()
        taken_for: dict[tuple[str, int], int] = {}
        for place, column in self._columns.items():
            other = taken_for.setdefault((column.joint, column.axis), place)
            if other != place:
                raise SkeletonDataError(
                    f"'{self._where}', line 1: the columns {header[other]!r} and "
                    f'{header[place]!r} are the same coordinate of one joint'
                )
        complete = [
            joint
            for joint in dict.fromkeys(c.joint for c in self._columns.values())
            if {0, 1} <= {c.axis for c in self._columns.values() if c.joint == joint}
        ]
        if not complete:
            raise SkeletonDataError(
                f"'{self._where}', line 1: expected columns of joints, such as x_0, "
                f'y_0, ... or nose_x, nose_y, ... (got '
                f'{printable(", ".join(header), 200) or "nothing"})'
            )
        known = set(complete)
        self._columns = {i: c for i, c in self._columns.items() if c.joint in known}
        numbered = all(name.isdecimal() for name in complete)
        self._joints = sorted(complete, key=int) if numbered else complete

    def _without_prefix(self) -> None:
        """Joints by their numbers alone, where the same word stands before all."""
        parts = [column.joint.rpartition(' ') for column in self._columns.values()]
        alike = len({before for before, _, _ in parts}) == 1
        if alike and all(number.isdecimal() for *_, number in parts):
            self._columns = {
                place: column._replace(joint=column.joint.rpartition(' ')[2])
                for place, column in self._columns.items()
            }

    # Rows ----------------------------------------------------------------------

    def _read(
        self, rows: Iterable[tuple[int, list[str]]], num_columns: int
    ) -> list[str]:
        """Takes the rows; returns the names of recordings."""
        names: list[str] = []
        place: dict[tuple[str, str], int] = {}
        roles = self._roles
        run = roles['clip'] is None and roles['frame'] is None
        last: tuple[str, str] | None = None
        if self._long is not None:
            self._joints = []
        for line, row in rows:
            if not row:
                continue
            where = f"'{self._where}', line {line}"
            if len(row) != num_columns:
                raise SkeletonDataError(
                    f'{where}: expected {num_columns} columns (got {len(row)})'
                )

            def cell(role: str, row: list[str] = row) -> str:
                at = roles[role]
                return '' if at is None else row[at].strip()

            video, frame = _frame(cell('frame'))
            clip = cell('clip') or video
            key = clip, cell('label')
            if key not in place or (run and key != last):
                place[key] = len(names)
                names.append(clip or self.path.stem)
                self._clips.append({})
                self._labels.append(key[1])
            frames, last = self._clips[place[key]], key
            person = self._person(cell('person'))
            if frame is None:
                frame = len(frames)
            if self._long is not None:
                self._take_joint(frames, frame, person, row, cell('joint'), where)
                continue
            people = frames.setdefault(frame, {})
            if person in people:
                raise self._twice(where)
            people[person] = self._pose(row, where)
        if not names:
            raise SkeletonDataError(f"'{self._where}': the table has no rows")
        if run and roles['label'] is not None and len(names) > 1:
            say_assumed(
                'Rows in a row with one class are taken for the frames of one '
                "recording; a column 'file' or 'video' tells recordings"
            )
        return names

    def _twice(self, where: str) -> SkeletonDataError:
        return SkeletonDataError(
            f'{where}: the same frame stands there already. Several recordings need a '
            f"column that tells them apart, such as 'video', and several people one "
            f"such as 'person'"
        )

    def _person(self, text: str) -> int:
        """Who it is, from 1 where the table says it; ids of 17 digits, or names."""
        return self._people.setdefault(text, len(self._people)) if text else 0

    def _pose(self, row: list[str], where: str) -> np.ndarray:
        """The joints ``[V, 4]`` of a row, NaN where a cell is empty."""
        number = {joint: v for v, joint in enumerate(self._joints)}
        pose = np.full((len(self._joints), 4), np.nan, np.float32)
        for place, column in self._columns.items():
            value = _float(row[place], where)
            pose[number[column.joint], column.axis] = value / column.divisor
        return pose

    def _take_joint(
        self, frames: dict, frame: Any, person: int, row: list[str], joint: str,
        where: str,
    ) -> None:  # fmt: skip
        assert self._long is not None
        if joint not in self._numbers:
            if len(self._numbers) >= _MOST_COLUMNS:
                raise SkeletonDataError(f'{where}: a joint too many, {joint[:40]!r}')
            self._numbers[joint] = len(self._joints)
            self._joints.append(joint)
        values = [
            np.nan if place is None else _float(row[place], where)
            for place in self._long.values()
        ]
        pose = frames.setdefault(frame, {}).setdefault(person, {})
        if joint in pose:
            raise self._twice(where)
        pose[joint] = values

    # Recordings ----------------------------------------------------------------

    def _find_skeleton(self) -> None:
        count = len(self._joints)
        named = None
        if not all(joint.isdecimal() for joint in self._joints):
            named = _named(self._joints)
        if named is not None:
            own = skeleton(named[0])
            self.skeleton = own.name
            self._order = named[1]
            # What else there is, is left out; another skeleton may take it.
            place = dict(zip(named[1], own.joints, strict=True))
            self.holds = tuple(place.get(i, j) for i, j in enumerate(self._joints))
        else:
            self.skeleton = _COUNTS.get(count)
            if self._long is not None and all(j.isdecimal() for j in self._joints):
                order = sorted(range(count), key=lambda v: int(self._joints[v]))
                self._order = order

    def read(self, index: int) -> SkeletonSequence:
        """Reads one recording."""
        frames = self._clips[index]
        where = f'{self._where}: {self.names[index]}'
        numbers = _places(list(frames))
        check_array((max(numbers) + 1, len(self._joints), 4), 4, self._num_bytes, where)
        poses = []
        for people in frames.values():
            poses.append({who: self._whole(pose) for who, pose in people.items()})
        stacked = np.stack([pose for people in poses for pose in people.values()])
        dims = 3 if np.isfinite(stacked[..., 2]).any() else 2
        scored = bool(np.isfinite(stacked[..., 3]).any())
        tracks = Tracks(where)
        for number, people in sorted(
            zip(numbers, poses, strict=True), key=lambda pair: pair[0]
        ):
            tracks.add(number, [
                Body(self.picked(_seen(pose, dims, scored)), who or None)
                for who, pose in people.items()
            ])  # fmt: skip
        joints = len(self._order) or len(self._joints)
        x, score, ids = tracks.arrays(max(numbers) + 1, joints, dims, self._num_bytes)
        if not len(x):
            x = np.zeros((1, max(numbers) + 1, joints, dims), np.float32)
            score, ids = np.zeros(x.shape[:3], np.float32), np.zeros(x.shape[:2], int)
        return SkeletonSequence(
            x, self.names[index], score if scored else None,
            label=self._label(index), body_ids=ids, path=where,
        )  # fmt: skip

    def _whole(self, pose: Any) -> np.ndarray:
        if isinstance(pose, np.ndarray):
            return pose
        rows = np.full((len(self._joints), 4), np.nan, np.float32)
        for joint, values in pose.items():
            rows[self._numbers[joint]] = values
        return rows

    def _label(self, index: int) -> int | None:
        label = self._labels[index]
        if not label:
            return None
        return list(self.classes).index(label) if self.classes else int(label)


def _rows(content: bytes, where: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells; the first that has joints in it is the header."""
    try:
        text = content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise SkeletonDataError(
            f"'{where}', byte {error.start}: expected text in UTF-8 ({error.reason})"
        ) from error
    first = text[:4096]
    mark = max('\t;,', key=first.count)
    table = csv.reader(io.StringIO(text, newline=''), delimiter=mark)
    begun = False
    try:
        for row in table:
            if len(row) > _MOST_COLUMNS:
                raise SkeletonDataError(
                    f"'{where}', line {table.line_num}: a table of {len(row):,} columns"
                )
            if mark == ';' and begun:  # As in Europe: 0,5.
                row = [cell.replace(',', '.') for cell in row]
            # Some recorders write a line of their settings first.
            begun = begun or len(row) > 3 or table.line_num > 3
            if begun:
                yield table.line_num, row
    except csv.Error as error:
        raise SkeletonDataError(
            f"'{where}', line {table.line_num}: not a table ({error})"
        ) from error
    if not begun:
        yield 1, []


def _column(name: str) -> _Column | None:
    text = name.strip().lower()
    if match := _NUMBERED.fullmatch(text):
        last, joint = match.groups()
    elif match := _AFTER.fullmatch(text):
        prefix, joint, last = match.groups()
        joint = f'{prefix} {int(joint)}'.strip()
    elif (match := _BEFORE.fullmatch(text)) and match[1] in (*_AXES, *_SCORES[2:3]):
        last, joint = match.groups()
    elif match := _NAMED.fullmatch(text):
        joint, last = match.groups()
    else:
        return None
    divisor = 2.0 if last in _STATES else 1.0
    joint = str(int(joint)) if joint.isdecimal() else joint
    return _Column(joint, _AXES.get(last, 3), divisor)


def _named(joints: Sequence[str]) -> tuple[str, list[int]] | None:
    """The largest skeleton all of whose joints are there by name, and where."""
    there = {_plain(joint): v for v, joint in enumerate(joints)}
    best: tuple[str, list[int]] | None = None
    for name, aliases in _ALIASES.items():
        other = {ours: theirs for theirs, ours in aliases.items()}
        order = []
        for joint in skeleton(name).joints:
            words = [joint, other.get(joint, joint)]
            words += [_turned(word) for word in words]
            at = next((there[_plain(w)] for w in words if _plain(w) in there), None)
            if at is None:
                break
            order.append(at)
        else:
            if best is None or len(order) > len(best[1]):
                best = name, order
    return best


def _turned(name: str) -> str:
    """``left shoulder`` as Kinect has it, ``shoulder left``."""
    side, _, rest = name.partition(' ')
    return f'{rest} {side}' if side in ('left', 'right') else name


def _plain(name: str) -> str:
    return re.sub('[^a-z0-9]', '', name.lower())


def _is_number(text: str) -> bool:
    return text.removeprefix('-').isdecimal() and len(text) < 7


def _float(text: str, where: str) -> float:
    text = text.strip()
    if text.lower() in ('', 'na', 'nan', 'none', 'null', '-inf', 'inf'):
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise SkeletonDataError(
            f'{where}: expected a number (got {printable(repr(text), 60)})'
        ) from None


def _frame(text: str) -> tuple[str, Any]:
    """The video and the number, or the time, of a frame; None where there is none."""
    if not text:
        return '', None
    try:
        value = float(text)
    except ValueError:
        # The name of an image.
        path = PurePosixPath(text.replace('\\', '/'))
        video, _, number = split_name(path.stem)
        folder = str(path.parent)
        return (video if folder == '.' else f'{folder}/{video}').strip('_.- /'), number
    return '', value if math.isfinite(value) else None


def _places(frames: Sequence[float]) -> list[int]:
    """The places of frames in time: as they are numbered, or in the order of times."""
    if all(float(n).is_integer() for n in frames):
        first = int(min(frames))
        step = math.gcd(*(int(n) - first for n in frames)) or 1
        places = [(int(n) - first) // step for n in frames]
        if max(places) < 4 * len(places):  # Not times in milliseconds.
            return places
    order = sorted(range(len(frames)), key=lambda i: frames[i])
    return [place for _, place in sorted(zip(order, range(len(order)), strict=True))]


def _seen(pose: np.ndarray, dims: int, scored: bool) -> np.ndarray:
    """Coordinates and score, zeros where a joint was not seen."""
    x, score = pose[:, :dims], pose[:, 3]
    score = score if scored else np.ones_like(score)
    unseen = np.isnan(x).any(1) | ~(score > 0)
    found = np.concatenate([x, score[:, None]], axis=1)
    return np.where(unseen[:, None], 0, found).astype(np.float32)


def _numbered_apart(names: Sequence[str]) -> list[str]:
    """Recordings of one name by a number as well."""
    if len(set(names)) == len(names):
        return list(names)
    counts: dict[str, int] = {}
    apart = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        apart.append(f'{name}/{counts[name]}')
    return apart
