"""What clips are made of, told without reading it: files, arguments and code."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
from torch import Tensor

from pyg_msg3d.io import FolderReader
from pyg_msg3d.io.files import files_under
from pyg_msg3d.io.official import label_file

# Of folders; whatever else lies there is no recording.
_SUFFIXES = (
    '.csv', '.json', '.npy', '.npz', '.pickle', '.pkl', '.skeleton', '.zip',
)  # fmt: skip


def fingerprint(paths: Iterable[Path]) -> str:
    r"""What differs once recordings, their labels or splits have been written anew:
    of every file its place below the path, the time of its last change in
    nanoseconds, its size and its inode.

    Args:
        paths (iterable of path): Files, archives or folders of recordings.

    Raises:
        SkeletonDataError: If a table of labels is broken.
    """
    state = hashlib.sha256()
    for path in paths:
        for name, file in _files(path):
            try:
                entry = os.stat(file)
                facts = f'{entry.st_mtime_ns} {entry.st_size} {entry.st_ino}'
            except OSError as error:  # It is gone, or cannot be reached.
                facts = f'error {error.errno}'
            state.update(f'{name}\0{facts}\n'.encode('utf-8', 'surrogatepass'))
    return state.hexdigest()


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    if not path.is_dir():
        yield '', path
        if label_file(path).is_file():  # Beside the authors' arrays.
            yield 'labels', label_file(path)
    elif (path / 'labels.csv').is_file():
        reader = FolderReader(path, first_label=0)
        yield 'labels.csv', path / 'labels.csv'
        for index, name in enumerate(reader.names):
            yield name, reader.file(index)
    else:
        for name in sorted(files_under(path)):
            if name.lower().endswith(_SUFFIXES):
                yield name, path / name


def describe(thing: Any) -> str:
    r"""What differs once a transform would do something else: its class and all that it
    holds; of a function, its code.

    Args:
        thing (object): A transform, or a part of one.
    """
    if isinstance(thing, np.ndarray | Tensor):
        array = np.asarray(thing)
        content = hashlib.sha256(array.tobytes()).hexdigest()[:16]
        return f'{array.dtype}{list(array.shape)}:{content}'
    if isinstance(thing, FunctionType):
        code = thing.__code__
        parts: list[Any] = [code.co_code, code.co_names, describe(code.co_consts)]
        parts += [thing.__defaults__, thing.__kwdefaults__]
        cells = [describe(cell.cell_contents) for cell in thing.__closure__ or ()]
        content = hashlib.sha256(repr([*parts, cells]).encode()).hexdigest()[:16]
        return f'{thing.__module__}.{thing.__qualname__}:{content}'
    if isinstance(thing, list | tuple):
        return f'[{", ".join(map(describe, thing))}]'
    if isinstance(thing, Mapping):
        return f'{{{", ".join(f"{k!r}: {describe(v)}" for k, v in thing.items())}}}'
    if hasattr(thing, '__dict__') and not isinstance(thing, type):
        kind = type(thing)
        return f'{kind.__module__}.{kind.__qualname__}{describe(vars(thing))}'
    # Without the addresses in memory of what has no other words for itself.
    return re.sub(r' at 0x[0-9a-f]+', '', repr(thing))


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What of two keys is not the same, in words."""
    words = {
        'sources': 'the recordings, their labels or their splits have changed',
        'version': 'another version made it',
    }
    return [
        words.get(name, f'{name} was {then.get(name)!r} and is {value!r}')
        for name, value in now.items()
        if then.get(name) != value
    ]
