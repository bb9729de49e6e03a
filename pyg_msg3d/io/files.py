"""Files by name, wherever they lie: alone, in a folder or in a zip archive."""

import os
import zipfile
from pathlib import Path, PurePosixPath

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io.limits import check_expansion


class Files:
    r"""The files of a folder and the folders in it, of a zip archive (read without
    unpacking), or a single file. Can be sent to other processes.

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
            raise FileNotFoundError(f"There is no '{self.path}'")
        self._is_zip = self.path.is_file() and self.path.suffix.lower() == '.zip'
        self.names = sorted(self._list())

    def _list(self) -> list[str]:
        if self._is_zip:
            names = self._archive().namelist()
            return [name for name in names if not name.endswith('/')]
        if self.path.is_file():
            return [self.path.name]
        found = []
        for folder, _, names in os.walk(self.path):
            base = Path(folder).relative_to(self.path)
            found += [(base / name).as_posix() for name in names]
        return found

    def ending(self, suffix: str) -> list[str]:
        """The names that end so, in order."""
        return [name for name in self.names if name.lower().endswith(suffix)]

    def where(self, name: str) -> str:
        """What messages call a file."""
        if self.path.is_file() and not self._is_zip:
            return str(self.path)
        return str(PurePosixPath(self.path.as_posix()) / name)

    def read(self, name: str) -> bytes:
        """The content of a file."""
        where = self.where(name)
        if not self._is_zip:
            try:
                return self._file(name).read_bytes()
            except OSError as error:
                raise SkeletonDataError(
                    f"'{where}' cannot be read ({error.strerror})"
                ) from error
        archive = self._archive()
        try:
            member = archive.getinfo(name)
            packed = min(member.compress_size, self.path.stat().st_size)
            check_expansion(member.file_size, packed, where)
            return archive.read(member)
        except SkeletonDataError:
            raise
        except Exception as error:  # Whatever damaged bytes trip over.
            raise SkeletonDataError(
                f"'{where}' cannot be unpacked: the archive is damaged or incomplete "
                f'at its byte {member.header_offset} ({type(error).__name__}: {error})'
            ) from error

    def size(self, name: str) -> int:
        """The bytes of a file, unpacked; -1 if it is not there any more."""
        if self._is_zip:
            return self._archive().getinfo(name).file_size
        try:
            return self._file(name).stat().st_size
        except OSError:
            return -1

    def _file(self, name: str) -> Path:
        return self.path if self.path.is_file() else self.path / name

    def _archive(self) -> zipfile.ZipFile:
        # Processes that share a handle would share its place in the file.
        if self._zip is None or self._owner != os.getpid():
            try:
                self._zip = zipfile.ZipFile(self.path)
            except Exception as error:  # Whatever damaged bytes trip over.
                raise SkeletonDataError(
                    f"'{self.path}' is no zip archive, or an incomplete one "
                    f'({type(error).__name__}: {error}); '
                    f'{self.path.stat().st_size} bytes. Fetch it again'
                ) from error
            self._owner = os.getpid()
        return self._zip

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_zip': None}
