r"""The sum over scales within frames, in Triton,

.. math::
    \mathbf{Y} = \sum_{k=0}^{K-1} \mathbf{A}_{(k)} \, \mathbf{X} \,
    \mathbf{\Theta}_{(k)}^{\top},

of which nothing :math:`K`-fold is ever in memory: a program takes some frames and some
output channels, and goes over scales and input channels. The first product has frames
side by side, ``[targets, frames C]``; in another shape, ``[targets frames, C]``, it is
an input of the second. Sums are kept in float32.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from pyg_msg3d.ops.kernels.triton_norm import (
    MOST_PARTS,
    PROGRAMS,
    dot,
    fitting,
    precision_of,
)
from pyg_msg3d.ops.policy import MOST_JOINTS


@triton.jit
def _tile(matrix, row, column, num_rows, num_columns, row_stride, column_stride):
    """Some rows and columns of a matrix, zero beyond it."""
    place = row[:, None] * row_stride + column[None, :] * column_stride
    there = (row < num_rows)[:, None] & (column < num_columns)[None, :]
    return tl.load(matrix + place, mask=there, other=0)


@triton.jit
def _from(x, first_frame, frame_size):
    """Where a frame begins: 64 bits, since a batch may hold more than 2^31 features;
    within a tile 32 do."""
    return x + tl.full([], 1, tl.int64) * first_frame * frame_size


@triton.jit
def _beside(x, joint, frame, channel, num_joints, num_frames, num_channels):
    """Features ``[joints, frames C]``, frames side by side."""
    place = (frame[None, :] * num_joints + joint[:, None]) * num_channels
    there = (frame < num_frames) & (channel < num_channels)
    there = (joint < num_joints)[:, None] & there[None, :]
    return tl.load(x + place + channel[None, :], mask=there, other=0)


@triton.jit
def _below(x, joint, frame, channel, num_joints, num_frames, num_channels):
    """Features ``[joints frames, C]``, frames one below the other."""
    place = (frame * num_joints + joint)[:, None] * num_channels + channel[None, :]
    there = (frame < num_frames) & (joint < num_joints)
    there = there[:, None] & (channel < num_channels)[None, :]
    return tl.load(x + place, mask=there, other=0)


@triton.jit
def sum_kernel(
    x,
    adjacency,
    maps,
    out,
    num_frames,
    num_sources,
    num_targets,
    before,
    after,
    num_scales,
    target_stride,
    source_stride,
    after_stride,
    before_stride,
    precision: tl.constexpr,
    block_sources: tl.constexpr,
    block_targets: tl.constexpr,
    block_frames: tl.constexpr,
    block_before: tl.constexpr,
    block_after: tl.constexpr,
):
    """Some frames and some output channels by each program."""
    first_frame = tl.program_id(0) * block_frames
    source, target = tl.arange(0, block_sources), tl.arange(0, block_targets)
    beside = tl.arange(0, block_frames * block_before)
    frame = beside // block_before
    below = tl.arange(0, block_targets * block_frames)
    row_target, row_frame = below // block_frames, below % block_frames
    left = num_frames - first_frame
    x = _from(x, first_frame, num_sources * before)
    out = _from(out, first_frame, num_targets * after)
    channel = tl.program_id(1) * block_after + tl.arange(0, block_after)
    total = tl.zeros([block_targets * block_frames, block_after], dtype=tl.float32)
    nothing = tl.zeros([block_targets, block_frames * block_before], dtype=tl.float32)
    for first in range(0, before, block_before):
        features = _beside(
            x, source, frame, first + beside % block_before,
            num_sources, left, before,
        )  # fmt: skip
        inner = first + tl.arange(0, block_before)
        for k in range(num_scales):
            matrix = _tile(
                adjacency + k * num_targets * num_sources, target, source,
                num_targets, num_sources, target_stride, source_stride,
            )  # fmt: skip
            summed = dot(matrix, features, nothing, precision).to(features.dtype)
            summed = tl.reshape(summed, [block_targets * block_frames, block_before])
            mapped = _tile(
                maps + k * before * after, inner, channel,
                before, after, before_stride, after_stride,
            )  # fmt: skip
            total = dot(summed, mapped, total, precision)
    there = ((row_frame < left) & (row_target < num_targets))[:, None]
    there = there & (channel < after)[None, :]
    place = (row_frame * num_targets + row_target)[:, None] * after + channel[None, :]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=there)


@triton.jit
def maps_gradient_kernel(
    grad,
    x,
    adjacency,
    out,
    num_frames,
    num_sources,
    num_targets,
    before,
    after,
    precision: tl.constexpr,
    block_sources: tl.constexpr,
    block_targets: tl.constexpr,
    block_frames: tl.constexpr,
    block_before: tl.constexpr,
    block_after: tl.constexpr,
):
    """A tile of the map of one scale, from every so many frames, by each program."""
    tiles = tl.cdiv(before, block_before)
    k, split = tl.program_id(0), tl.program_id(2)
    channel = tl.program_id(1) // tiles * block_after + tl.arange(0, block_after)
    first = tl.program_id(1) % tiles * block_before
    source, target = tl.arange(0, block_sources), tl.arange(0, block_targets)
    beside = tl.arange(0, block_frames * block_before)
    below = tl.arange(0, block_targets * block_frames)
    matrix = _tile(
        adjacency + k * num_targets * num_sources, target, source,
        num_targets, num_sources, num_sources, 1,
    )  # fmt: skip
    total = tl.zeros([block_after, block_before], dtype=tl.float32)
    nothing = tl.zeros([block_targets, block_frames * block_before], dtype=tl.float32)
    step = block_frames * tl.num_programs(2)
    for first_frame in range(split * block_frames, num_frames, step):
        left = num_frames - first_frame
        features = _beside(
            _from(x, first_frame, num_sources * before), source,
            beside // block_before, first + beside % block_before,
            num_sources, left, before,
        )  # fmt: skip
        summed = dot(matrix, features, nothing, precision).to(features.dtype)
        summed = tl.reshape(summed, [block_targets * block_frames, block_before])
        above = _below(
            _from(grad, first_frame, num_targets * after), below // block_frames,
            below % block_frames, channel, num_targets, left, after,
        )  # fmt: skip
        total = dot(tl.trans(above), summed, total, precision)
    inner = first + tl.arange(0, block_before)
    there = (channel < after)[:, None] & (inner < before)[None, :]
    part = split * tl.num_programs(0) + k
    place = (part * after + channel[:, None]) * before + inner[None, :]
    tl.store(out + place, total, mask=there)


@triton.jit
def adjacency_gradient_kernel(
    grad,
    x,
    maps,
    out,
    num_frames,
    num_sources,
    num_targets,
    before,
    after,
    precision: tl.constexpr,
    block_sources: tl.constexpr,
    block_targets: tl.constexpr,
    block_frames: tl.constexpr,
    block_before: tl.constexpr,
    block_after: tl.constexpr,
):
    """The matrix of one scale, from every so many frames, by each program."""
    k, split = tl.program_id(0), tl.program_id(1)
    source, target = tl.arange(0, block_sources), tl.arange(0, block_targets)
    beside = tl.arange(0, block_frames * block_before)
    below = tl.arange(0, block_targets * block_frames)
    total = tl.zeros([block_targets, block_sources], dtype=tl.float32)
    step = block_frames * tl.num_programs(1)
    for first_frame in range(split * block_frames, num_frames, step):
        left = num_frames - first_frame
        for first in range(0, before, block_before):
            inner = first + tl.arange(0, block_before)
            # The gradient to what the sums of this scale are mapped from.
            mapped = tl.zeros(
                [block_targets * block_frames, block_before], dtype=tl.float32
            )
            for other in range(0, after, block_after):
                channel = other + tl.arange(0, block_after)
                above = _below(
                    _from(grad, first_frame, num_targets * after),
                    below // block_frames, below % block_frames, channel,
                    num_targets, left, after,
                )  # fmt: skip
                theta = _tile(
                    maps + k * before * after, channel, inner, after, before, before, 1
                )
                mapped = dot(above, theta, mapped, precision)
            features = _beside(
                _from(x, first_frame, num_sources * before), source,
                beside // block_before, first + beside % block_before,
                num_sources, left, before,
            )  # fmt: skip
            mine = tl.reshape(
                mapped.to(features.dtype), [block_targets, block_frames * block_before]
            )
            total = dot(mine, tl.trans(features), total, precision)
    there = (target < num_targets)[:, None] & (source < num_sources)[None, :]
    part = split * tl.num_programs(0) + k
    place = (part * num_targets + target[:, None]) * num_sources + source[None, :]
    tl.store(out + place, total, mask=there)


def scale_sum(x: Tensor, maps: Tensor, adjacency: Tensor) -> Tensor:
    """``[F, S, C]``, ``[K, C', C]`` and ``[K, S', S]`` to ``[F, S', C']``."""
    strides = *adjacency.stride()[1:], *maps.stride()[1:]
    return _sums(x, maps, adjacency, adjacency.size(1), maps.size(1), strides)


def to_features(grad: Tensor, maps: Tensor, adjacency: Tensor) -> Tensor:
    """The gradient to the features: the same with all matrices transposed."""
    strides = *adjacency.stride()[:0:-1], *maps.stride()[:0:-1]
    return _sums(grad, maps, adjacency, adjacency.size(2), maps.size(2), strides)


def _sums(
    x: Tensor,
    maps: Tensor,
    adjacency: Tensor,
    num_targets: int,
    after: int,
    strides: tuple[int, ...],
) -> Tensor:
    frames, num_sources, before = x.shape
    out = x.new_empty(frames, num_targets, after)
    sizes = num_sources, num_targets, before, after
    constants = blocks(x, sizes, gradient=False)
    grid = (
        triton.cdiv(frames, constants['block_frames']),
        triton.cdiv(after, constants['block_after']),
    )
    sum_kernel[grid](
        x, adjacency, maps, out, frames, *sizes, maps.size(0), *strides, **constants
    )
    return out


def to_maps(grad: Tensor, x: Tensor, adjacency: Tensor) -> Tensor:
    """The gradient to the maps ``[K, C', C]``, in float32."""
    sizes = x.size(1), grad.size(1), x.size(2), grad.size(2)
    k, constants = adjacency.size(0), blocks(x, sizes)
    tiles = triton.cdiv(sizes[3], constants['block_after'])
    tiles *= triton.cdiv(sizes[2], constants['block_before'])
    splits = _splits(x, constants, k * tiles)
    out = x.new_empty(splits, k, sizes[3], sizes[2], dtype=torch.float32)
    maps_gradient_kernel[k, tiles, splits](
        grad, x, adjacency, out, x.size(0), *sizes, **constants
    )
    return out.sum(0)


def to_adjacency(grad: Tensor, x: Tensor, maps: Tensor) -> Tensor:
    """The gradient to the matrices ``[K, S', S]``, in float32."""
    sizes = x.size(1), grad.size(1), x.size(2), grad.size(2)
    k, constants = maps.size(0), blocks(x, sizes)
    splits = _splits(x, constants, k)
    out = x.new_empty(splits, k, sizes[1], sizes[0], dtype=torch.float32)
    adjacency_gradient_kernel[k, splits](
        grad, x, maps, out, x.size(0), *sizes, **constants
    )
    return out.sum(0)


def _splits(x: Tensor, constants: dict[str, Any], programs: int) -> int:
    """Parts that the frames are split in for gradients to what all of them share."""
    most = min(MOST_PARTS, triton.cdiv(PROGRAMS, programs))
    return max(1, min(most, x.size(0) // (4 * constants['block_frames'])))


def blocks(x: Tensor, sizes: tuple[int, ...], gradient: bool = True) -> dict[str, Any]:
    """The constants of a kernel for so many sources, targets and channels before and
    after: as much in hand as registers hold, see ``benchmarks/kernels.csv``. Products
    have at least 16 rows and columns."""
    sources, targets = (fitting(size, MOST_JOINTS) for size in sizes[:2])
    wide = x.dtype == torch.float32
    return {
        'precision': precision_of(x),
        'block_sources': sources,
        'block_targets': targets,
        'block_frames': max(1, (32 if wide else 64) // max(sources, targets)),
        'block_before': fitting(sizes[2], 16 if wide else 32),
        'block_after': fitting(sizes[3], (16 if wide else 64) if gradient else 32),
        'num_warps': 4 if wide and not gradient and sources + targets <= 64 else 8,
        'num_stages': 1 if wide else 3,
        # Not fewer, for more programs at a time, by spilling some.
        'maxnreg': 255,
    }
