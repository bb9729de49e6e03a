import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_PARTIAL = '.partial'


@contextmanager
def write_atomically(path: Path, keep: Path | None = None) -> Iterator[IO[bytes]]:
    r"""Opens a file that takes the place of ``path`` once it is complete and on the
    disk: whoever reads ``path``, however this ends, finds all of the old or all of the
    new content. Others may write the same file meanwhile; whoever ends last wins.

    Args:
        path (path): The file.
        keep (path, optional): Where the old content goes; in between, ``path`` is
            missing for a moment.
    """
    partial = path.with_name(f'.{path.name}.{uuid.uuid4().hex}{_PARTIAL}')
    try:
        with partial.open('wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            path.replace(keep)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_partials(folder: Path) -> None:
    """Removes what processes that were killed have left half written in a folder that
    nobody else writes to."""
    for partial in folder.glob(f'.*{_PARTIAL}'):
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Puts a rename on the disk, where folders can be opened (not on Windows)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
