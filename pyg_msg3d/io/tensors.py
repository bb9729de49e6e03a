"""Torch's tensors in plain pickles, as numpy arrays, without running their code."""

import io
import math
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from pyg_msg3d.io.unpickle import Unpickler

# Some twenty opcodes describe a storage.
_HEADER_BUDGET = 20_000
_HEADERS = 5
_DTYPES = {
    'DoubleStorage': 'f8',
    'FloatStorage': 'f4',
    'HalfStorage': 'f2',
    'LongStorage': 'i8',
    'IntStorage': 'i4',
    'ShortStorage': 'i2',
    'CharStorage': 'i1',
    'ByteStorage': 'u1',
    'BoolStorage': '?',
}
_STORAGES = {('torch', name): np.dtype(dtype) for name, dtype in _DTYPES.items()}


class _HeaderUnpickler(Unpickler):
    """What stands before a storage's numbers: among others its type, as part of a
    persistent id."""

    dispatch: ClassVar[dict[int, Callable]] = Unpickler.dispatch | {
        pickle.BINPERSID[0]: pickle._Unpickler.dispatch[pickle.BINPERSID[0]]  # type: ignore[attr-defined]
    }

    def persistent_load(self, pid: Any) -> np.dtype:
        kind, dtype, *_ = pid
        if kind != 'storage' or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError('expected the storage of a tensor')
        return dtype


def _storage(raw: Any) -> np.ndarray:
    """The numbers of ``torch.storage._load_from_bytes``: a magic number, a protocol
    version, facts of the system, the storage's id and its key are pickled one after
    the other; the count of numbers and the numbers follow."""
    if not isinstance(raw, bytes):
        raise pickle.UnpicklingError('expected the bytes of a storage')
    stream = io.BytesIO(raw)
    headers = [
        _HeaderUnpickler(stream, _HEADER_BUDGET, _STORAGES).load()  # type: ignore[arg-type]
        for _ in range(_HEADERS)
    ]
    count = int.from_bytes(stream.read(8), 'little')
    dtype = headers[3]
    if not isinstance(dtype, np.dtype) or stream.tell() + count * dtype.itemsize > len(
        raw
    ):
        raise pickle.UnpicklingError('a storage is cut off')
    if count == 0:
        return np.empty(0, dtype)
    return np.frombuffer(raw, dtype, count, stream.tell())


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> np.ndarray:
    """``torch._utils._rebuild_tensor_v2``: a view of a storage."""
    fits = (
        type(storage) is np.ndarray
        and storage.ndim == 1
        and isinstance(size, tuple)
        and isinstance(stride, tuple)
        and len(size) == len(stride) <= 8
        and all(isinstance(n, int) and 0 <= n < 2**40 for n in (*size, *stride, offset))
    )
    last = sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if fits else 0
    # More elements than the storage has would be copies of some.
    if not fits or math.prod(size) > max(0, storage.size - offset):
        raise pickle.UnpicklingError('expected a tensor that fits its storage')
    if math.prod(size) == 0:
        return np.empty(size, storage.dtype)
    if offset + last >= storage.size:
        raise pickle.UnpicklingError('a tensor reaches beyond its storage')
    width = storage.itemsize
    return np.lib.stride_tricks.as_strided(
        storage[offset:], size, [s * width for s in stride], writeable=False
    )


TENSORS: dict[tuple[str, str], Callable] = {
    ('torch.storage', '_load_from_bytes'): _storage,
    ('torch._utils', '_rebuild_tensor_v2'): _tensor,
}
