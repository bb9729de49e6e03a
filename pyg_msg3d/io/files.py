"""Files by name, wherever they lie: alone, in a folder or in a zip archive."""

import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.limits import check_expansion

# What systems leave in folders and archives beside a user's files.
_JUNK = {'__macosx', 'thumbs.db', 'desktop.ini', 'ehthumbs.db', '$recycle.bin'}
# What folders of our own hold: stores, finished or not, runs, and results of tests.
_OURS = (
    {'index.npz', 'report.json'},
    {'journal.jsonl'},
    {'arguments.json', 'environment.json'},
    {'scores.npz', 'result.json'},
)
_PART = 1 << 20
# Of others, Python's module unpacks whatever comes, however much it is.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Files:
    r"""The files of a folder and the folders in it, of a zip archive (read without
    unpacking), or a single file. Can be sent to other processes.

    Passed over are hidden files, what systems leave behind (``__MACOSX``,
    ``Thumbs.db``), and the library's own stores and runs.

    Args:
        path (str or path): The folder, archive or file.

    Raises:
        FileNotFoundError: If there is nothing.
        SkeletonDataError: If an archive is damaged.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._zip: zipfile.ZipFile | None = None
        self._owner = -1
        if not self.path.exists():
            raise FileNotFoundError(f"There is no '{printable(self.path)}'")
        self._is_zip = self.path.is_file() and self.path.suffix.lower() == '.zip'
        self.names = sorted(self._list())

    def _list(self) -> Iterator[str]:
        if self._is_zip:
            names = self._archive().namelist()
            for name in names:
                if not name.endswith('/') and not any(
                    is_junk(part) for part in PurePosixPath(name).parts
                ):
                    yield name
        elif not self.path.is_dir():
            yield self.path.name
        else:
            yield from files_under(self.path)

    def ending(self, suffix: str) -> list[str]:
        """The names that end so, in order."""
        return [name for name in self.names if name.lower().endswith(suffix)]

    def where(self, name: str) -> str:
        """What messages call a file."""
        if not self._is_zip and not self.path.is_dir():
            return printable(self.path)
        return printable(PurePosixPath(self.path.as_posix()) / name)

    def read(self, name: str) -> bytes:
        """The content of a file."""
        if not self._is_zip:
            return read_bytes(self._file(name))
        where = self.where(name)
        archive = self._archive()
        try:
            member = archive.getinfo(name)
        except KeyError as error:
            raise SkeletonDataError(
                f"'{where}' is not in the archive any more; it has changed since it "
                f'was opened'
            ) from error
        try:
            packed = min(member.compress_size, self.path.stat().st_size)
            return read_member(archive, member, packed, where)
        except SkeletonDataError:
            raise
        except Exception as error:  # Whatever damaged bytes trip over.
            raise SkeletonDataError(
                f"'{where}' cannot be unpacked: the archive is damaged or incomplete "
                f'at its byte {member.header_offset} ({type(error).__name__}: {error})'
            ) from error

    def _file(self, name: str) -> Path:
        return self.path / name if self.path.is_dir() else self.path

    def _archive(self) -> zipfile.ZipFile:
        # Processes that share a handle would share its place in the file.
        if self._zip is None or self._owner != os.getpid():
            try:
                self._zip = zipfile.ZipFile(self.path)
            except Exception as error:  # Whatever damaged bytes trip over.
                raise SkeletonDataError(
                    f"'{printable(self.path)}' is no zip archive, or an incomplete one "
                    f'({type(error).__name__}: {error}); '
                    f'{_size(self.path)}. Fetch it again'
                ) from error
            self._owner = os.getpid()
        return self._zip

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_zip': None}


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is nobody's recording."""
    return name.startswith('.') or name.lower() in _JUNK


def files_under(folder: Path) -> Iterator[str]:
    """The files of a folder and the folders in it, by their relative paths, but junk
    and what the library itself has written."""
    for root, folders, names in os.walk(folder):
        if root != str(folder) and any(ours <= set(names) for ours in _OURS):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not is_junk(name)]
        base = Path(root).relative_to(folder)
        for name in names:
            if not is_junk(name):
                yield (base / name).as_posix()


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Opens a file for reading, but no pipe or device, which may wait for ever.

    Raises:
        SkeletonDataError: If it is none, or cannot be opened.
    """
    try:
        # A pipe without a writer is opened without waiting for one.
        flags = os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0)
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte.
        reason = getattr(error, 'strerror', None) or error
        raise SkeletonDataError(
            f"'{printable(path)}' cannot be read ({reason})"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SkeletonDataError(
            f"'{printable(path)}' is no regular file; folders, pipes and devices are "
            f'not read'
        )
    return os.fdopen(descriptor, 'rb')


def read_bytes(path: str | os.PathLike) -> bytes:
    """The content of a regular file; errors as :func:`open_regular`'s."""
    with open_regular(path) as file:
        try:
            return file.read()
        except OSError as error:
            raise SkeletonDataError(
                f"'{printable(path)}' cannot be read ({error.strerror})"
            ) from error


def read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, packed: int, where: str
) -> bytes:
    """Unpacks a member of a zip archive, no more than it says and than its ``packed``
    bytes may become.

    Raises:
        SkeletonDataError: If it would become too much, or is packed otherwise.
    """
    if member.compress_type not in _METHODS:
        raise SkeletonDataError(
            f"'{where}' is compressed by another method than deflate "
            f'(number {member.compress_type}); unpack the archive and read that'
        )
    check_expansion(member.file_size, packed, where)
    parts = []
    with archive.open(member) as file:
        # In parts: asked for all at once, it would unpack first and count then.
        while part := file.read(_PART):
            parts.append(part)
    return b''.join(parts)


def _size(path: Path) -> str:
    try:
        return f'{path.stat().st_size} bytes'
    except OSError as error:
        return str(error.strerror)
