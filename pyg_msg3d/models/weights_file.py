"""Reading files of weights without trust: nothing that is damaged, and nothing larger
than the file."""

import io
import math
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyg_msg3d.data import CheckpointError, SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.files import read_bytes
from pyg_msg3d.models.safetensors_file import load_safetensors

_PART = 1 << 20


def load_weights_file(path: str | PathLike) -> Any:
    r"""What ``torch.save`` wrote, of tensors and plain containers, or a
    ``.safetensors`` file; no code in it is run.

    torch does not look at the checksums that it writes, nor whether a tensor is as
    large as it says. Both are looked at here first. Files of torch before 1.6 have no
    checksums.

    Args:
        path (str or path): The file.

    Raises:
        FileNotFoundError: If there is none.
        CheckpointError: If it is damaged, or holds something else.
    """
    where = printable(path)
    try:
        content = read_bytes(path)
    except SkeletonDataError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise FileNotFoundError(f"There is no '{where}'") from error
        raise CheckpointError(str(error)) from error
    try:
        if Path(path).suffix.lower() == '.safetensors':
            loaded: Any = load_safetensors(content, where)
        else:
            if content[:2] == b'PK':
                _check_archive(content)
            loaded = torch.load(
                io.BytesIO(content), map_location='cpu', weights_only=True
            )
    except Exception as error:  # Whatever the bytes trip over.
        first_line = (str(error).splitlines() or [''])[0]
        raise CheckpointError(
            f"'{where}' ({len(content):,} bytes) cannot be read as a checkpoint: it is "
            f'none, or damaged or incomplete, or holds more than tensors and plain '
            f'containers, which is refused because loading such files can run code. If '
            f"you trust it, save its 'state_dict' alone and load that "
            f'({type(error).__name__}: {printable(first_line, 300)})'
        ) from error
    check_tensors(loaded, f"'{where}'")
    return loaded


def check_tensors(content: Any, name: str) -> None:
    """Refuses tensors that say more than they hold, or that are no plain arrays.

    Raises:
        CheckpointError: If there is one; the message names its key.
    """
    for key, tensor in _tensors(content, ''):
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise CheckpointError(f'{name} holds {key} in a layout that is not plain')
        if tensor.is_meta:
            continue
        there = tensor.untyped_storage().nbytes()
        if tensor.numel() * tensor.element_size() > there:
            raise CheckpointError(
                f'{name} says that {key} has the shape {list(tensor.shape)}, but holds '
                f'{there} bytes of it'
            )


def _tensors(content: Any, key: str) -> Iterator[tuple[str, Tensor]]:
    rest = [(key, content)]
    while rest:
        key, part = rest.pop()
        if isinstance(part, Tensor):
            yield key or 'a tensor', part
        elif isinstance(part, Mapping):
            rest += [(f'{key}.{k}' if key else str(k), v) for k, v in part.items()]
        elif isinstance(part, list | tuple):
            rest += [(key, v) for v in part]


def _check_archive(content: bytes) -> None:
    """Compares an archive with its checksums, and what its pickle says of the arrays
    with how large they are."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > len(content) or any(
            member.compress_type != zipfile.ZIP_STORED for member in members
        ):
            raise zipfile.BadZipFile('it says that it holds more than its size')
        for member in members:
            with archive.open(member) as file:
                while file.read(_PART):  # Wrong checksums are found at its end.
                    pass
        sizes = {member.filename: member.file_size for member in members}
        name = next((n for n in sizes if n.endswith('data.pkl')), None)
        if name is None:
            raise zipfile.BadZipFile('it holds no pickle of torch')
        folder = name.removesuffix('data.pkl')
        for key, needed in _storages(archive.read(name)).items():
            if needed > sizes.get(f'{folder}data/{key}', -1):
                raise zipfile.BadZipFile(f'array {key} is shorter than it should be')


def _storages(content: bytes) -> dict[str, int]:
    """The bytes that each storage should have, by its key."""
    found: dict[str, int] = {}

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return type(name, (_Anything,), {})

        def persistent_load(self, pid: Any) -> Any:
            _, kind, key, _, count = pid
            size = _ITEM_SIZES.get(kind.__name__, 1)
            found[str(key)] = max(found.get(str(key), 0), math.prod((count, size)))
            return _Anything()

    Reader(io.BytesIO(content)).load()
    return found


class _Anything:
    """Stands for whatever a pickle names; does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> '_Anything':
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __call__(self, *_: Any, **__: Any) -> '_Anything':
        return self

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None:
        """Nothing."""

    def extend(self, values: Any) -> None:
        """Nothing."""


_ITEM_SIZES = {
    'DoubleStorage': 8, 'FloatStorage': 4, 'HalfStorage': 2, 'BFloat16Storage': 2,
    'LongStorage': 8, 'IntStorage': 4, 'ShortStorage': 2, 'CharStorage': 1,
    'ByteStorage': 1, 'BoolStorage': 1, 'UntypedStorage': 1,
    'ComplexFloatStorage': 8, 'ComplexDoubleStorage': 16,
}  # fmt: skip
