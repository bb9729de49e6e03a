"""Arrays of numpy's file formats, read as far as they are asked for."""

import math
import os
import zipfile
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.files import open_regular, read_member
from pyg_msg3d.io.limits import check_empty, check_expansion


class StoredArray:
    r"""An array in a file, which is read along its first dimension when it is asked
    for. Not mapped into memory: a file that is cut off in the meantime would then end
    the process. Can be sent to other processes.

    Args:
        path (path): The file.
        dtype (np.dtype): The type of its numbers.
        shape (tuple of int): Its shape.
        offset (int): Where in the file it begins, in bytes.
        fortran (bool): Whether the first index runs fastest.
    """

    def __init__(
        self,
        path: Path,
        dtype: np.dtype,
        shape: tuple[int, ...],
        offset: int,
        fortran: bool = False,
    ) -> None:
        self.path, self.dtype, self.shape, self.offset = path, dtype, shape, offset
        self.fortran = fortran
        self._file: BinaryIO | None = None
        self._owner = -1

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """An entry of the first dimension, or, for anything but a number, of the array
        as it is read whole."""
        if isinstance(index, int) and not self.fortran and self.ndim > 1:
            index = range(len(self))[index]
            rest = self.shape[1:]
            begin = self.offset + index * math.prod(rest) * self.dtype.itemsize
            return self._read(begin, math.prod(rest)).reshape(rest)
        whole = self._read(self.offset, math.prod(self.shape))
        return whole.reshape(self.shape, order='F' if self.fortran else 'C')[index]

    def _read(self, begin: int, count: int) -> np.ndarray:
        size = count * self.dtype.itemsize
        if self._file is None or self._owner != os.getpid():
            self._file, self._owner = open_regular(self.path), os.getpid()
        try:
            self._file.seek(begin)
            content = self._file.read(size)
        except OSError as error:
            raise SkeletonDataError(
                f"'{printable(self.path)}' cannot be read ({error.strerror})"
            ) from error
        if len(content) < size:
            raise SkeletonDataError(
                f"'{printable(self.path)}', byte {begin + len(content)}: the file ends "
                f'where {size - len(content)} bytes more should be. It is cut off, or '
                f'has changed since it was opened'
            )
        return np.frombuffer(content, self.dtype)

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_file': None}


def open_npy(path: str | PathLike) -> StoredArray:
    """The array of a ``.npy`` file: what is not asked for is not read.

    Raises:
        SkeletonDataError: If it is no array of numbers or text, or cut off.
    """
    path = Path(path)
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            shape, fortran, dtype = _read_header(file)
        except Exception as error:  # Whatever damaged bytes trip over.
            raise _damaged(path, 'array of numpy (.npy)', size, error) from error
        _check(dtype, shape, printable(path))
        begin = file.tell()
    needed = math.prod(shape) * dtype.itemsize
    if begin + needed > size:
        raise SkeletonDataError(
            f"'{printable(path)}', byte {size}: the file ends where an array "
            f'{list(shape)} of {dtype}, {needed} bytes, should be. It is cut off'
        )
    return StoredArray(path, dtype, shape, begin, fortran)


def open_npz(path: str | PathLike) -> dict[str, StoredArray | np.ndarray]:
    """The arrays of a ``.npz`` archive by name. Arrays that are stored uncompressed
    are read when they are asked for, others unpacked.

    Raises:
        SkeletonDataError: If it is no such archive, damaged, or unfolds beyond measure.
    """
    path = Path(path)
    where = printable(path)
    arrays: dict[str, StoredArray | np.ndarray] = {}
    with open_regular(path) as whole:
        size = os.fstat(whole.fileno()).st_size
        try:
            with zipfile.ZipFile(whole) as archive:
                members = archive.infolist()
                unfolded = sum(m.file_size for m in members if m.compress_type)
                check_expansion(unfolded, size, where)
                for member in members:
                    name = member.filename.removesuffix('.npy')
                    arrays[name] = _member(archive, member, path, whole, size)
        except SkeletonDataError:
            raise
        except Exception as error:  # Whatever damaged bytes trip over.
            raise _damaged(path, 'archive of arrays (.npz)', size, error) from error
    return arrays


def _member(
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    path: Path,
    whole: BinaryIO,
    size: int,
) -> StoredArray | np.ndarray:
    where = printable(f'{path}: {member.filename}')
    with archive.open(member) as file:
        shape, fortran, dtype = _read_header(file)
        header = file.tell()
    _check(dtype, shape, where)
    needed = math.prod(shape) * dtype.itemsize
    if header + needed != member.file_size:
        raise SkeletonDataError(
            f"'{where}' says shape {list(shape)} and type {dtype}, but has "
            f'{member.file_size} bytes instead of {header + needed}'
        )
    if member.compress_type != zipfile.ZIP_STORED:
        raw = read_member(archive, member, size, where)
        array = np.frombuffer(raw, dtype, offset=header)
        return array.reshape(shape, order='F' if fortran else 'C')
    # Before the content stand the name and the extra fields once more.
    whole.seek(member.header_offset + 26)
    lengths = np.frombuffer(whole.read(4), '<u2')
    offset = member.header_offset + 30 + int(lengths.sum()) + header
    if offset + needed > size:
        raise SkeletonDataError(f"'{where}' is cut off")
    return StoredArray(path, dtype, shape, offset, fortran)


def _read_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    return read_header(file)


def _check(dtype: np.dtype, shape: tuple[int, ...], where: str) -> None:
    if dtype.kind not in 'biufUS':
        raise SkeletonDataError(
            f"'{where}': expected an array of numbers (got one of {dtype})"
        )
    check_empty(shape, where)
    if len(shape) > 8 or not all(0 <= n < 1 << 40 for n in shape):
        raise SkeletonDataError(f"'{where}': an array of impossible shape {shape}")


def _damaged(path: Path, what: str, size: int, error: Exception) -> SkeletonDataError:
    return SkeletonDataError(
        f"'{printable(path)}' is no {what}, or a damaged one ({type(error).__name__}: "
        f'{str(error)[:200]}); {size} bytes from byte 0'
    )
