"""Arrays of objects in ``.npy`` files, which are pickles: read without running their
code."""

import io
import pickle
from collections.abc import Callable
from os import PathLike
from typing import Any, ClassVar

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.files import open_regular, read_bytes
from pyg_msg3d.io.unpickle import CONSTRUCTORS, Unpickler, make_dtype


class _Objects:
    """Stands for the type of objects."""


def _dtype(name: Any, *rest: Any) -> Any:
    return _Objects() if name in ('O8', 'O') else make_dtype(name, *rest)


class _ObjectUnpickler(Unpickler):
    """Gives the entries of an array of objects as a list."""

    dispatch: ClassVar[dict[int, Callable]] = dict(Unpickler.dispatch)

    def fill(self) -> None:
        state, target = self.stack[-1], self.stack[-2]
        if isinstance(target, _Objects):
            self.stack.pop()
        elif (
            type(target) is np.ndarray
            and isinstance(state, tuple)
            and len(state) == 5
            and isinstance(state[2], _Objects)
            and isinstance(state[4], list)
        ):
            self.stack.pop()
            self.stack[-1] = state[4]
        else:
            super().fill()


def _build(self: _ObjectUnpickler) -> None:
    self.budget -= 300
    if self.budget < 0:
        raise pickle.UnpicklingError('it would take far more memory than its file')
    self.fill()


_ObjectUnpickler.dispatch[pickle.BUILD[0]] = _build  # type: ignore[index]


def holds_objects(path: str | PathLike) -> bool:
    """Whether a ``.npy`` file says that it is an array of objects."""
    with open_regular(path) as file:
        head = file.read(256)
    return head.startswith(b'\x93NUMPY') and b"'descr': '|O'" in head


def open_objects(path: str | PathLike) -> list[Any]:
    """The entries of an array of objects: numbers, text, plain containers and arrays of
    numbers.

    Raises:
        SkeletonDataError: If it holds anything else, or is damaged. No code in it is
            run.
    """
    content, where = read_bytes(path), printable(path)
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        read(stream)
        budget = 12 * len(content) + (10 << 20)
        constructors = {**CONSTRUCTORS, ('numpy', 'dtype'): _dtype}
        found = _ObjectUnpickler(stream, budget, constructors).load()
    except Exception as error:  # Whatever damaged bytes trip over.
        raise SkeletonDataError(
            f"'{where}', byte {stream.tell()}: cannot be unpickled "
            f'({type(error).__name__}: {str(error)[:200]}). Expected an array of '
            f'objects, of numpy arrays and plain containers; anything else is refused, '
            f'because unpickling it could run code'
        ) from error
    if not isinstance(found, list):
        raise SkeletonDataError(f"'{where}': expected an array of objects")
    return found
