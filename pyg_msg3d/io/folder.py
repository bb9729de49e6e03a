"""A user's own recordings: a folder of files and a table of labels."""

import csv
import io
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.atomic import write_atomically
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.fields import as_label, as_name, check_first_label
from pyg_msg3d.io.files import read_bytes
from pyg_msg3d.io.ntu import parse_skeleton, write_skeleton
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.recording import read_recording
from pyg_msg3d.io.sequence import SkeletonSequence

_TABLE = 'labels.csv'
_SUFFIXES = ('.npz', '.npy', '.json', '.skeleton')
_MOST_SPLITS = 100
_MOST_COLUMNS = 1000


class FolderReader(Reader):
    r"""A folder with ``labels.csv``, whose columns are ``file`` (relative to the
    folder), ``label`` and, where wanted, ``split``, a name such as ``train`` or
    ``test``. The files are recordings: ``.npz``, ``.npy`` or ``.json`` as
    :class:`RecordingReader` reads them, or ``.skeleton``.

    Labels that are all whole numbers are classes from 0, and -1 is none; other labels
    are the names of the classes, numbered in alphabetical order. A recording without a
    label has an empty one. What a recording says of its label itself does not count.

    Args:
        path (str or path): The folder.
        layout (str, optional): See :func:`read`.
        coordinates (str, optional): See :func:`read`.
        first_label (int, optional): See :func:`read`.

    Raises:
        FileNotFoundError: If there is no ``labels.csv``.
        SkeletonDataError: If the table is not what it should be; the message names the
            line.
    """

    format = 'a folder with labels.csv'
    options = ('layout', 'coordinates', 'first_label')

    def __init__(self, path: str | PathLike, **options: Any) -> None:
        super().__init__(path, **options)
        table = self.path / _TABLE
        if not table.is_file():
            raise FileNotFoundError(
                f"There is no '{printable(table)}', a table with the columns file, "
                f'label and, if wanted, split'
            )
        self.names, self._suffixes, labels, splits = _read_table(table)
        self._labels = self._number(labels, printable(table))
        members: dict[str, list[str]] = {}
        for name, split in zip(self.names, splits, strict=True):
            if split:
                members.setdefault(split, []).append(name)
        self.splits = members
        if set(self._suffixes) == {'.skeleton'}:
            self.skeleton = 'ntu-rgb+d'

    def _number(self, labels: list[str], where: str) -> list[int | None]:
        """The classes as numbers from 0, whichever way the table has them."""
        if all(_is_number(label) for label in labels):
            numbers = [int(label) if label else -1 for label in labels]
            known = [number for number in numbers if number >= 0]
            check_first_label(known, self.first_label, where)
            return [as_label(number, where, self.first_label) for number in numbers]
        self.classes = sorted(set(labels) - {'', '-1'})
        number = {label: index for index, label in enumerate(self.classes)}
        return [number.get(label) for label in labels]

    def read(self, index: int) -> SkeletonSequence:
        """Reads one recording, with the label that the table gives it."""
        file = self.file(index)
        try:
            if file.suffix.lower() == '.skeleton':
                sequence = parse_skeleton(read_bytes(file), printable(file))
            else:
                sequence = read_recording(
                    file, self.layout, self.coordinates, labelled=False
                )
        except SkeletonDataError as error:
            if os.path.isfile(file):
                raise
            raise SkeletonDataError(f'{error}; {_TABLE} names it') from error
        return replace(sequence, name=self.names[index], label=self._labels[index])

    def file(self, index: int) -> Path:
        """The file of a recording."""
        return self.path / (self.names[index] + self._suffixes[index])


def _is_number(label: str) -> bool:
    return not label or label.removeprefix('-').isdecimal()


def _read_table(path: Path) -> tuple[list[str], list[str], list[str], list[str]]:
    """Its columns: names and suffixes of the files, labels, splits."""
    where = printable(path)
    try:
        text = read_bytes(path).decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise SkeletonDataError(
            f"'{where}', byte {error.start}: expected text in UTF-8 ({error.reason})"
        ) from error
    columns: tuple[list[str], list[str], list[str], list[str]] = ([], [], [], [])
    seen: dict[str, int] = {}
    table = csv.reader(io.StringIO(text, newline=''), skipinitialspace=True)
    try:
        header = next(table, [])
        places = _places(header, where)
        for row in table:
            if not row:
                continue
            line = f"'{where}', line {table.line_num}"
            name, *rest = _row(row, len(header), places, line)
            if name in seen:
                raise SkeletonDataError(
                    f'{line}: {name[:100]!r} has a line already, line {seen[name]}'
                )
            seen[name] = table.line_num
            # Most rows share these: held once, they take little memory.
            for column, value in zip(columns, [name, *rest], strict=True):
                column.append(value if column is columns[0] else sys.intern(value))
    except csv.Error as error:
        raise SkeletonDataError(
            f"'{where}', line {table.line_num}: not a table ({error})"
        ) from error
    if not seen:
        raise SkeletonDataError(f"'{where}', line 1: the table names no file")
    if len(set(columns[3])) > _MOST_SPLITS:
        raise SkeletonDataError(
            f"'{where}' names more than {_MOST_SPLITS} splits; expected a few, such as "
            f'train and test'
        )
    return columns


