"""Processed clips on disk: one array, and an index that knows what it should hold.

A folder holds ``keypoints.npy``, the joints of all bodies in all frames one after the
other, float32 [rows, joints, dimensions]; ``scores.npy`` likewise where there are
scores; ``index.npz`` with a row per clip, among others a checksum of each; and
``report.json``, what was skipped and why. ``index.npz`` is written last: without it,
the folder is unfinished.
"""

import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xxhash
from numpy.lib import format as npy

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.atomic import write_atomically
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.files import open_regular, read_bytes

INDEX = 'index.npz'
_KEYPOINTS, _SCORES, _REPORT = 'keypoints.npy', 'scores.npy', 'report.json'
_JOURNAL = 'journal.jsonl'
_ARRAYS = (
    'about', 'labels', 'persons', 'frames', 'image_sizes', 'checksums', 'splits',
    'split_sizes',
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Clip:
    """A processed clip, ``keypoints`` float32 [persons, frames, joints, dimensions];
    ``assumed`` is what reading it took for granted."""

    name: str
    label: int | None
    keypoints: np.ndarray
    score: np.ndarray | None = None
    image_size: tuple[int, int] | None = None
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """A recording that did not become a clip."""

    name: str
    reason: str


class OtherVersionError(SkeletonDataError):
    """A store that another version of the library has made."""


class ClipStore:
    r"""Reads processed clips. Opening it reads the index alone; of the clips, what is
    asked for is read and compared with its checksum. The operating system keeps what
    was read, once for all processes of the machine.

    Args:
        folder (path): The folder.

    Raises:
        OtherVersionError: If another version has made it.
        SkeletonDataError: If it is damaged; also when clips are read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        arrays, self.digest = self._read_index()
        about = json.loads(arrays['about'].tobytes())
        self.names: np.ndarray = np.array(about['names'], dtype=object)
        self.labels: np.ndarray = arrays['labels']
        self.num_persons: np.ndarray = arrays['persons']
        self.num_frames: np.ndarray = arrays['frames']
        self.image_sizes: np.ndarray = arrays['image_sizes']
        self.checksums: np.ndarray = arrays['checksums']
        self.classes: list[str] = about['classes']
        #: The name of the skeleton, where the recordings tell it.
        self.skeleton: str | None = about['skeleton']
        #: What the clips were made of, and how.
        self.key: dict[str, Any] = about['key']
        #: The number of joints, and of dimensions.
        self.shape: tuple[int, int] = tuple(about['shape'])
        parts = np.split(arrays['splits'], arrays['split_sizes'].cumsum())
        self.splits: dict[str, np.ndarray] = dict(
            zip(about['splits'], parts, strict=False)
        )
        self._report_digest: str = about['report']
        self._begins: dict[str, int] = about['begins']
        self._ends = np.cumsum(self.num_persons * self.num_frames)
        self._files = self._open()

    def _read_index(self) -> tuple[dict[str, np.ndarray], str]:
        content = read_bytes(self.folder / INDEX)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as index:
                arrays = dict(index)
        except Exception as error:  # Whatever damaged bytes trip over.
            raise self.damaged(INDEX, f'{type(error).__name__}: {error}') from error
        if 'names' in arrays:
            raise OtherVersionError(
                f"'{printable(self.folder)}' was made by another version of pyg_msg3d"
            )
        digest = arrays.pop('digest', np.empty(0)).tobytes().decode('ascii', 'replace')
        if set(arrays) != set(_ARRAYS) or digest != _digest(arrays):
            raise self.damaged(INDEX, 'it does not agree with its checksum')
        return arrays, digest

    def _open(self) -> dict[str, BinaryIO]:
        """The arrays' files. They stay open: whoever makes the store anew meanwhile
        does not change what this one reads."""
        rows, files = int(self._ends[-1]), {}
        for name, begin in self._begins.items():
            size = begin + rows * self._row_bytes(name)
            files[name] = open_regular(self.folder / name)
            there = os.fstat(files[name].fileno()).st_size
            if there < size:
                raise self.damaged(name, f'{there:,} bytes, of {size:,} are left')
        return files

    def damaged(self, name: str, how: str) -> SkeletonDataError:
        """The error of a file of this store that is not as it was written."""
        return SkeletonDataError(
            f"'{printable(self.folder / name)}' is damaged ({how}). Make the clips "
            f'anew with force_reload=True'
        )

    def _row_bytes(self, name: str) -> int:
        joints, dims = self.shape
        return 4 * joints * (dims if name == _KEYPOINTS else 1)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Clip:
        if self._files is None:  # In another process.
            if self._read_index()[1] != self.digest:
                raise SkeletonDataError(
                    f"'{printable(self.folder)}' was made anew while it was in use"
                )
            self._files = self._open()
        persons, frames = int(self.num_persons[index]), int(self.num_frames[index])
        begin = int(self._ends[index]) - persons * frames
        name, label = self.names[index], int(self.labels[index])
        size = self.image_sizes[index]
        joints, dims = self.shape
        keypoints = np.empty((persons, frames, joints, dims), '<f4')
        self._read(_KEYPOINTS, begin, keypoints)
        score = None
        if _SCORES in self._files:
            score = np.empty((persons, frames, joints), '<f4')
            self._read(_SCORES, begin, score)
        if _checksum(keypoints, score) != int(self.checksums[index]):
            raise self.damaged(
                _KEYPOINTS, f"clip '{printable(name)}' does not agree with its checksum"
            )
        return Clip(
            name,
            None if label < 0 else label,
            keypoints,
            score,
            (int(size[0]), int(size[1])) if size[0] else None,
        )

    def _read(self, name: str, row: int, out: np.ndarray) -> None:
        """Fills an array with the rows from that one on."""
        file = self._files[name]
        offset = self._begins[name] + row * self._row_bytes(name)
        view = out.data.cast('B') if out.size else memoryview(b'')
        try:
            if hasattr(os, 'preadv'):  # Processes share the place of an open file.
                count = os.preadv(file.fileno(), [view], offset)
            else:
                file.seek(offset)
                count = file.readinto(view)  # type: ignore[attr-defined]
        except OSError as error:
            raise self.damaged(name, str(error.strerror)) from error
        if count < len(view):
            raise self.damaged(name, 'it was cut off while it was in use')

    @property
    def report(self) -> dict[str, Any]:
        """What was stored, and what was skipped and why."""
        content = read_bytes(self.folder / _REPORT)
        if xxhash.xxh3_128_hexdigest(content) != self._report_digest:
            raise self.damaged(_REPORT, 'it does not agree with its checksum')
        return json.loads(content)

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_files': None}


def _checksum(keypoints: np.ndarray, score: np.ndarray | None) -> int:
    state = xxhash.xxh3_64()
    for array in (keypoints, score):
        if array is not None:
            state.update(np.ascontiguousarray(array, '<f4').data)
    return state.intdigest()


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    state = xxhash.xxh3_128()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        state.update(f'{name} {array.dtype} {array.shape}\n'.encode())
        state.update(array.tobytes())
    return state.hexdigest()


def _blob(content: Any) -> np.ndarray:
    """JSON as an array of bytes: of any text, also what is no valid Unicode."""
    return np.frombuffer(json.dumps(content).encode('ascii'), np.uint8)


class StoreWriter:
    r"""Writes clips one after the other, such that whatever moment it is killed in,
    another writer goes on where it was and leaves the same bytes.

    Clips are appended and synced to disk before the journal says so; what the journal
    does not say is cut off at the next start.

    Args:
        folder (path): The folder.
        key (mapping): What the clips are made of and how. An unfinished folder of
            another key is begun anew.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = dict(key)
        head = json.dumps(self._key, sort_keys=True) + '\n'
        self._journal: BinaryIO
        self._arrays: dict[str, _GrowingArray] = {}
        self._records: list[dict[str, Any]] = []
        if not self._resume(head):
            for name in (_KEYPOINTS, _SCORES, _JOURNAL, _REPORT):
                (folder / name).unlink(missing_ok=True)
            self._journal = (folder / _JOURNAL).open('wb')
            self._journal.write(head.encode())
            _sync(self._journal)

    @property
    def num_done(self) -> int:
        """How many recordings were stored or skipped."""
        return len(self._records)

    def _resume(self, head: str) -> bool:
        path = self.folder / _JOURNAL
        if not path.exists():
            return False
        content = path.read_bytes()
        whole = content[: content.rfind(b'\n') + 1]  # Its last line may be torn.
        first, *lines = whole.decode(errors='replace').split('\n')[:-1] or ['']
        records = [_parse_line(line) for line in lines]
        if first + '\n' != head or None in records:
            return False
        self._records = [record for record in records if record is not None]
        rows = sum(r['persons'] * r['frames'] for r in self._records if 'frames' in r)
        for name in (_KEYPOINTS, _SCORES):
            if (self.folder / name).exists():
                try:
                    array = _GrowingArray(self.folder / name)
                except ValueError:  # Its header is torn.
                    self.close()
                    self._records, self._arrays = [], {}
                    return False
                self._arrays[name] = array
                if array.rows < rows:  # Not ours, or a disk that lies about syncing.
                    self.close()
                    self._records, self._arrays = [], {}
                    return False
                array.cut(rows)
        if rows and not self._arrays:
            self._records = []
            return False
        self._journal = path.open('r+b')
        self._journal.truncate(len(whole))
        self._journal.seek(0, os.SEEK_END)
        return True

    def add(self, results: Iterable[Clip | Skipped]) -> None:
        """Stores clips, and notes what was skipped, in this order."""
        records: list[dict[str, Any]] = []
        for result in results:
            if isinstance(result, Clip):
                misfit = self._misfit(result)
                if misfit is not None:
                    result = Skipped(result.name, misfit)
            if isinstance(result, Skipped):
                records.append({'name': result.name, 'skipped': result.reason})
                continue
            self._append(_KEYPOINTS, result.keypoints)
            if result.score is not None:
                self._append(_SCORES, result.score)
            persons, frames = result.keypoints.shape[:2]
            records.append(
                {
                    'name': result.name,
                    'label': -1 if result.label is None else result.label,
                    'persons': persons,
                    'frames': frames,
                    'image_size': result.image_size or (0, 0),
                    'checksum': _checksum(result.keypoints, result.score),
                }
            )
        for array in self._arrays.values():
            array.sync()
        lines = [_line(record) for record in records]
        self._journal.write(''.join(lines).encode())
        _sync(self._journal)
        self._records += records

    def _misfit(self, clip: Clip) -> str | None:
        """Why a clip cannot stand beside those before it."""
        if not self._arrays:
            return None
        expected, got = self._arrays[_KEYPOINTS].row_shape, clip.keypoints.shape[2:]
        if got != expected:
            return (
                f"'{clip.name}' has {got[0]} joints in {got[1]} dimensions, but those "
                f'before it {expected[0]} in {expected[1]}'
            )
        if (clip.score is not None) != (_SCORES in self._arrays):
            have = 'scores' if clip.score is not None else 'no scores'
            return f"'{clip.name}' has {have}, unlike those before it"
        return None

    def _append(self, name: str, value: np.ndarray) -> None:
        rows = value.reshape(-1, *value.shape[2:])
        if name not in self._arrays:
            self._arrays[name] = _GrowingArray(self.folder / name, rows.shape[1:])
        self._arrays[name].append(rows)

    def finish(
        self,
        excluded: Mapping[str, int],
        splits: Mapping[str, Sequence[str]],
        classes: Sequence[str],
        skeleton: str | None = None,
        assumed: Sequence[str] = (),
    ) -> None:
        """Writes the report and the index.

        Raises:
            SkeletonDataError: If not a single clip was stored.
        """
        stored = [record for record in self._records if 'frames' in record]
        skipped = [record for record in self._records if 'skipped' in record]
        if not stored:
            reasons = '\n'.join(f'    {r["skipped"]}' for r in skipped[:5])
            raise SkeletonDataError(
                f'Nothing to store: {len(skipped)} recordings were skipped, '
                f'{sum(excluded.values())} excluded {dict(excluded)}.\n{reasons}'
            )
        for array in self._arrays.values():
            array.close()
        place = {record['name']: number for number, record in enumerate(stored)}
        members = {
            split: [place[name] for name in names if name in place]
            for split, names in splits.items()
        }
        known = {record['name'] for record in self._records}
        absent = {
            split: sum(name not in known for name in names)
            for split, names in splits.items()
        }
        report = json.dumps(
            {
                'key': self._key,
                'stored': len(stored),
                'excluded': dict(excluded),
                'skipped': {record['name']: record['skipped'] for record in skipped},
                'absent': {split: count for split, count in absent.items() if count},
                'assumed': list(assumed),
            },
            indent=1,
        ).encode('ascii')
        with write_atomically(self.folder / _REPORT) as file:
            file.write(report)
        about = {
            'names': [record['name'] for record in stored],
            'classes': list(classes),
            'skeleton': skeleton,
            'splits': list(members),
            'key': self._key,
            'shape': self._arrays[_KEYPOINTS].row_shape,
            'begins': {name: array.begin for name, array in self._arrays.items()},
            'report': xxhash.xxh3_128_hexdigest(report),
        }
        index: dict[str, np.ndarray] = {'about': _blob(about)}
        for key, field in [
            ('labels', 'label'),
            ('persons', 'persons'),
            ('frames', 'frames'),
            ('image_sizes', 'image_size'),
        ]:
            index[key] = np.array([record[field] for record in stored], np.int64)
        index['checksums'] = np.array([r['checksum'] for r in stored], np.uint64)
        index['splits'] = np.array([*chain(*members.values())], np.int64)
        index['split_sizes'] = np.array([*map(len, members.values())], np.int64)
        index['digest'] = np.frombuffer(_digest(index).encode(), np.uint8)
        with write_atomically(self.folder / INDEX) as file:
            np.savez(file, **index)  # type: ignore[arg-type]
        self.close()
        (self.folder / _JOURNAL).unlink()

    def close(self) -> None:
        """Closes the files."""
        for array in self._arrays.values():
            array.close()
        if hasattr(self, '_journal'):
            self._journal.close()


def _line(record: Mapping[str, Any]) -> str:
    """A line of the journal: what it says, and the checksum of that."""
    text = json.dumps(record)
    return f'{text} {xxhash.xxh3_64_hexdigest(text.encode())}\n'


def _parse_line(line: str) -> dict[str, Any] | None:
    """What a line of the journal says, or None if it is not as it was written."""
    text, _, checksum = line.rpartition(' ')
    if xxhash.xxh3_64_hexdigest(text.encode()) != checksum:
        return None
    return json.loads(text)


class _GrowingArray:
    """A ``.npy`` file of float32 that grows by rows. Its header, which has room for any
    number of rows, tells them when it is closed."""

    def __init__(self, path: Path, row_shape: tuple[int, ...] | None = None) -> None:
        self._file: BinaryIO
        if row_shape is not None:
            self._file = path.open('w+b')
            self.row_shape = row_shape
            self._write_header(0)
        else:
            self._file = path.open('r+b')
            npy.read_magic(self._file)
            self.row_shape = npy.read_array_header_1_0(self._file)[0][1:]
        self.begin = self._file.tell()
        self._row_bytes = 4 * int(np.prod(self.row_shape))
        self._file.seek(0, os.SEEK_END)

    def _write_header(self, rows: int) -> None:
        shape = (rows, *self.row_shape)
        head = {'descr': '<f4', 'fortran_order': False, 'shape': shape}
        self._file.seek(0)
        npy.write_array_header_1_0(self._file, head)

    @property
    def rows(self) -> int:
        return (self._file.seek(0, os.SEEK_END) - self.begin) // self._row_bytes

    def cut(self, rows: int) -> None:
        self._file.truncate(self.begin + rows * self._row_bytes)
        self._file.seek(0, os.SEEK_END)

    def append(self, rows: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(rows, '<f4').data)

    def sync(self) -> None:
        _sync(self._file)

    def close(self) -> None:
        if not self._file.closed:
            self._write_header(self.rows)
            _sync(self._file)
            self._file.close()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
