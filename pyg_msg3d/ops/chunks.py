"""Large intermediates, some of the batch at a time."""

import torch
from torch import Tensor

# Bytes of an intermediate computed at a time. On CPUs it then stays in the cache, and
# in memory that the allocator has at hand; GPUs want more work at once.
CHUNK_BYTES = {'cpu': 1 << 22, 'cuda': 1 << 28}


def chunks(num_items: int, elements_per_item: int, like: Tensor) -> list[slice]:
    """Slices of a batch whose intermediates are small enough."""
    bound = CHUNK_BYTES.get(like.device.type, CHUNK_BYTES['cuda'])
    size = max(1, bound // (like.element_size() * max(1, elements_per_item)))
    return [slice(i, min(i + size, num_items)) for i in range(0, num_items, size)]


def tiles(
    num_clips: int, num_windows: int, elements_per_window: int, like: Tensor
) -> list[tuple[slice, slice]]:
    """Slices of clips and of their windows. A clip is divided where it is much too
    large by itself: windows share frames, so that doing so has its price."""
    clips = chunks(num_clips, num_windows * elements_per_window, like)
    windows = chunks(num_windows, max(1, elements_per_window // 3), like)
    return [(clip, some) for clip in clips for some in windows]


def wide(x: Tensor) -> torch.dtype:
    """What sums over chunks are kept in: float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)


def as_autocast(x: Tensor) -> Tensor:
    """What autocast would make of an operator's input: within an operator of our own
    it has no say."""
    kind = x.device.type
    if torch.is_autocast_enabled(kind) and x.dtype != torch.float64:
        return x.to(torch.get_autocast_dtype(kind))
    return x