def _places(header: list[str], where: str) -> dict[str, int]:
    """Where the columns of a table are."""
    if not {'file', 'label'} <= set(header):
        raise SkeletonDataError(
            f"'{where}', line 1: expected the columns file, label and, if wanted, "
            f'split (got {", ".join(header)[:200] or "nothing"})'
        )
    if len(header) > _MOST_COLUMNS:
        raise SkeletonDataError(
            f"'{where}', line 1: a table of {len(header):,} columns; expected file, "
            f'label and, if wanted, split'
        )
    return {name: place for place, name in reversed([*enumerate(header)])}


def _row(
    row: list[str], num_columns: int, places: dict[str, int], line: str
) -> tuple[str, str, str, str]:
    def value(column: str) -> str | None:
        place = places.get(column, num_columns)
        return row[place] if place < len(row) else None

    file, label = value('file'), value('label')
    if not file or label is None or len(row) > num_columns:
        raise SkeletonDataError(
            f'{line}: expected {num_columns} columns, with a file and a label, empty '
            f'where it is not known'
        )
    as_name(file, line)
    stem, dot, ending = os.path.normpath(file).rpartition('.')
    if '\0' in file or not stem or dot + ending.lower() not in _SUFFIXES:
        raise SkeletonDataError(
            f'{line}: expected a file that ends in {", ".join(_SUFFIXES)} (got '
            f'{file[:100]!r})'
        )
    if _is_number(label) and len(label) > 9:
        raise SkeletonDataError(f'{line}: {label[:40]} is no number of a class')
    return stem.replace(os.sep, '/'), dot + ending, label, value('split') or ''


def write_folder(
    root: str | PathLike,
    recordings: Iterable[tuple[SkeletonSequence, str | None, str | None]],
) -> None:
    r"""Writes recordings and their table, for :class:`FolderReader`: ``.skeleton``
    files where these hold all that is known of 25 joints in 3D, ``.npz`` files
    otherwise. Names with slashes make folders.

    Args:
        root (str or path): The folder.
        recordings (iterable): Each with the name of its class and of its split, both
            empty or :obj:`None` where there is none.

    Raises:
        SkeletonDataError: If a name leads out of the folder, or two are alike.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    with write_atomically(root / _TABLE) as binary:
        # There only when all that it names is there.
        lines = _Lines()
        table = csv.writer(lines)
        table.writerow(['file', 'label', 'split'])
        seen = set()
        for sequence, label, split in recordings:
            file = _file_of(root, sequence)
            if sequence.name in seen:
                raise SkeletonDataError(
                    f"Two recordings are called '{printable(sequence.name)}'"
                )
            seen.add(sequence.name)
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == '.skeleton':
                write_skeleton(file, sequence)
            else:
                np.savez(file, **_arrays(sequence))
            name = sequence.name + file.suffix
            table.writerow([name, label or '', split or ''])
            binary.writelines(lines.taken())


class _Lines(list):
    """What a writer of CSV writes, to be taken away line by line."""

    write = list.append

    def taken(self) -> Iterator[bytes]:
        yield from (line.encode() for line in self)
        self.clear()


def _file_of(root: Path, sequence: SkeletonSequence) -> Path:
    name = sequence.name
    inside = os.path.normpath(name)
    plain = name.encode('utf-8', 'replace').decode() == name and '\0' not in name
    if inside.startswith(('..', '/')) or inside != name or not plain:
        raise SkeletonDataError(
            f"'{printable(name)}' is no name for a file in '{printable(root)}'; give "
            f'the recording another, with dataclasses.replace(sequence, name=...)'
        )
    suffix = '.skeleton' if _fits_skeleton(sequence) else '.npz'
    return root / f'{name}{suffix}'


def _fits_skeleton(sequence: SkeletonSequence) -> bool:
    """Whether a ``.skeleton`` file loses nothing of a recording: it has states instead
    of scores, and lists the bodies of a frame without gaps."""
    score, ids, there = sequence.score, sequence.body_ids, sequence.present
    return (
        sequence.keypoints.shape[2:] == (25, 3)
        and sequence.image_size is None
        and sequence.num_frames > 0
        and score is not None
        and bool(np.isin(score, (0, 0.5, 1)).all())
        and ids is not None
        and int(ids.min(initial=0)) >= 0
        and bool((there[1:] <= there[:-1]).all())
    )


def _arrays(sequence: SkeletonSequence) -> dict[str, Any]:
    known = {
        'score': sequence.score,
        'image_size': sequence.image_size,
        'body_ids': sequence.body_ids,
    }
    dims = sequence.keypoints.shape[-1]
    return {
        'keypoints': sequence.keypoints,
        'layout': np.array('MTVC'),
        **({'coordinates': np.array('xyz'[:dims])} if dims in (2, 3) else {}),
        **{key: np.array(value) for key, value in known.items() if value is not None},
    }
