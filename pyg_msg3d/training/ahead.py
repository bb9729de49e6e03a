"""Batches on their way to a GPU while it computes with the one before."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch


def ahead(batches: Iterable[Any], device: torch.device) -> Iterator[Any]:
    """The batches, on the device: to a GPU each is copied, beside what it computes, as
    soon as the one before is asked for. On a CPU they are what they were."""
    if device.type != 'cuda':
        yield from batches
        return
    stream, waiting = torch.cuda.Stream(device), None
    for batch in batches:
        with torch.cuda.stream(stream):
            following = batch.to(device, non_blocking=True), stream.record_event()
        if waiting is not None:
            yield _arrived(*waiting)
        waiting = following
    if waiting is not None:
        yield _arrived(*waiting)


def _arrived(batch: Any, copied: Any) -> Any:
    current = torch.cuda.current_stream()
    current.wait_event(copied)
    # Whose memory is not to be used again before it is computed with.
    batch.record_stream(current)
    return batch
