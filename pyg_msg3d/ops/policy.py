"""Which way an operator is computed: every threshold, order and amount, by device, and
what they rest on. All ways give the same numbers, up to rounding.

Unless said otherwise, figures are of ``benchmarks/operators.py`` and
``benchmarks/model.py`` on two cores; those of GPUs are estimates.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

#: What adds messages up.
BACKENDS = (
    'reference', 'dense', 'scatter', 'csr', 'triton', 'torch_sparse', 'torch_scatter',
)  # fmt: skip
#: What computes products of full matrices.
PRODUCTS = ('matmul', 'convolution')
#: The linear maps of the scales first, or the sums along edges.
ORDERS = ('maps_first', 'sums_first')
#: Clip by clip, so that little is in memory and in the cache; or the whole batch.
PATHS = ('chunked', 'batched')

_KINDS = {'backend': BACKENDS, 'product': PRODUCTS, 'order': ORDERS, 'path': PATHS}
_FORCED: ContextVar[Mapping[str, str]] = ContextVar(
    'pyg_msg3d.ops.use', default=MappingProxyType({})
)


@contextmanager
def use(*ways: str) -> Iterator[None]:
    """Computes operators in the given ways, within a ``with`` block and this thread,
    whatever the sizes and the device would choose.

    .. code-block:: python

        with pyg_msg3d.ops.use('reference'):
            expected = model(x)
        with pyg_msg3d.ops.use('dense', 'convolution', 'sums_first'):
            out = model(x)

    Args:
        *ways (str): A backend (:data:`BACKENDS`; :obj:`"reference"` are the paper's
            equations in plain torch, for all operators), what computes products of
            full matrices (:data:`PRODUCTS`), the order of maps and sums
            (:data:`ORDERS`), and clip by clip or all at once (:data:`PATHS`); at most
            one of each.

    Raises:
        ValueError: If there is no such way, or two exclude each other.
    """
    forced: dict[str, str] = {}
    for way in ways:
        kind = next((kind for kind, known in _KINDS.items() if way in known), None)
        if kind is None or kind in forced:
            shown = '; '.join(', '.join(known) for known in _KINDS.values())
            raise ValueError(f'Expected one each of: {shown} (got {", ".join(ways)})')
        forced[kind] = way
    token = _FORCED.set({**_FORCED.get(), **forced})
    try:
        yield
    finally:
        _FORCED.reset(token)


# Looked at once, when code is compiled: what these look at, compilers do not see.


@torch.compiler.assume_constant_result
def forced(kind: str) -> str | None:
    """What :func:`use` asks for: of the kinds ``'backend'``, ``'product'``, ``'order'``
    and ``'path'``."""
    return _FORCED.get().get(kind)


@torch.compiler.assume_constant_result
def is_transformed() -> bool:
    """Whether :mod:`torch.func` or forward-mode differentiation are at work."""
    within = torch._C._functorch.peek_interpreter_stack() is not None
    return within or forward_ad._current_level >= 0


@torch.compiler.assume_constant_result
def is_exported() -> bool:
    """Whether :func:`torch.export.export` is at work."""
    return torch.compiler.is_exporting()


@torch.compiler.assume_constant_result
def wants_definition() -> bool:
    """Whether somebody asks for an operator's definition, or looks into it."""
    return (
        forced('backend') == 'reference'
        or is_transformed()
        or is_exported()
        or torch.jit.is_tracing()
    )


# What adds messages up ----------------------------------------------------------------


def check_backend(name: str) -> None:
    """Refuses backends that there are not.

    Raises:
        ValueError: If it is neither ``'auto'`` nor one of them.
    """
    if name not in ('auto', *BACKENDS):
        raise ValueError(
            f"Unknown backend '{name}'; known ones: auto, {', '.join(BACKENDS)}"
        )


class _Full(NamedTuple):
    """When a product with the full matrix is taken."""

    #: Entries up to which it is, whatever the density.
    always: int
    #: The density from which on it is ...
    density: float
    #: ... up to so many entries.
    bound: int


_FULL = {
    # Few nodes are soon multiplied with, while a sparse product has its price in every
    # frame: at 25 joints 2 times as fast, at 133 and 12 % equal, at 543 a third.
    'cpu': _Full(1 << 15, 0.08, 1 << 24),
    # Estimated: a GPU multiplies full matrices much faster than it gathers.
    'cuda': _Full(1 << 17, 0.25, 1 << 24),
}


def backend(device: torch.device, num_edges: int, num_entries: int) -> str:
    """What :obj:`"auto"` stands for, given the number of edges and the entries of the
    matrix that they are part of."""
    kind = _kind(device)
    if kind not in _FULL:
        return 'reference'
    rule = _FULL[kind]
    density = num_edges / max(1, num_entries)
    if num_entries <= rule.always or (
        density >= rule.density and num_entries <= rule.bound
    ):
        return 'dense'
    return 'triton' if kind == 'cuda' else 'csr'


