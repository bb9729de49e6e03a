r"""Batch normalisation, ReLU and the collapse of the :math:`\tau` frames of windows, in
Triton: one product whose first factor is normalised and rectified as it is read. Sums
are kept in float32.

The sums of windows are ``[B, W, tau V, C]``, frame by frame within a window, and may
lie in memory in any order. Rows are the joints of all windows, ``B W V``.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from pyg_msg3d.ops.kernels.triton_norm import (
    Features,
    dot,
    fitting,
    joined_moments,
    parts_of,
    places,
    precision_of,
    store_moments,
)
from pyg_msg3d.ops.policy import MOST_INNER, MOST_MAPPED


@triton.jit
def _sums(
    h, maps, row, t, channel, num_rows, num_windows, num_joints, channels, inner,
    clip_stride, window_stride, joint_stride, channel_stride, precision: tl.constexpr,
    block_inner: tl.constexpr,
):  # fmt: skip
    """Some rows and channels of one frame of windows. With maps, features have
    ``inner`` channels, which are mapped as they are read."""
    place = places(
        row, num_windows, num_joints, clip_stride, window_stride, joint_stride
    )
    place = place[:, None] + t * num_joints * joint_stride
    here, inside = (row < num_rows)[:, None], (channel < channels)[None, :]
    if block_inner == 0:
        place += channel[None, :] * channel_stride
        found = tl.load(h + place, mask=here & inside, other=0)
    else:
        column = tl.arange(0, block_inner)
        place += column[None, :] * channel_stride
        s = tl.load(h + place, mask=here & (column < inner)[None, :], other=0)
        theta = channel[None, :] * inner + column[:, None]
        there = (column < inner)[:, None] & inside
        theta = tl.load(maps + theta, mask=there, other=0)
        found = tl.zeros([row.shape[0], channel.shape[0]], dtype=tl.float32)
        found = dot(s, theta, found, precision).to(s.dtype)
    return found


@triton.jit
def _above(
    grad, weight, row, column, num_rows, width, outputs, precision: tl.constexpr,
    block_outputs: tl.constexpr,
):  # fmt: skip
    """The gradient to what is collapsed, of some rows and columns."""
    found = tl.zeros([row.shape[0], column.shape[0]], dtype=tl.float32)
    for first in range(0, outputs, block_outputs):
        output = first + tl.arange(0, block_outputs)
        there = (row < num_rows)[:, None] & (output < outputs)[None, :]
        place = row.to(tl.int64)[:, None] * outputs + output[None, :]
        mine = tl.load(grad + place, mask=there, other=0)
        there = (output < outputs)[:, None] & (column < width)[None, :]
        place = output[:, None] * width + column[None, :]
        phi = tl.load(weight + place, mask=there, other=0)
        found = dot(mine, phi, found, precision)
    return found


@triton.jit
def _below(above, s, affine, line, channel, channels):
    """The gradient to the sums by that to what is collapsed, with what comes through
    mean and variance, ``offset + slope s``."""
    wide, inside = s.to(tl.float32), channel < channels
    by = tl.load(affine + channel, mask=inside, other=0)[None, :]
    more = tl.load(affine + channels + channel, mask=inside, other=0)[None, :]
    found = tl.where(wide * by + more > 0, above * by, 0)
    found += wide * tl.load(line + channel, mask=inside, other=0)[None, :]
    return found + tl.load(line + channels + channel, mask=inside, other=0)[None, :]


@triton.jit
def mapped_moments_kernel(
    h, maps, out, num_rows, num_windows, num_joints, tau, channels, inner,
    clip_stride, window_stride, joint_stride, channel_stride, precision: tl.constexpr,
    block_rows: tl.constexpr, block_columns: tl.constexpr, block_inner: tl.constexpr,
):  # fmt: skip
    """Moments of some channels, over every so many rows, by each program."""
    channel = tl.program_id(0) * block_columns + tl.arange(0, block_columns)
    inside = channel < channels
    split, splits = tl.program_id(1), tl.num_programs(1)
    count = tl.zeros([block_columns], dtype=tl.float32)
    mean = tl.zeros([block_columns], dtype=tl.float32)
    spread = tl.zeros([block_columns], dtype=tl.float32)
    for first in range(split * block_rows, num_rows, splits * block_rows):
        row = first + tl.arange(0, block_rows)
        there = (row < num_rows)[:, None] & inside[None, :]
        rows = tl.minimum(block_rows, num_rows - first).to(tl.float32)
        for t in range(tau):
            s = _sums(
                h, maps, row, t, channel, num_rows, num_windows, num_joints, channels,
                inner, clip_stride, window_stride, joint_stride, channel_stride,
                precision, block_inner,
            )  # fmt: skip
            count, mean, spread = joined_moments(
                count, mean, spread, s.to(tl.float32), there, rows
            )
    store_moments(out, count, mean, spread, channel, inside, channels, split)


@triton.jit
def collapse_kernel(
    h, maps, weight, affine, shift, out, num_rows, num_windows, num_joints, tau,
    channels, inner, outputs, clip_stride, window_stride, joint_stride, channel_stride,
    has_shift: tl.constexpr, precision: tl.constexpr, block_rows: tl.constexpr,
    block_columns: tl.constexpr, block_outputs: tl.constexpr, block_inner: tl.constexpr,
):  # fmt: skip
    """Some rows and outputs by each program."""
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    output = tl.program_id(1) * block_outputs + tl.arange(0, block_outputs)
    total = tl.zeros([block_rows, block_outputs], dtype=tl.float32)
    for t in range(tau):
        for first in range(0, channels, block_columns):
            channel = first + tl.arange(0, block_columns)
            inside = channel < channels
            s = _sums(
                h, maps, row, t, channel, num_rows, num_windows, num_joints, channels,
                inner, clip_stride, window_stride, joint_stride, channel_stride,
                precision, block_inner,
            )  # fmt: skip
            by = tl.load(affine + channel, mask=inside, other=0)
            more = tl.load(affine + channels + channel, mask=inside, other=0)
            y = tl.maximum(s.to(tl.float32) * by[None, :] + more[None, :], 0)
            there = inside[:, None] & (output < outputs)[None, :]
            place = output[None, :] * (tau * channels) + t * channels + channel[:, None]
            phi = tl.load(weight + place, mask=there, other=0)
            total = dot(y.to(s.dtype), phi, total, precision)
    if has_shift:
        total += tl.load(shift + output, mask=output < outputs, other=0)[None, :]
    there = (row < num_rows)[:, None] & (output < outputs)[None, :]
    place = row.to(tl.int64)[:, None] * outputs + output[None, :]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=there)


@triton.jit
def products_kernel(
    h, maps, grad, affine, out, to_shift, num_rows, num_windows, num_joints, tau,
    channels, inner, outputs, clip_stride, window_stride, joint_stride, channel_stride,
    precision: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
    block_outputs: tl.constexpr, block_inner: tl.constexpr,
):  # fmt: skip
    """Products of the gradient with where the ReLU is open, and with the standardised
    sums there: of some outputs, one frame and some channels, over every so many rows,
    by each program. And the sum of the gradient."""
    tiles = tl.cdiv(channels, block_columns)
    t, split = tl.program_id(0) // tiles, tl.program_id(2)
    channel = tl.program_id(0) % tiles * block_columns + tl.arange(0, block_columns)
    output = tl.program_id(1) * block_outputs + tl.arange(0, block_outputs)
    inside = channel < channels
    by = tl.load(affine + channel, mask=inside, other=0)[None, :]
    more = tl.load(affine + channels + channel, mask=inside, other=0)[None, :]
    less = tl.load(affine + 2 * channels + channel, mask=inside, other=0)[None, :]
    over = tl.load(affine + 3 * channels + channel, mask=inside, other=0)[None, :]
    opened = tl.zeros([block_outputs, block_columns], dtype=tl.float32)
    weighed = tl.zeros([block_outputs, block_columns], dtype=tl.float32)
    summed = tl.zeros([block_outputs], dtype=tl.float32)
    step = tl.num_programs(2) * block_rows
    for first in range(split * block_rows, num_rows, step):
        row = first + tl.arange(0, block_rows)
        s = _sums(
            h, maps, row, t, channel, num_rows, num_windows, num_joints, channels,
            inner, clip_stride, window_stride, joint_stride, channel_stride,
            precision, block_inner,
        )  # fmt: skip
        there = (row < num_rows)[:, None] & (output < outputs)[None, :]
        place = row.to(tl.int64)[:, None] * outputs + output[None, :]
        above = tl.trans(tl.load(grad + place, mask=there, other=0))
        wide = s.to(tl.float32)
        is_open = wide * by + more > 0
        one = tl.where(is_open, 1.0, 0.0).to(s.dtype)
        opened = dot(above, one, opened, precision)
        standard = tl.where(is_open, (wide - less) * over, 0).to(s.dtype)
        weighed = dot(above, standard, weighed, precision)
        summed += tl.sum(above.to(tl.float32), axis=1)
    there = (output < outputs)[:, None] & inside[None, :]
    place = (split * 2 * outputs + output[:, None]) * tau + t
    place = place * channels + channel[None, :]
    tl.store(out + place, opened, mask=there)
    tl.store(out + place + outputs * tau * channels, weighed, mask=there)
    if tl.program_id(0) == 0:
        tl.store(to_shift + split * outputs + output, summed, mask=output < outputs)


@triton.jit
def sums_gradient_kernel(
    h, grad, weight, affine, line, out, num_rows, num_windows, num_joints,
    tau, channels, outputs, clip_stride, window_stride, joint_stride, channel_stride,
    precision: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
    block_outputs: tl.constexpr,
):  # fmt: skip
    """The gradient to the sums of one frame and some channels by some rows."""
    tiles = tl.cdiv(channels, block_columns)
    t = tl.program_id(1) // tiles
    channel = tl.program_id(1) % tiles * block_columns + tl.arange(0, block_columns)
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    # Channels beyond the last are those of the next frame.
    column = tl.where(channel < channels, t * channels + channel, tau * channels)
    above = _above(
        grad, weight, row, column, num_rows, tau * channels, outputs, precision,
        block_outputs,
    )  # fmt: skip
    place = places(
        row, num_windows, num_joints, clip_stride, window_stride, joint_stride
    )
    place = place[:, None] + t * num_joints * joint_stride
    place += channel[None, :] * channel_stride
    there = (row < num_rows)[:, None] & (channel < channels)[None, :]
    s = tl.load(h + place, mask=there, other=0)
    found = _below(above, s, affine, line, channel, channels)
    tl.store(out + place, found.to(out.dtype.element_ty), mask=there)


@triton.jit
def mapped_gradient_kernel(
    h, maps, grad, weight, affine, line, out, to_maps, num_rows, num_windows,
    num_joints, tau, channels, inner, outputs, clip_stride, window_stride, joint_stride,
    channel_stride, precision: tl.constexpr, block_rows: tl.constexpr,
    block_columns: tl.constexpr, block_outputs: tl.constexpr, block_inner: tl.constexpr,
):  # fmt: skip
    """The gradients to what is mapped and to the maps, of one frame of windows, from
    every so many rows, by each program."""
    t, split = tl.program_id(0), tl.program_id(1)
    channel, column = tl.arange(0, block_columns), tl.arange(0, block_inner)
    within = tl.where(channel < channels, t * channels + channel, tau * channels)
    there = (channel < channels)[:, None] & (column < inner)[None, :]
    mine = channel[:, None] * inner + column[None, :]
    theta = tl.load(maps + mine, mask=there, other=0)
    total = tl.zeros([block_columns, block_inner], dtype=tl.float32)
    step = tl.num_programs(1) * block_rows
    for first in range(split * block_rows, num_rows, step):
        row = first + tl.arange(0, block_rows)
        above = _above(
            grad, weight, row, within, num_rows, tau * channels, outputs, precision,
            block_outputs,
        )  # fmt: skip
        place = places(
            row, num_windows, num_joints, clip_stride, window_stride, joint_stride
        )
        place = place[:, None] + t * num_joints * joint_stride
        place += column[None, :] * channel_stride
        here = (row < num_rows)[:, None] & (column < inner)[None, :]
        s = tl.load(h + place, mask=here, other=0)
        nothing = tl.zeros([block_rows, block_columns], dtype=tl.float32)
        found = dot(s, tl.trans(theta), nothing, precision).to(s.dtype)
        found = _below(above, found, affine, line, channel, channels)
        found = tl.where((row < num_rows)[:, None], found, 0).to(s.dtype)
        total = dot(tl.trans(found), s, total, precision)
        nothing = tl.zeros([block_rows, block_inner], dtype=tl.float32)
        found = dot(found, theta, nothing, precision)
        tl.store(out + place, found.to(s.dtype), mask=here)
    mine += (split * tau + t) * channels * inner
    tl.store(to_maps + mine, total, mask=there)


class Windows(Features):
    """The sums of windows ``[B, W, tau V, C]``, as kernels take them; with maps
    ``[C, C'']``, of ``[B, W, tau V, C'']``, which are mapped as they are read."""

    def __init__(self, h: Tensor, tau: int, maps: Tensor | None = None) -> None:
        # The gradient lies in memory as they do, which it cannot with holes in between.
        dense = torch.ops.aten.is_non_overlapping_and_dense.default(h)
        channels = None if maps is None else maps.size(0)
        super().__init__(h if dense else h.contiguous(), tau, channels)
        self.maps = maps
        self.inner = 0 if maps is None else h.size(3)
        block = 0 if maps is None else fitting(self.inner, MOST_INNER)
        self.mapped = {'block_inner': block, 'precision': precision_of(h)}

    @property
    def tiles(self) -> int:
        return self.tau * self.grid[0]

    def moments(self) -> Tensor:
        if self.maps is None:
            return super().moments()
        parts = self.new_parts(3)
        mapped_moments_kernel[self.grid[0], parts.size(0)](
            self.h, self.maps, parts, *self.sizes, self.inner, *self.h.stride(),
            **self.blocks, **self.mapped,
        )  # fmt: skip
        return parts

    def constants(self, outputs: int) -> dict[str, Any]:
        """Those of a kernel, see ``benchmarks/kernels.csv``."""
        most = 32 if self.h.dtype == torch.float32 else 64
        return {
            'precision': precision_of(self.h),
            'block_outputs': fitting(outputs, most),
            'num_warps': 8,
            **self.blocks,
        }

    def all_channels(self) -> dict[str, Any]:
        """The constants where a program has all channels in hand, of fewer rows."""
        return self.mapped | {
            'precision': precision_of(self.h, 'ieee'),
            'block_rows': 16,
            'block_columns': fitting(self.channels, MOST_MAPPED),
            'block_outputs': 16 if self.h.dtype == torch.float32 else 64,
        }

    def collapse(self, weight: Tensor, affine: Tensor, shift: Tensor | None) -> Tensor:
        """``[B, W, V, C']``."""
        outputs = weight.size(0)
        num_joints, constants = self.sizes[2], self.constants(outputs) | self.mapped
        out = self.h.new_empty(*self.h.shape[:2], num_joints, outputs)
        grid = (
            triton.cdiv(self.num_rows, constants['block_rows']),
            triton.cdiv(outputs, constants['block_outputs']),
        )
        collapse_kernel[grid](
            self.h, affine if self.maps is None else self.maps, weight, affine,
            affine if shift is None else shift, out, *self.sizes, self.inner, outputs,
            *self.h.stride(), has_shift=shift is not None, **constants,
        )  # fmt: skip
        return out

    def to_parameters(
        self, grad: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor, affine: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        r"""The gradients to the weights ``[C', tau C]`` and to the shift, and parts of
        those to gamma and beta. Of what the ReLU lets through,
        :math:`\gamma \hat{s} + \beta`, all but the second are combinations of two
        products."""
        outputs, constants = weight.size(0), self.constants(weight.size(0))
        tiles = triton.cdiv(outputs, constants['block_outputs'])
        splits = parts_of(self.num_rows, constants, tiles * self.tiles)
        out = affine.new_empty(splits, 2, outputs, self.tau, self.channels)
        to_shift = affine.new_empty(splits, outputs)
        products_kernel[self.tiles, tiles, splits](
            self.h, affine if self.maps is None else self.maps, grad, affine, out,
            to_shift, *self.sizes, self.inner, outputs, *self.h.stride(),
            **(constants | self.mapped),
        )  # fmt: skip
        found = out.sum(0)
        opened, weighed = found
        to_weight = torch.addcmul(opened * beta.float(), weighed, gamma.float())
        # Parts by frame, first those to gamma.
        parts = (found * weight.float().view_as(opened)).sum(1).flip(0).transpose(0, 1)
        return to_weight.flatten(1), to_shift.sum(0), parts.contiguous()

    def to_sums(
        self, grad: Tensor, weight: Tensor, affine: Tensor, line: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """The gradient to the sums; with maps to what is mapped, and to these."""
        out, constants = torch.empty_like(self.h), self.constants(weight.size(0))
        if self.maps is None:
            tiles = triton.cdiv(self.num_rows, constants['block_rows'])
            sums_gradient_kernel[tiles, self.tiles](
                self.h, grad, weight, affine, line, out, *self.sizes, weight.size(0),
                *self.h.stride(), **constants,
            )  # fmt: skip
            return out, None
        constants |= self.all_channels()
        splits = parts_of(self.num_rows, constants, self.tau)
        to_maps = affine.new_empty(splits, self.tau, *self.maps.shape)
        mapped_gradient_kernel[self.tau, splits](
            self.h, self.maps, grad, weight, affine, line, out, to_maps, *self.sizes,
            self.inner, weight.size(0), *self.h.stride(), **constants,
        )  # fmt: skip
        return out, to_maps.sum((0, 1))
