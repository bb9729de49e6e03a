"""What processes that load data have in common."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial


def as_helper() -> Callable[[int], None]:
    r"""A :obj:`worker_init_fn` of data loaders for processes that end when this one
    does, and not before:

    - Linux kills a worker when this process is killed. Left alone, workers wait for
      each other for ever, since each holds open the pipes that the others write to.
    - Launchers ask whole groups of processes to end. A worker then goes on, so that
      this process can finish and save what it is at, and ends when it asks.
    """
    return partial(_prepare, os.getpid())


def _prepare(parent: int, _: int) -> None:
    if hasattr(signal, 'SIGUSR1'):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if hasattr(signal, 'sigwaitinfo'):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_when_told_by, args=(parent,), daemon=True).start()
    if multiprocessing.get_start_method() == 'forkserver':  # As Python 3.14 does.
        # The system's parent is a server then, which lives as long as its children do.
        threading.Thread(target=_end_with_parent, daemon=True).start()
    elif sys.platform == 'linux':
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:  # It was killed before.
            os._exit(1)


def _end_when_told_by(parent: int) -> None:
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != parent:
        pass
    os._exit(0)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def num_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
