"""Meeting those that were started together, and nobody of before."""

import time
import uuid
from datetime import timedelta

import torch.distributed as dist

_PATIENCE = timedelta(minutes=10)
_POLL = 0.05  # Seconds.


def meet(store: dist.Store, rank: int, size: int) -> dist.Store:
    r"""A part of a store that only these processes use.

    ``torchrun`` keeps its store when it starts processes again, and with it the
    addresses of those that were killed: whoever reads one of these connects to nobody,
    and the new start fails, too. So the first process calls with a name that is new;
    the others answer to the name, each with a word that is new; it confirms their
    words, and the name becomes the part of the store. Calls and confirmations of before
    are told by words that nobody of now has said.

    Raises:
        TimeoutError: If some process does not come within ten minutes.
    """
    word, end = uuid.uuid4().hex, time.monotonic() + _PATIENCE.total_seconds()
    if rank == 0:
        name = uuid.uuid4().hex
        store.set('call', name)
        for other in range(1, size):
            answer = _wait_for(store, f'{name}/answer/{other}', end)
            store.set(f'{name}/confirmed/{other}', answer)
        return dist.PrefixStore(name, store)
    while True:
        name = _wait_for(store, 'call', end)
        store.set(f'{name}/answer/{rank}', word)
        while _read(store, 'call') == name:
            if _read(store, f'{name}/confirmed/{rank}') == word:
                return dist.PrefixStore(name, store)
            _pause(end)


def _wait_for(store: dist.Store, key: str, end: float) -> str:
    while (value := _read(store, key)) is None:
        _pause(end)
    return value


def _read(store: dist.Store, key: str) -> str | None:
    return store.get(key).decode() if store.check([key]) else None


def _pause(end: float) -> None:
    if time.monotonic() > end:
        raise TimeoutError('Waited ten minutes for processes that did not start')
    time.sleep(_POLL)
