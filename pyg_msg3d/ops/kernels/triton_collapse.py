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

from pyg_msg3d.ops.kernels.triton_frames import IS_INTERPRETED, _dot, fitting

# Parts that the rows are split in for what is summed over all of them.
_SPLITS = 64


@triton.jit
def _places(row, num_windows, num_joints, clip_stride, window_stride, joint_stride):
    """Where rows lie in memory."""
    window, joint = row // num_joints, row % num_joints
    clip = (window // num_windows).to(tl.int64)
    place = clip * clip_stride + window % num_windows * window_stride
    return place + joint * joint_stride


@triton.jit
def _above(grad, weight, row, column, num_rows, width, outputs, precision: tl.constexpr,
           block_rows: tl.constexpr, block_columns: tl.constexpr,
           block_outputs: tl.constexpr):  # fmt: skip
    """The gradient to what is collapsed, of some rows and columns."""
    found = tl.zeros([block_rows, block_columns], dtype=tl.float32)
    for first in range(0, outputs, block_outputs):
        output = first + tl.arange(0, block_outputs)
        there = (row < num_rows)[:, None] & (output < outputs)[None, :]
        place = row.to(tl.int64)[:, None] * outputs + output[None, :]
        mine = tl.load(grad + place, mask=there, other=0)
        there = (output < outputs)[:, None] & (column < width)[None, :]
        place = output[:, None] * width + column[None, :]
        phi = tl.load(weight + place, mask=there, other=0)
        found = _dot(mine, phi, found, precision)
    return found


@triton.jit
def moments_kernel(
    h, out, num_rows, num_windows, num_joints, tau, channels,
    clip_stride, window_stride, joint_stride, channel_stride,
    block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """Count, mean and sum of squares about it of some channels, over every so many
    rows, by each program."""
    channel = tl.program_id(0) * block_columns + tl.arange(0, block_columns)
    split, splits = tl.program_id(1), tl.num_programs(1)
    count = tl.zeros([block_columns], dtype=tl.float32)
    mean = tl.zeros([block_columns], dtype=tl.float32)
    spread = tl.zeros([block_columns], dtype=tl.float32)
    for first in range(split * block_rows, num_rows, splits * block_rows):
        row = first + tl.arange(0, block_rows)
        there = (row < num_rows)[:, None] & (channel < channels)[None, :]
        place = _places(
            row, num_windows, num_joints, clip_stride, window_stride, joint_stride
        )
        place = place[:, None] + channel[None, :] * channel_stride
        rows = tl.minimum(block_rows, num_rows - first).to(tl.float32)
        for t in range(tau):
            s = tl.load(h + place + t * num_joints * joint_stride, mask=there, other=0)
            s = s.to(tl.float32)
            mine = tl.sum(s, axis=0) / rows
            rest = tl.where(there, s - mine[None, :], 0)
            # Two parts put together.
            apart, total = mine - mean, count + rows
            spread += tl.sum(rest * rest, axis=0) + apart * apart * count * rows / total
            mean += apart * rows / total
            count = total
    inside = channel < channels
    place = split * 3 * channels + channel
    tl.store(out + place, count, mask=inside)
    tl.store(out + place + channels, mean, mask=inside)
    tl.store(out + place + 2 * channels, spread, mask=inside)


@triton.jit
def affine_kernel(
    moments, mean, variance, bias, gamma, beta, out, channels, splits, eps,
    has_moments: tl.constexpr, has_bias: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """Scale and offset of the sums, their mean, and one over their standard deviation,
    by some moments with the bias; or by parts of those without, which are put together
    there."""
    channel = tl.program_id(0) * block_columns + tl.arange(0, block_columns)
    inside = channel < channels
    shift = tl.zeros([block_columns], dtype=tl.float32)
    if has_bias:
        shift += tl.load(bias + channel, mask=inside, other=0).to(tl.float32)
    if has_moments:
        center = tl.load(mean + channel, mask=inside, other=0).to(tl.float32) - shift
        spread = tl.load(variance + channel, mask=inside, other=1).to(tl.float32)
    else:
        count = tl.zeros([block_columns], dtype=tl.float32)
        center = tl.zeros([block_columns], dtype=tl.float32)
        spread = tl.zeros([block_columns], dtype=tl.float32)
        for split in range(splits):
            place = moments + split * 3 * channels + channel
            more = tl.load(place, mask=inside, other=1)
            apart = tl.load(place + channels, mask=inside, other=0) - center
            total = count + more
            spread += tl.load(place + 2 * channels, mask=inside, other=0)
            spread += apart * apart * count * more / total
            center += apart * more / total
            count = total
        spread = spread / count
        tl.store(mean + channel, center + shift, mask=inside)
        tl.store(variance + channel, spread, mask=inside)
    rstd = 1 / tl.sqrt(spread + eps)
    scale = tl.load(gamma + channel, mask=inside, other=0).to(tl.float32) * rstd
    offset = tl.load(beta + channel, mask=inside, other=0).to(tl.float32)
    tl.store(out + channel, scale, mask=inside)
    tl.store(out + channels + channel, offset - center * scale, mask=inside)
    tl.store(out + 2 * channels + channel, center, mask=inside)
    tl.store(out + 3 * channels + channel, rstd, mask=inside)


@triton.jit
def line_kernel(
    parts, affine, to_gamma, to_beta, line, channels, splits, count,
    of_batch: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """The gradients to gamma and beta from their parts; and the line that comes through
    mean and variance, where they are those of the batch: slope and offset."""
    channel = tl.program_id(0) * block_columns + tl.arange(0, block_columns)
    inside = channel < channels
    by_gamma = tl.zeros([block_columns], dtype=tl.float32)
    by_beta = tl.zeros([block_columns], dtype=tl.float32)
    for split in range(splits):
        place = parts + split * 2 * channels + channel
        by_gamma += tl.load(place, mask=inside, other=0)
        by_beta += tl.load(place + channels, mask=inside, other=0)
    scale = tl.load(affine + channel, mask=inside, other=0)
    center = tl.load(affine + 2 * channels + channel, mask=inside, other=0)
    rstd = tl.load(affine + 3 * channels + channel, mask=inside, other=0)
    slope = tl.zeros([block_columns], dtype=tl.float32)
    offset = tl.zeros([block_columns], dtype=tl.float32)
    if of_batch:
        slope -= scale * rstd * by_gamma / count
        offset -= by_beta * scale / count + center * slope
    tl.store(to_gamma + channel, by_gamma, mask=inside)
    tl.store(to_beta + channel, by_beta, mask=inside)
    tl.store(line + channel, slope, mask=inside)
    tl.store(line + channels + channel, offset, mask=inside)


@triton.jit
def collapse_kernel(
    h, weight, affine, shift, out, num_rows, num_windows, num_joints, tau,
    channels, outputs, clip_stride, window_stride, joint_stride, channel_stride,
    has_shift: tl.constexpr, precision: tl.constexpr, block_rows: tl.constexpr,
    block_columns: tl.constexpr, block_outputs: tl.constexpr,
):  # fmt: skip
    """Some rows and outputs by each program."""
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    output = tl.program_id(1) * block_outputs + tl.arange(0, block_outputs)
    rows = _places(
        row, num_windows, num_joints, clip_stride, window_stride, joint_stride
    )
    total = tl.zeros([block_rows, block_outputs], dtype=tl.float32)
    for t in range(tau):
        for first in range(0, channels, block_columns):
            channel = first + tl.arange(0, block_columns)
            inside = channel < channels
            place = rows[:, None] + t * num_joints * joint_stride
            place += channel[None, :] * channel_stride
            there = (row < num_rows)[:, None] & inside[None, :]
            s = tl.load(h + place, mask=there, other=0)
            by = tl.load(affine + channel, mask=inside, other=0)
            more = tl.load(affine + channels + channel, mask=inside, other=0)
            y = tl.maximum(s.to(tl.float32) * by[None, :] + more[None, :], 0)
            there = inside[:, None] & (output < outputs)[None, :]
            place = output[None, :] * (tau * channels) + t * channels + channel[:, None]
            phi = tl.load(weight + place, mask=there, other=0)
            total = _dot(y.to(s.dtype), phi, total, precision)
    if has_shift:
        total += tl.load(shift + output, mask=output < outputs, other=0)[None, :]
    there = (row < num_rows)[:, None] & (output < outputs)[None, :]
    place = row.to(tl.int64)[:, None] * outputs + output[None, :]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=there)


@triton.jit
def norm_gradient_kernel(
    h, grad, weight, affine, out, num_rows, num_windows, num_joints,
    tau, channels, outputs, clip_stride, window_stride, joint_stride, channel_stride,
    precision: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
    block_outputs: tl.constexpr,
):  # fmt: skip
    """The gradients to gamma and beta by one frame of windows and some channels, from
    every so many rows, by each program."""
    tiles = tl.cdiv(channels, block_columns)
    t, split = tl.program_id(0) // tiles, tl.program_id(1)
    channel = tl.program_id(0) % tiles * block_columns + tl.arange(0, block_columns)
    inside = channel < channels
    # Channels beyond the last are those of the next frame.
    column = tl.where(inside, t * channels + channel, tau * channels)
    by = tl.load(affine + channel, mask=inside, other=0)
    more = tl.load(affine + channels + channel, mask=inside, other=0)
    less = tl.load(affine + 2 * channels + channel, mask=inside, other=0)
    over = tl.load(affine + 3 * channels + channel, mask=inside, other=0)
    to_gamma = tl.zeros([block_columns], dtype=tl.float32)
    to_beta = tl.zeros([block_columns], dtype=tl.float32)
    step = tl.num_programs(1) * block_rows
    for first in range(split * block_rows, num_rows, step):
        row = first + tl.arange(0, block_rows)
        above = _above(
            grad, weight, row, column, num_rows, tau * channels, outputs, precision,
            block_rows, block_columns, block_outputs,
        )  # fmt: skip
        place = _places(
            row, num_windows, num_joints, clip_stride, window_stride, joint_stride
        )
        place = place[:, None] + t * num_joints * joint_stride
        there = (row < num_rows)[:, None] & inside[None, :]
        place += channel[None, :] * channel_stride
        s = tl.load(h + place, mask=there, other=0).to(tl.float32)
        above = tl.where(s * by[None, :] + more[None, :] > 0, above, 0)
        to_beta += tl.sum(above, axis=0)
        to_gamma += tl.sum(above * (s - less[None, :]) * over[None, :], axis=0)
    place = (split * tau + t) * 2 * channels + channel
    tl.store(out + place, to_gamma, mask=inside)
    tl.store(out + place + channels, to_beta, mask=inside)


@triton.jit
def weight_gradient_kernel(
    h, grad, affine, out, num_rows, num_windows, num_joints, tau, channels,
    outputs, clip_stride, window_stride, joint_stride, channel_stride,
    precision: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
    block_outputs: tl.constexpr,
):  # fmt: skip
    """The gradient to some outputs' weights of one frame and some channels, from every
    so many rows, by each program."""
    tiles = tl.cdiv(channels, block_columns)
    t, split = tl.program_id(0) // tiles, tl.program_id(2)
    channel = tl.program_id(0) % tiles * block_columns + tl.arange(0, block_columns)
    output = tl.program_id(1) * block_outputs + tl.arange(0, block_outputs)
    inside = channel < channels
    by = tl.load(affine + channel, mask=inside, other=0)
    more = tl.load(affine + channels + channel, mask=inside, other=0)
    total = tl.zeros([block_outputs, block_columns], dtype=tl.float32)
    step = tl.num_programs(2) * block_rows
    for first in range(split * block_rows, num_rows, step):
        row = first + tl.arange(0, block_rows)
        place = _places(
            row, num_windows, num_joints, clip_stride, window_stride, joint_stride
        )
        place = place[:, None] + t * num_joints * joint_stride
        there = (row < num_rows)[:, None] & inside[None, :]
        s = tl.load(h + place + channel[None, :] * channel_stride, mask=there, other=0)
        y = tl.maximum(s.to(tl.float32) * by[None, :] + more[None, :], 0).to(s.dtype)
        there = (row < num_rows)[:, None] & (output < outputs)[None, :]
        place = row.to(tl.int64)[:, None] * outputs + output[None, :]
        above = tl.load(grad + place, mask=there, other=0)
        total = _dot(tl.trans(above), y, total, precision)
    there = (output < outputs)[:, None] & inside[None, :]
    place = (split * outputs + output[:, None]) * tau + t
    tl.store(out + place * channels + channel[None, :], total, mask=there)


@triton.jit
def sums_gradient_kernel(
    h, grad, weight, affine, line, out, num_rows, num_windows, num_joints,
    tau, channels, outputs, clip_stride, window_stride, joint_stride, channel_stride,
    precision: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
    block_outputs: tl.constexpr,
):  # fmt: skip
    """The gradient to the sums of one frame and some channels by some rows, with what
    comes through mean and variance, ``line + slope s``."""
    tiles = tl.cdiv(channels, block_columns)
    t = tl.program_id(1) // tiles
    channel = tl.program_id(1) % tiles * block_columns + tl.arange(0, block_columns)
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    inside = channel < channels
    column = tl.where(inside, t * channels + channel, tau * channels)
    above = _above(
        grad, weight, row, column, num_rows, tau * channels, outputs, precision,
        block_rows, block_columns, block_outputs,
    )  # fmt: skip
    place = _places(
        row, num_windows, num_joints, clip_stride, window_stride, joint_stride
    )
    place = place[:, None] + t * num_joints * joint_stride
    place += channel[None, :] * channel_stride
    there = (row < num_rows)[:, None] & inside[None, :]
    s = tl.load(h + place, mask=there, other=0).to(tl.float32)
    by = tl.load(affine + channel, mask=inside, other=0)[None, :]
    more = tl.load(affine + channels + channel, mask=inside, other=0)[None, :]
    result = tl.where(s * by + more > 0, above * by, 0)
    result += s * tl.load(line + channel, mask=inside, other=0)[None, :]
    result += tl.load(line + channels + channel, mask=inside, other=0)[None, :]
    tl.store(out + place, result.to(out.dtype.element_ty), mask=there)


class Windows:
    """The sums of windows ``[B, W, tau V, C]``, as kernels take them."""

    def __init__(self, h: Tensor, tau: int) -> None:
        # The gradient lies in memory as they do, which it cannot with holes in between.
        dense = torch.ops.aten.is_non_overlapping_and_dense.default(h)
        h = h if dense else h.contiguous()
        self.h, self.tau, self.channels = h, tau, h.size(3)
        num_joints = h.size(2) // tau
        self.num_rows = h.size(0) * h.size(1) * num_joints
        self.sizes = self.num_rows, h.size(1), num_joints, tau, h.size(3)
        wide = h.dtype == torch.float32
        self.columns = fitting(h.size(3), 16 if wide else 32)
        self.rows = 32 if wide else 64
        precision = 'tf32x3' if wide else 'tf32'
        self.precision = 'interpreted' if IS_INTERPRETED else precision

    @property
    def tiles(self) -> int:
        return self.tau * triton.cdiv(self.channels, self.columns)

    @property
    def splits(self) -> int:
        return max(1, min(_SPLITS, self.num_rows // (4 * self.rows)))

    def blocks(self, outputs: int) -> dict[str, Any]:
        """The constants of a kernel, see ``benchmarks/kernels.csv``."""
        return {
            'precision': self.precision,
            'block_rows': self.rows,
            'block_columns': self.columns,
            'block_outputs': fitting(outputs, 32 if self.rows == 32 else 64),
            'num_warps': 8,
        }

    def affine(
        self,
        bias: Tensor | None,
        gamma: Tensor,
        beta: Tensor,
        eps: float,
        mean: Tensor | None = None,
        variance: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scale and offset of the sums, their mean, and one over their standard
        deviation, ``[4, C]``; and mean and variance (biased) with the bias, which are
        those of the batch where they are not given."""
        like, grid = gamma.float(), (triton.cdiv(self.channels, self.columns),)
        given = mean is not None and variance is not None
        parts, splits = like, 1
        if mean is None or variance is None:
            mean, variance = torch.empty_like(like), torch.empty_like(like)
            splits = self.splits
            parts = like.new_empty(splits, 3, self.channels)
            moments_kernel[grid[0], splits](
                self.h, parts, *self.sizes, *self.h.stride(),
                block_rows=self.rows, block_columns=self.columns,
            )  # fmt: skip
        table = like.new_empty(4, self.channels)
        affine_kernel[grid](
            parts, mean, variance, gamma if bias is None else bias, gamma, beta, table,
            self.channels, splits, eps, has_moments=given, has_bias=bias is not None,
            block_columns=self.columns,
        )  # fmt: skip
        return table, mean, variance

    def collapse(self, weight: Tensor, affine: Tensor, shift: Tensor | None) -> Tensor:
        """``[B, W, V, C']``."""
        outputs = weight.size(0)
        num_joints = self.sizes[2]
        out = self.h.new_empty(*self.h.shape[:2], num_joints, outputs)
        blocks = self.blocks(outputs)
        grid = (
            triton.cdiv(self.num_rows, self.rows),
            triton.cdiv(outputs, blocks['block_outputs']),
        )
        collapse_kernel[grid](
            self.h, weight, affine, affine if shift is None else shift, out,
            *self.sizes, outputs, *self.h.stride(), has_shift=shift is not None,
            **blocks,
        )  # fmt: skip
        return out

    def to_norm(
        self, grad: Tensor, weight: Tensor, affine: Tensor, of_batch: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients to gamma and beta, and the slope and offset of what comes
        through mean and variance ``[2, C]``."""
        splits = self.splits * self.tau
        parts = affine.new_empty(splits, 2, self.channels)
        norm_gradient_kernel[self.tiles, self.splits](
            self.h, grad, weight, affine, parts, *self.sizes, weight.size(0),
            *self.h.stride(), **self.blocks(weight.size(0)),
        )  # fmt: skip
        to_gamma, to_beta = torch.empty_like(affine[0]), torch.empty_like(affine[0])
        line = affine.new_empty(2, self.channels)
        line_kernel[(triton.cdiv(self.channels, self.columns),)](
            parts, affine, to_gamma, to_beta, line, self.channels, splits,
            self.num_rows * self.tau, of_batch=of_batch, block_columns=self.columns,
        )  # fmt: skip
        return to_gamma, to_beta, line

    def to_weight(self, grad: Tensor, weight: Tensor, affine: Tensor) -> Tensor:
        """The gradient to the weights ``[C', tau C]``."""
        outputs, blocks = weight.size(0), self.blocks(weight.size(0))
        out = self.h.new_empty(self.splits, *weight.shape, dtype=torch.float32)
        tiles = triton.cdiv(outputs, blocks['block_outputs'])
        weight_gradient_kernel[self.tiles, tiles, self.splits](
            self.h, grad, affine, out, *self.sizes, outputs, *self.h.stride(),
            **blocks,
        )  # fmt: skip
        return out.sum(0)

    def to_sums(
        self, grad: Tensor, weight: Tensor, affine: Tensor, line: Tensor
    ) -> Tensor:
        """The gradient to the sums."""
        out = torch.empty_like(self.h)
        sums_gradient_kernel[triton.cdiv(self.num_rows, self.rows), self.tiles](
            self.h, grad, weight, affine, line, out, *self.sizes, weight.size(0),
            *self.h.stride(), **self.blocks(weight.size(0)),
        )  # fmt: skip
        return out
