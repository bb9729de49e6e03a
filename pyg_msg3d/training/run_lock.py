"""One folder, one run."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pyg_msg3d.data.atomic import remove_partials
from pyg_msg3d.data.errors import printable

_LOCK, _OWNER = '.run.lock', '.run.owner'


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    r"""Holds the folder of a run, which may be there or not, for this process alone.
    However a process ends, what it held is free again.

    Raises:
        FileExistsError: If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FileExistsError(
            f"A run is going on in '{printable(folder)}' already ({_owner(folder)}). "
            f'Wait for it, or choose another folder (--run-dir)'
        ) from None
    except (OSError, NotImplementedError) as error:
        # On file systems that know no locks, users see to it themselves.
        print(f"'{printable(folder)}' cannot be locked ({error}); training goes on")
        yield
        return
    try:
        remove_partials(folder)
        owner = f'process {os.getpid()} on {socket.gethostname()}'
        (folder / _OWNER).write_text(owner)
        yield
    finally:
        (folder / _OWNER).unlink(missing_ok=True)
        lock.release()  # The file stays, or two could hold one of it each.


def _owner(folder: Path) -> str:
    try:
        return printable((folder / _OWNER).read_text(), 100)
    except OSError:
        return 'of another process'
