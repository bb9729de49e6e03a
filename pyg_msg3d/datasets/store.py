"""Processed clips on disk: one array that is mapped into memory, and an index.

A folder holds ``keypoints.npy``, the joints of all bodies in all frames one after the
other, float32 [rows, joints, dimensions]; ``scores.npy`` likewise where there are
scores; ``index.npz`` with a row per clip; and ``report.json``, what was skipped and
why. ``index.npz`` is written last: without it, the folder is unfinished.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.atomic import write_atomically

INDEX = 'index.npz'
_KEYPOINTS, _SCORES, _REPORT = 'keypoints.npy', 'scores.npy', 'report.json'
_JOURNAL = 'journal.jsonl'
_SPLIT = 'split:'


@dataclass(frozen=True, eq=False)
class Clip:
    """A processed clip, ``keypoints`` float32 [persons, frames, joints, dimensions]."""

    name: str
    label: int | None
    keypoints: np.ndarray
    score: np.ndarray | None = None
    image_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Skipped:
    """A recording that did not become a clip."""

    name: str
    reason: str


class ClipStore:
    r"""Reads processed clips. Opening it reads the index alone; of the clips, what is
    touched is read, once for all processes of the machine.

    Args:
        folder (path): The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with np.load(folder / INDEX, allow_pickle=False) as index:
            arrays = dict(index)
        self.names: np.ndarray = arrays['names']
        self.labels: np.ndarray = arrays['labels']
        self.num_persons: np.ndarray = arrays['persons']
        self.num_frames: np.ndarray = arrays['frames']
        self.image_sizes: np.ndarray = arrays['image_sizes']
        self.classes: list[str] = arrays['classes'].tolist()
        self.splits: dict[str, np.ndarray] = {
            key.removeprefix(_SPLIT): value
            for key, value in arrays.items()
            if key.startswith(_SPLIT)
        }
        self._ends = np.cumsum(self.num_persons * self.num_frames)
        self._arrays: dict[str, np.ndarray | None] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Clip:
        persons, frames = int(self.num_persons[index]), int(self.num_frames[index])
        end = int(self._ends[index])
        rows = slice(end - persons * frames, end)
        label, size = int(self.labels[index]), self.image_sizes[index]

        def block(array: np.ndarray) -> np.ndarray:
            return np.array(array[rows]).reshape(persons, frames, *array.shape[1:])

        scores = self._map(_SCORES)
        return Clip(
            str(self.names[index]),
            None if label < 0 else label,
            block(self._keypoints),
            None if scores is None else block(scores),
            (int(size[0]), int(size[1])) if size[0] else None,
        )

    @property
    def _keypoints(self) -> np.ndarray:
        keypoints = self._map(_KEYPOINTS)
        assert keypoints is not None
        return keypoints

    @property
    def shape(self) -> tuple[int, int]:
        """The number of joints, and of dimensions."""
        return self._keypoints.shape[1], self._keypoints.shape[2]

    @property
    def report(self) -> dict[str, Any]:
        """What was stored, and what was skipped and why."""
        return json.loads((self.folder / _REPORT).read_text())

    def _map(self, name: str) -> np.ndarray | None:
        if name not in self._arrays:
            path = self.folder / name
            self._arrays[name] = np.load(path, 'r') if path.exists() else None
        return self._arrays[name]

    def __getstate__(self) -> dict:
        # A mapped array would be sent whole.
        return {**self.__dict__, '_arrays': {}}


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
        first, *lines = whole.decode().splitlines(keepends=True) or ['']
        if first != head:
            return False
        self._records = [json.loads(line) for line in lines]
        rows = sum(r['persons'] * r['frames'] for r in self._records if 'frames' in r)
        for name in (_KEYPOINTS, _SCORES):
            if (self.folder / name).exists():
                array = _GrowingArray(self.folder / name)
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
                }
            )
        for array in self._arrays.values():
            array.sync()
        lines = [json.dumps(record) + '\n' for record in records]
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
        report = {
            'key': self._key,
            'stored': len(stored),
            'excluded': dict(excluded),
            'skipped': {record['name']: record['skipped'] for record in skipped},
        }
        with write_atomically(self.folder / _REPORT) as file:
            file.write(json.dumps(report, indent=1).encode())
        place = {record['name']: number for number, record in enumerate(stored)}
        index: dict[str, np.ndarray] = {
            'names': np.array([record['name'] for record in stored]),
            'classes': np.array(list(classes), dtype=str),
        }
        for key, field in [
            ('labels', 'label'),
            ('persons', 'persons'),
            ('frames', 'frames'),
            ('image_sizes', 'image_size'),
        ]:
            index[key] = np.array([record[field] for record in stored], np.int64)
        for split, names in splits.items():
            members = [place[name] for name in names if name in place]
            index[f'{_SPLIT}{split}'] = np.array(members, np.int64)
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
        self._begin = self._file.tell()
        self._row_bytes = 4 * int(np.prod(self.row_shape))
        self._file.seek(0, os.SEEK_END)

    def _write_header(self, rows: int) -> None:
        shape = (rows, *self.row_shape)
        head = {'descr': '<f4', 'fortran_order': False, 'shape': shape}
        self._file.seek(0)
        npy.write_array_header_1_0(self._file, head)

    @property
    def rows(self) -> int:
        return (self._file.seek(0, os.SEEK_END) - self._begin) // self._row_bytes

    def cut(self, rows: int) -> None:
        self._file.truncate(self._begin + rows * self._row_bytes)
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
