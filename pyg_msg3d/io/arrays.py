"""Arrays of numpy's file formats, mapped into memory where they can be."""

import zipfile
from os import PathLike
from pathlib import Path

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io.limits import check_expansion


def open_npy(path: str | PathLike) -> np.ndarray:
    """The array of a ``.npy`` file, mapped: what is not touched is not read.

    Raises:
        SkeletonDataError: If it is no array of numbers or text, or cut off.
    """
    try:
        array = np.lib.format.open_memmap(path, mode='r')
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # Whatever damaged bytes trip over.
        raise _damaged(path, 'array of numpy (.npy)', error) from error
    return _plain(array, str(path))


def open_npz(path: str | PathLike) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz`` archive by name. Arrays that are stored uncompressed
    are mapped, others unpacked.

    Raises:
        SkeletonDataError: If it is no such archive, damaged, or unfolds beyond measure.
    """
    path = Path(path)
    size = path.stat().st_size
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            unfolded = sum(m.file_size for m in members if m.compress_type)
            check_expansion(unfolded, size, str(path))
            for member in members:
                name = member.filename.removesuffix('.npy')
                arrays[name] = _plain(_member(archive, member, path), f'{path}/{name}')
    except (SkeletonDataError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # Whatever damaged bytes trip over.
        raise _damaged(path, 'archive of arrays (.npz)', error) from error
    return arrays


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path
) -> np.ndarray:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read_header(file)
        if dtype.hasobject:
            raise SkeletonDataError(f"'{path}': {member.filename} holds objects")
        needed = file.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize
        if needed != member.file_size or min(shape, default=0) < 0:
            raise SkeletonDataError(
                f"'{path}': {member.filename} says shape {list(shape)} and type "
                f'{dtype}, but has {member.file_size} bytes instead of {needed}'
            )
        header = file.tell()
        if member.compress_type != zipfile.ZIP_STORED:
            raw = file.read()
            array = np.frombuffer(raw, dtype)
            return array.reshape(shape, order='F' if fortran else 'C')
    if 0 in shape:
        return np.empty(shape, dtype)
    with path.open('rb') as whole:
        # Before the content stand the name and the extra fields once more.
        whole.seek(member.header_offset + 26)
        lengths = np.frombuffer(whole.read(4), '<u2')
    offset = member.header_offset + 30 + int(lengths.sum()) + header
    if offset + needed - header > path.stat().st_size:
        raise SkeletonDataError(f"'{path}': {member.filename} is cut off")
    order = 'F' if fortran else 'C'
    return np.memmap(path, dtype, 'r', offset, shape, order)  # type: ignore[call-overload]


def _plain(array: np.ndarray, where: str) -> np.ndarray:
    if array.dtype.kind not in 'biufUS':
        raise SkeletonDataError(
            f"'{where}': expected an array of numbers (got one of {array.dtype})"
        )
    return array


def _damaged(path: str | PathLike, what: str, error: Exception) -> SkeletonDataError:
    return SkeletonDataError(
        f"'{path}' is no {what}, or a damaged one ({type(error).__name__}: "
        f'{str(error)[:200]}); {Path(path).stat().st_size} bytes from byte 0'
    )
