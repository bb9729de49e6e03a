"""A user's own recordings: a folder of files and a table of labels."""

import csv
import io
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.atomic import write_atomically
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.arrays import open_npy
from pyg_msg3d.io.class_folders import say_classes, splits_of
from pyg_msg3d.io.fields import as_label, as_name, check_first_label
from pyg_msg3d.io.files import Files, files_under, open_regular, read_bytes
from pyg_msg3d.io.frame_files import FrameFilesReader
from pyg_msg3d.io.ntu import write_skeleton
from pyg_msg3d.io.numbering import is_numbered
from pyg_msg3d.io.reader import Reader, check_unique
from pyg_msg3d.io.recognise import ENDINGS, SEVERAL, recognise_file, recognise_frames
from pyg_msg3d.io.recording import RecordingReader
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.skeletons import Skeleton

_TABLE = 'labels.csv'
_ENDINGS_ALONE = {'', '.', '..', *ENDINGS}
_LOOKED_AT = 5
_MOST_SPLITS = 100
_MOST_COLUMNS = 1000


class FolderReader(Reader):
    r"""A folder of recordings: with ``labels.csv``, or with a folder for each class.

    The columns of ``labels.csv`` are ``file`` (relative to the folder), ``label`` and,
    where wanted, ``split``, a name such as ``train`` or ``test``. A file is whatever
    :func:`read` knows; all recordings in it have that label.

    Labels that are all whole numbers are classes from 0, and -1 is none; other labels
    are the names of the classes, numbered in alphabetical order. A recording without a
    label has an empty one. What a recording says of its label itself does not count.

    Without ``labels.csv``, the folders in it are the classes, which is said, or
    ``train``, ``test`` and ``val``, each with a folder for each class. Files beside
    them have no label.

    Args:
        path (str or path): The folder.
        layout (str, optional): See :func:`read`.
        coordinates (str, optional): See :func:`read`.
        first_label (int, optional): See :func:`read`.

    Raises:
        SkeletonDataError: If the table is not what it should be; the message names the
            line.
    """

    format = 'a folder with labels.csv'
    options = ('layout', 'coordinates', 'first_label', 'skeleton')

    def __init__(self, path: str | PathLike, **options: Any) -> None:
        super().__init__(path, **options)
        table = self.path / _TABLE
        if table.is_file():
            files, labels, splits = _read_table(table)
        else:
            self.format = 'a folder for each class'
            files, labels, splits = _list_classes(self.path)
        numbers = self._number(labels, printable(table))
        self._chosen: Skeleton | None = None
        self._last: Reader | None = None
        self._files: list[str] = []
        #: Which of a file's recordings; None where there is one.
        self._inside: list[int | None] = []
        self._labels: list[int | None] = []
        names: list[str] = []
        members: dict[str, list[str]] = {}
        for file, label, split in zip(files, numbers, splits, strict=True):
            stem = file.removesuffix(_ending(file))
            inside: list[tuple[str, int | None]] = [(stem, None)]
            if _ending(file).lower() in SEVERAL and os.path.isfile(self.path / file):
                found = self._open(self.path / file).names
                if len(found) > 1:
                    inside = [(f'{stem}/{n}', i) for i, n in enumerate(found)]
            for name, index in inside:
                names.append(name)
                self._files.append(file)
                self._inside.append(index)
                self._labels.append(label)
                if split:
                    members.setdefault(split, []).append(name)
        self.names = names
        check_unique(names, lambda index: printable(self.file(index)))
        self.splits = members
        self._look()

    @staticmethod
    def fits(path: Path) -> bool:
        """Whether a folder without a table has recordings in it."""
        return any(name.lower().endswith(ENDINGS) for name in files_under(path))

    def _look(self) -> None:
        """Finds out whose joints they are, by the first files that can be read."""
        for index in range(min(_LOOKED_AT, len(self._files))):
            with suppress(SkeletonDataError, OSError), warnings.catch_warnings():
                warnings.simplefilter('ignore')  # Said when all are read.
                reader = self._open(self.file(index))
                if isinstance(reader, FrameFilesReader) and not reader.holds:
                    continue  # Nobody is in it.
                self.skeleton, self.holds = reader.skeleton, reader.holds
                return

    def choose(self, chosen: Skeleton) -> bool:
        """Takes the joints of a skeleton alone, of all files."""
        fits = super().choose(chosen)
        if fits:
            self._chosen, self._last = chosen, None
        return fits

    def _number(self, labels: Sequence[str], where: str) -> list[int | None]:
        """The classes as numbers from 0, whichever way the table has them."""
        if all(_is_number(label) for label in labels):
            numbers = [int(label) if label else -1 for label in labels]
            known = [number for number in numbers if number >= 0]
            check_first_label(known, self.first_label, where)
            return [as_label(number, where, self.first_label) for number in numbers]
        self.classes = sorted(set(labels) - {'', '-1'})
        number = {label: index for index, label in enumerate(self.classes)}
        return [number.get(label) for label in labels]

    def _open(self, file: Path) -> Reader:
        """The recordings of a file, or of a folder of frames."""
        if os.path.isdir(file):
            kind = recognise_frames(file, Files(file))
        else:
            open_regular(file).close()  # What cannot be opened comes out here.
            kind = recognise_file(file)
        if kind is None:
            raise SkeletonDataError(f"'{printable(file)}' is of no known format")
        own = {'layout': self.layout, 'coordinates': self.coordinates}
        given: dict[str, Any] = {
            k: v for k, v in own.items() if v is not None and k in kind.options
        }
        if kind is RecordingReader:
            given['labelled'] = False
        reader: Reader = kind(file, **given)
        if self._chosen is not None:
            reader.choose(self._chosen)
        return reader

    def _several(self, file: Path) -> Reader:
        """The recordings of a file that holds several: one after the other they come
        from the same reader, or the file would be read anew for each."""
        if self._last is None or self._last.path != file:
            self._last = self._open(file)
        return self._last

    def read(self, index: int) -> SkeletonSequence:
        """Reads one recording, with the label that the table gives it."""
        file, inside = self.file(index), self._inside[index]
        try:
            reader = self._open(file) if inside is None else self._several(file)
            if inside is None and len(reader) != 1:
                raise SkeletonDataError(
                    f"'{printable(file)}' holds {len(reader)} recordings, so that one "
                    f'name and one label are not enough'
                )
            sequence = reader.read(inside or 0)
        except SkeletonDataError as error:
            if os.path.exists(file):
                raise
            raise SkeletonDataError(f'{error}; {_TABLE} names it') from error
        if reader.skeleton != self.skeleton and reader.holds:
            raise SkeletonDataError(
                f"'{printable(file)}' has the joints of {reader.skeleton!r}, but other "
                f'recordings of the folder those of {self.skeleton!r}'
            )
        return replace(sequence, name=self.names[index], label=self._labels[index])

    def file(self, index: int) -> Path:
        """The file of a recording."""
        return self.path / self._files[index]


