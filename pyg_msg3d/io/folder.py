"""A user's own recordings: a folder of files and a table of labels."""

import csv
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io.ntu import parse_skeleton, write_skeleton
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.recording import read_recording
from pyg_msg3d.io.sequence import SkeletonSequence

_TABLE = 'labels.csv'
_SUFFIXES = ('.npz', '.npy', '.json', '.skeleton')
_MOST_SPLITS = 100


class FolderReader(Reader):
    r"""A folder with ``labels.csv``, whose columns are ``file`` (relative to the
    folder), ``label`` and, where wanted, ``split``, a name such as ``train`` or
    ``test``. The files are recordings: ``.npz``, ``.npy`` or ``.json`` as
    :class:`RecordingReader` reads them, or ``.skeleton``.

    Labels that are all whole numbers are classes from 0; other labels are the names of
    the classes, numbered in alphabetical order.

    Args:
        path (str or path): The folder.

    Raises:
        FileNotFoundError: If there is no ``labels.csv``.
        SkeletonDataError: If the table is not what it should be; the message names the
            line.
    """

    format = 'a folder with labels.csv'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path)
        table = self.path / _TABLE
        if not table.is_file():
            raise FileNotFoundError(
                f"There is no '{table}', a table with the columns file, label and, if "
                f'wanted, split'
            )
        self.names, self._suffixes, labels, splits = _read_table(table)
        if all(label.isdecimal() for label in labels):
            self._labels = [int(label) for label in labels]
        else:
            self.classes = sorted(set(labels))
            number = {label: index for index, label in enumerate(self.classes)}
            self._labels = [number[label] for label in labels]
        members: dict[str, list[str]] = {}
        for name, split in zip(self.names, splits, strict=True):
            if split:
                members.setdefault(split, []).append(name)
        self.splits = members

    def read(self, index: int) -> SkeletonSequence:
        """Reads one recording, with the label that the table gives it."""
        file = self._file(index)
        try:
            if file.suffix.lower() == '.skeleton':
                sequence = parse_skeleton(file.read_bytes(), str(file))
            else:
                sequence = read_recording(file)
        except OSError as error:
            raise SkeletonDataError(
                f"'{str(file)[:300]}' is in {_TABLE}, but cannot be read "
                f'({error.strerror})'
            ) from error
        return replace(sequence, name=self.names[index], label=self._labels[index])

    def signature(self, index: int) -> str:
        """The bytes of the file, and its label."""
        try:
            size = self._file(index).stat().st_size
        except OSError:
            size = -1
        return f'{size} {self._labels[index]}'

    def _file(self, index: int) -> Path:
        return self.path / (self.names[index] + self._suffixes[index])


def _read_table(path: Path) -> tuple[list[str], list[str], list[str], list[str]]:
    """Its columns: names and suffixes of the files, labels, splits."""
    try:
        path.read_bytes().decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise SkeletonDataError(
            f"'{path}', byte {error.start}: expected text in UTF-8 ({error.reason})"
        ) from error
    columns: tuple[list[str], list[str], list[str], list[str]] = ([], [], [], [])
    seen = set()
    with path.open(encoding='utf-8-sig', newline='') as file:
        table = csv.DictReader(file, skipinitialspace=True)
        try:
            for name, *rest in map(partial(_row, table, path), table):
                if name in seen:
                    raise SkeletonDataError(
                        f"'{path}', line {table.line_num}: {name[:100]!r} has a line "
                        f'already'
                    )
                seen.add(name)
                # Most rows share these: held once, they take little memory.
                for column, value in zip(columns, [name, *rest], strict=True):
                    column.append(value if column is columns[0] else sys.intern(value))
        except csv.Error as error:
            raise SkeletonDataError(
                f"'{path}', line {table.line_num}: not a table ({error})"
            ) from error
        _check_columns(table, path)
    if not seen:
        raise SkeletonDataError(f"'{path}', line 1: the table names no file")
    if len(set(columns[3])) > _MOST_SPLITS:
        raise SkeletonDataError(
            f"'{path}' names more than {_MOST_SPLITS} splits; expected a few, such as "
            f'train and test'
        )
    return columns


def _check_columns(table: csv.DictReader, path: Path) -> None:
    columns = table.fieldnames or []
    if not {'file', 'label'} <= set(columns):
        raise SkeletonDataError(
            f"'{path}', line 1: expected the columns file, label and, if wanted, "
            f'split (got {", ".join(map(str, columns))[:200] or "nothing"})'
        )


def _row(
    table: csv.DictReader, path: Path, record: dict[str, str]
) -> tuple[str, str, str, str]:
    _check_columns(table, path)
    where = f"'{path}', line {table.line_num}"
    file, label = record['file'], record['label']
    if not file or not label or None in record:
        raise SkeletonDataError(
            f'{where}: expected {len(table.fieldnames or [])} columns, with a file and '
            f'a label'
        )
    stem, dot, ending = file.rpartition('.')
    if not stem or dot + ending.lower() not in _SUFFIXES:
        raise SkeletonDataError(
            f'{where}: expected a file that ends in {", ".join(_SUFFIXES)} (got '
            f'{file[:100]!r})'
        )
    if label.isdecimal() and len(label) > 9:
        raise SkeletonDataError(f'{where}: {label[:40]} is no number of a class')
    return stem, dot + ending, label, record.get('split') or ''


def write_folder(
    root: str | PathLike, recordings: Iterable[tuple[SkeletonSequence, str, str]]
) -> None:
    r"""Writes recordings and their table, for :class:`FolderReader`: ``.skeleton``
    files where they have 25 joints in 3D, ``.npz`` files otherwise.

    Args:
        root (str or path): The folder.
        recordings (iterable): Each with the name of its class and of its split, which
            may be empty.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    temporary = root / f'{_TABLE}.tmp'
    with temporary.open('w', encoding='utf-8', newline='') as file:
        table = csv.writer(file)
        table.writerow(['file', 'label', 'split'])
        for sequence, label, split in recordings:
            suffix = '.npz'
            if sequence.keypoints.shape[2:] == (25, 3):
                suffix = '.skeleton'
                write_skeleton(root / f'{sequence.name}.skeleton', sequence)
            else:
                known = {'score': sequence.score, 'image_size': sequence.image_size}
                fields = {k: np.array(v) for k, v in known.items() if v is not None}
                path = root / f'{sequence.name}.npz'
                np.savez(path, keypoints=sequence.keypoints, **fields)  # type: ignore
            table.writerow([sequence.name + suffix, label, split])
    temporary.replace(root / _TABLE)  # There only when all that it names is there.
