"""Products with sparse matrices in Triton, for GPUs: no message is ever in memory, sums
are kept in float32, and since every result has one program that writes it, they come
out the same each time."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from pyg_msg3d.ops.kernels.tuned import Constants, Tuned
from pyg_msg3d.ops.policy import wide

# Channels that a program of the gradient to the weights has in hand.
_BLOCK_CHANNELS = 64
# Parts that the frames are split in for the gradient of the weights, so that few edges
# still make work for a whole GPU.
_SPLITS = 32


@triton.jit
def product_kernel(
    x,
    pointer,
    column,
    value,
    out,
    num_sources,
    num_rows,
    channels,
    accumulator: tl.constexpr,
    block_edges: tl.constexpr,
    block_channels: tl.constexpr,
):
    """One row of one frame, and some of its channels, by each program: however long a
    row is, no other waits for it."""
    # 64 bits, since a batch may hold more than 2^31 features.
    frame = (tl.program_id(0) // num_rows).to(tl.int64)
    row = tl.program_id(0) % num_rows
    channel = tl.program_id(1) * block_channels + tl.arange(0, block_channels)
    inside = channel < channels
    begin, end = tl.load(pointer + row), tl.load(pointer + row + 1)
    total = tl.zeros([block_channels], dtype=accumulator)
    for first in range(begin, end, block_edges):
        edge = first + tl.arange(0, block_edges)
        there = edge < end
        source = tl.load(column + edge, mask=there, other=0)
        weight = tl.load(value + edge, mask=there, other=0).to(accumulator)
        place = (frame * num_sources + source[:, None]) * channels + channel[None, :]
        features = tl.load(x + place, mask=there[:, None] & inside[None, :], other=0)
        total += tl.sum(weight[:, None] * features.to(accumulator), axis=0)
    place = (frame * num_rows + row) * channels + channel
    tl.store(out + place, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def weight_gradient_kernel(
    grad,
    x,
    row,
    column,
    out,
    num_edges,
    num_frames,
    num_sources,
    num_rows,
    channels,
    accumulator: tl.constexpr,
    block_channels: tl.constexpr,
):
    """One edge, in every so many frames, by each program."""
    edge, split = tl.program_id(0), tl.program_id(1)
    target, source = tl.load(row + edge), tl.load(column + edge)
    total = tl.zeros([block_channels], dtype=accumulator)
    for frame in range(split, num_frames, tl.num_programs(1)):
        for first in range(0, channels, block_channels):
            channel = first + tl.arange(0, block_channels)
            inside = channel < channels
            # Both ends are 64 bits wide, and so is what follows.
            at = (frame * num_rows + target) * channels + channel
            above = tl.load(grad + at, mask=inside, other=0).to(accumulator)
            at = (frame * num_sources + source) * channels + channel
            below = tl.load(x + at, mask=inside, other=0).to(accumulator)
            total += above * below
    tl.store(out + split * num_edges + edge, tl.sum(total, axis=0))


tuned_product = Tuned(
    product_kernel,
    [
        {'block_edges': edges, 'block_channels': channels, 'num_warps': warps}
        for edges, channels, warps in (
            (16, 64, 4), (16, 64, 2), (8, 64, 1), (32, 64, 4), (16, 128, 4),
        )
    ],
    key=['num_sources', 'num_rows', 'channels'],
)  # fmt: skip


Rows = tuple[Tensor, Tensor, Tensor]
"""A sparse matrix: row ``i`` holds the entries ``pointer[i]`` to ``pointer[i + 1]``,
each with its column and value."""


def matrix(pointer: Tensor, column: Tensor, value: Tensor, num_columns: int) -> Rows:
    """What :func:`product` takes."""
    return pointer.contiguous(), column, value


def product(matrix: Rows, x: Tensor, out: Tensor | None = None) -> Tensor:
    """The sparse matrix times the features of each frame, ``[n, S, C]`` to
    ``[n, S', C]``, in ``out`` if that is given, contiguous."""
    x, (pointer, column, value) = x.contiguous(), matrix
    frames, num_sources, channels = x.shape
    num_rows = pointer.numel() - 1
    out = x.new_empty(frames, num_rows, channels) if out is None else out
    if out.numel() == 0:
        return out

    def grid(constants: Constants) -> tuple[int, int]:
        return frames * num_rows, triton.cdiv(channels, constants['block_channels'])

    tuned_product(
        grid, x, pointer, column, value, out, num_sources, num_rows, channels,
        accumulator=_accumulator(x),
    )  # fmt: skip
    return out


def weight_gradient(grad: Tensor, x: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The gradient of :func:`product` to the values: for each entry the product of both
    its ends, summed over frames and channels."""
    grad, x = grad.contiguous(), x.contiguous()
    frames, num_sources, channels = x.shape
    splits = max(1, min(_SPLITS, frames))
    parts = x.new_zeros(splits, row.numel(), dtype=wide(x))
    if parts.numel() and x.numel():
        weight_gradient_kernel[row.numel(), splits](
            grad,
            x,
            row,
            column,
            parts,
            row.numel(),
            frames,
            num_sources,
            grad.size(1),
            channels,
            accumulator=_accumulator(x),
            block_channels=_BLOCK_CHANNELS,
        )
    return parts.sum(0)


def _accumulator(x: Tensor) -> tl.dtype:
    return tl.float64 if x.dtype == torch.float64 else tl.float32