def _list_classes(
    path: Path,
) -> tuple[list[str], list[str], list[str]]:
    """Files, labels and splits that the names of folders tell."""
    found = sorted(files_under(path))
    tops = {name.partition('/')[0] for name in found if '/' in name}
    split_of = splits_of(tops)
    files: dict[str, tuple[str, str]] = {}
    for name in found:
        parts = name.split('/')
        split = split_of.get(parts[0], '') if len(parts) > 1 else ''
        parts = parts[1:] if split else parts
        if not name.lower().endswith(ENDINGS):
            continue
        label = parts[0] if len(parts) > 1 else ''
        # A folder of frames is one recording.
        folder = '/'.join(name.split('/')[:-1])
        frames = folder in files or (len(parts) > 2 and _is_frame(path / name))
        files[folder if frames else name] = label, split
    classes = sorted({label for label, _ in files.values()} - {''})
    if classes:
        say_classes(path, classes, split_of)
    labels, splits = zip(*files.values(), strict=True) if files else ((), ())
    return [*files], [*labels], [*splits]


def _is_frame(file: Path) -> bool:
    """Whether a file is a frame of the recording that is its folder."""
    if not is_numbered(file.stem):
        return False
    if file.suffix.lower() == '.npy':
        return open_npy(file).ndim == 1
    return file.suffix.lower() == '.json' and recognise_file(file) is FrameFilesReader


def _ending(file: str) -> str:
    """What of a file's name is no part of the recording's."""
    lower = file.lower()
    ending = next((e for e in ('.skeleton.npy', *ENDINGS) if lower.endswith(e)), '')
    return file[len(file) - len(ending) :] if ending else ''


def _is_number(label: str) -> bool:
    return not label or label.removeprefix('-').isdecimal()


def _read_table(path: Path) -> tuple[list[str], list[str], list[str]]:
    """Its columns: files, labels, splits."""
    where = printable(path)
    try:
        text = read_bytes(path).decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise SkeletonDataError(
            f"'{where}', byte {error.start}: expected text in UTF-8 ({error.reason})"
        ) from error
    columns: tuple[list[str], list[str], list[str]] = ([], [], [])
    seen: dict[str, int] = {}
    table = csv.reader(io.StringIO(text, newline=''), skipinitialspace=True)
    try:
        header = next(table, [])
        places = _places(header, where)
        for row in table:
            if not row:
                continue
            line = f"'{where}', line {table.line_num}"
            file, *rest = _row(row, len(header), places, line)
            name = file.removesuffix(_ending(file))
            if name in seen:
                raise SkeletonDataError(
                    f'{line}: {name[:100]!r} has a line already, line {seen[name]}'
                )
            seen[name] = table.line_num
            # Most rows share these: held once, they take little memory.
            for column, value in zip(columns, [file, *rest], strict=True):
                column.append(value if column is columns[0] else sys.intern(value))
    except csv.Error as error:
        raise SkeletonDataError(
            f"'{where}', line {table.line_num}: not a table ({error})"
        ) from error
    if not seen:
        raise SkeletonDataError(f"'{where}', line 1: the table names no file")
    if len(set(columns[2])) > _MOST_SPLITS:
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
) -> tuple[str, str, str]:
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
    plain = os.path.normpath(file).replace(os.sep, '/')
    named = PurePosixPath(plain)
    known = plain.lower().endswith((*ENDINGS, '.txt')) and not named.name.startswith(
        '.'
    )
    if '\0' in file or not (known or not named.suffix):
        raise SkeletonDataError(
            f'{line}: expected a file that ends in {", ".join(ENDINGS)}, or a folder '
            f'of frames (got {file[:100]!r})'
        )
    if _is_number(label) and len(label) > 9:
        raise SkeletonDataError(f'{line}: {label[:40]} is no number of a class')
    return plain, label, value('split') or ''


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