#: Joints up to which a frame is held by one program of a GPU's kernels.
MOST_JOINTS = 64
#: Channels of a window's frames that are mapped as they are read: before and after.
MOST_INNER, MOST_MAPPED = 32, 128


def most_channels(x: Tensor) -> int:
    """Channels up to which a branch of MS-TCN is: in float32 a program has registers
    for half as many."""
    return 32 if lowered(x) == torch.float32 else 64


def lowered(x: Tensor) -> torch.dtype:
    """The type in which products take some features: autocast may choose another."""
    device, lowers = x.device.type, x.is_floating_point() and x.dtype != torch.float64
    if lowers and device in ('cpu', 'cuda') and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype


def _kind(device: torch.device) -> str:
    """What rules are by. On no device all is as on a GPU, so that it can be counted."""
    return 'cuda' if device.type == 'meta' else device.type


def is_known(device: torch.device) -> bool:
    """Whether there is anything but the definition for a device."""
    return _kind(device) in _FULL


# In which order -----------------------------------------------------------------------


def lifts(
    num_scales: int,
    num_sources: int,
    num_targets: int,
    channels: tuple[int, int],
    num_edges: int,
    windows_per_frame: float = 1.0,
    no_slots: bool = False,
) -> bool:
    """Whether each joint is lifted to its K slots, once per frame, and these are
    summed; else K slots are summed up at each target, and then mapped. By the
    multiplications per frame, with ``channels`` before and after the maps; where both
    take as many, what the backward pass computes again is cheaper in the other order,
    unless it does without slots.
    """
    way = forced('order')
    if way is not None:
        return way == ORDERS[0]
    before, after = channels
    per_map = num_scales * before * after
    along_edges = windows_per_frame * num_edges
    maps_first = num_sources * per_map + along_edges * after
    sums_first = windows_per_frame * num_targets * per_map + along_edges * before
    if maps_first == sums_first:
        return no_slots
    return maps_first < sums_first


def maps_joints(channels: int, num_scales: int, num_frames: int) -> bool:
    """Whether the diagonal part of a window's graph becomes one map for each joint:
    where all of these are no larger than the K slots of all frames would be."""
    return channels <= num_scales * num_frames


# With which product -------------------------------------------------------------------


def convolves(x: Tensor) -> bool:
    """Whether products of full matrices are convolutions: in float32 on AMD's CPUs,
    where torch's BLAS takes half the time of the other. It is the other way round on
    Intel's, and on GPUs."""
    way = forced('product')
    if way is not None or wants_definition():
        return way == 'convolution'
    return _AMD and x.device.type == 'cpu' and x.dtype != torch.float64


def is_narrow(x: Tensor) -> bool:
    """Whether there are too few channels for a product per frame: then frames go side
    by side, 3 times as fast with the 3 of raw coordinates."""
    return x.size(-1) < 16


#: Windows whose frames are summed in one product: so few that the zeros in it cost
#: little.
WINDOWS_AT_A_TIME = 64


def _is_amd() -> bool:
    try:
        return 'AuthenticAMD' in Path('/proc/cpuinfo').read_text()
    except OSError:
        return False


_AMD = _is_amd()


# How much at a time -------------------------------------------------------------------


def is_batched(x: Tensor) -> bool:
    """Whether a whole batch is computed at once: on GPUs, where each launch costs as
    much as some megabytes of memory; and on no device, as on a GPU."""
    way = forced('path')
    return _kind(x.device) == 'cuda' if way is None else way == 'batched'


# Bytes of an intermediate: it then stays in the cache, and in memory that the allocator
# has at hand.
_CHUNK_BYTES = 1 << 22


def chunks(num_items: int, elements_per_item: int, like: Tensor) -> list[slice]:
    """Slices of a batch whose intermediates are small enough; all of it where it is
    computed at once."""
    if is_batched(like):
        return [slice(0, num_items)]
    size = max(1, _CHUNK_BYTES // (like.element_size() * max(1, elements_per_item)))
    return [slice(i, min(i + size, num_items)) for i in range(0, num_items, size)]


def tiles(
    num_clips: int, num_windows: int, elements_per_window: int, like: Tensor
) -> list[tuple[slice, slice]]:
    """Slices of clips and of their windows. A clip is divided where it is much too
    large by itself: windows share frames, so that doing so has its price."""
    clips = chunks(num_clips, num_windows * elements_per_window, like)
    windows = chunks(num_windows, max(1, elements_per_window // 3), like)
    return [(clip, some) for clip in clips for some in windows]


# Bytes of the first block's features: fewer are slower, more are not faster.
_PART_BYTES = 1 << 24


def clips_at_a_time(x: Tensor, channels: int) -> int:
    """How many of the clips ``[B, T, V, C]`` go through a model's blocks at once in
    inference on a CPU, so that memory does not grow with the batch."""
    return max(
        1, _PART_BYTES // max(1, x[:1, ..., 0].numel() * channels * x.element_size())
    )


def wide(x: Tensor) -> torch.dtype:
    """What sums over chunks are kept in: float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)
