r"""Batch normalisation in Triton, in steps that other kernels share: moments of
features, from these a scale and an offset for each channel; in the backward pass sums
for each channel, from these a line :math:`a s + b` that comes through the moments.
Sums are kept in float32.

Features are ``[B, W, tau V, C]``, of plain frames with ``tau = 1``, and may lie in
memory in any order. Rows are the joints of all frames or windows, ``B W V``.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from pyg_msg3d.ops.kernels.tuned import IS_INTERPRETED, Constants, Tuned

#: Programs that keep a GPU busy, and parts at most that sums come in.
PROGRAMS, MOST_PARTS = 1024, 128


@triton.jit
def dot(a, b, total, precision: tl.constexpr):
    """``total + a @ b``."""
    if precision == 'interpreted':
        # Which would multiply the bits of bfloat16 as whole numbers.
        total = tl.dot(a.to(tl.float32), b.to(tl.float32), total)
    else:
        total = tl.dot(a, b, total, input_precision=precision)
    return total


@triton.jit
def places(row, num_windows, num_joints, clip_stride, window_stride, joint_stride):
    """Where rows lie in memory."""
    window, joint = row // num_joints, row % num_joints
    clip = (window // num_windows).to(tl.int64)
    place = clip * clip_stride + window % num_windows * window_stride
    return place + joint * joint_stride


@triton.jit
def joined_moments(count, mean, spread, s, there, rows):
    """Count, mean and sum of squares about it, with so many rows more."""
    mine = tl.sum(s, axis=0) / rows
    rest = tl.where(there, s - mine[None, :], 0)
    apart, total = mine - mean, count + rows
    spread += tl.sum(rest * rest, axis=0) + apart * apart * count * rows / total
    return total, mean + apart * rows / total, spread


@triton.jit
def store_moments(out, count, mean, spread, channel, inside, channels, split):
    """What :func:`affine_kernel` takes."""
    place = split * 3 * channels + channel
    tl.store(out + place, count, mask=inside)
    tl.store(out + place + channels, mean, mask=inside)
    tl.store(out + place + 2 * channels, spread, mask=inside)


@triton.jit
def moments_kernel(
    h, out, num_rows, num_windows, num_joints, tau, channels,
    clip_stride, window_stride, joint_stride, channel_stride,
    block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """Moments of some channels, over every so many rows, by each program."""
    channel = tl.program_id(0) * block_columns + tl.arange(0, block_columns)
    split, splits = tl.program_id(1), tl.num_programs(1)
    count = tl.zeros([block_columns], dtype=tl.float32)
    mean = tl.zeros([block_columns], dtype=tl.float32)
    spread = tl.zeros([block_columns], dtype=tl.float32)
    for first in range(split * block_rows, num_rows, splits * block_rows):
        row = first + tl.arange(0, block_rows)
        there = (row < num_rows)[:, None] & (channel < channels)[None, :]
        place = places(
            row, num_windows, num_joints, clip_stride, window_stride, joint_stride
        )
        place = place[:, None] + channel[None, :] * channel_stride
        rows = tl.minimum(block_rows, num_rows - first).to(tl.float32)
        for t in range(tau):
            s = tl.load(h + place + t * num_joints * joint_stride, mask=there, other=0)
            count, mean, spread = joined_moments(
                count, mean, spread, s.to(tl.float32), there, rows
            )
    inside = channel < channels
    store_moments(out, count, mean, spread, channel, inside, channels, split)


@triton.jit
def affine_kernel(
    moments, mean, variance, bias, gamma, beta, out, channels, splits, eps,
    has_moments: tl.constexpr, has_bias: tl.constexpr, block_parts: tl.constexpr,
    block_columns: tl.constexpr,
):  # fmt: skip
    """Scale and offset, the mean, and one over the standard deviation, by some moments
    with the bias; or by parts of those without, which are put together there."""
    channel = tl.program_id(0) * block_columns + tl.arange(0, block_columns)
    inside = channel < channels
    shift = tl.zeros([block_columns], dtype=tl.float32)
    if has_bias:
        shift += tl.load(bias + channel, mask=inside, other=0).to(tl.float32)
    if has_moments:
        center = tl.load(mean + channel, mask=inside, other=0).to(tl.float32) - shift
        spread = tl.load(variance + channel, mask=inside, other=1).to(tl.float32)
    else:
        part = tl.arange(0, block_parts)
        place = part[:, None] * 3 * channels + channel[None, :]
        there = (part < splits)[:, None] & inside[None, :]
        count = tl.load(moments + place, mask=there, other=0)
        means = tl.load(moments + place + channels, mask=there, other=0)
        spreads = tl.load(moments + place + 2 * channels, mask=there, other=0)
        total = tl.maximum(tl.sum(count, axis=0), 1)
        center = tl.sum(count * means, axis=0) / total
        apart = means - center[None, :]
        spread = tl.sum(spreads + count * apart * apart, axis=0) / total
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
    of_batch: tl.constexpr, block_parts: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """The gradients to gamma and beta from their parts; and the line that comes through
    mean and variance, where they are those of the batch: slope and offset."""
    channel = tl.program_id(0) * block_columns + tl.arange(0, block_columns)
    inside = channel < channels
    part = tl.arange(0, block_parts)
    place = part[:, None] * 2 * channels + channel[None, :]
    there = (part < splits)[:, None] & inside[None, :]
    by_gamma = tl.sum(tl.load(parts + place, mask=there, other=0), axis=0)
    by_beta = tl.sum(tl.load(parts + place + channels, mask=there, other=0), axis=0)
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
def apply_kernel(
    h, residual, affine, out, num_rows, channels, row_stride,
    has_residual: tl.constexpr, rectifies: tl.constexpr, block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):  # fmt: skip
    """Features ``[N, C]``, normalised, with a residual, rectified."""
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    channel = tl.program_id(1) * block_columns + tl.arange(0, block_columns)
    inside = channel < channels
    there = (row < num_rows)[:, None] & inside[None, :]
    place = row.to(tl.int64)[:, None] * row_stride + channel[None, :]
    by = tl.load(affine + channel, mask=inside, other=0)
    more = tl.load(affine + channels + channel, mask=inside, other=0)
    y = tl.load(h + place, mask=there, other=0).to(tl.float32)
    y = y * by[None, :] + more[None, :]
    if has_residual:
        y += tl.load(residual + place, mask=there, other=0).to(tl.float32)
    if rectifies:
        y = tl.maximum(y, 0)
    tl.store(out + place, y.to(out.dtype.element_ty), mask=there)


@triton.jit
def sums_kernel(
    grad, result, h, affine, out, parts, num_rows, channels,
    rectifies: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """The gradient to what was rectified, and from it those to gamma and beta, of some
    channels, from every so many rows, by each program."""
    channel = tl.program_id(0) * block_columns + tl.arange(0, block_columns)
    inside = channel < channels
    split, step = tl.program_id(1), tl.num_programs(1) * block_rows
    center = tl.load(affine + 2 * channels + channel, mask=inside, other=0)
    rstd = tl.load(affine + 3 * channels + channel, mask=inside, other=0)
    to_gamma = tl.zeros([block_columns], dtype=tl.float32)
    to_beta = tl.zeros([block_columns], dtype=tl.float32)
    for first in range(split * block_rows, num_rows, step):
        row = first + tl.arange(0, block_rows)
        there = (row < num_rows)[:, None] & inside[None, :]
        place = row.to(tl.int64)[:, None] * channels + channel[None, :]
        mine = tl.load(grad + place, mask=there, other=0)
        if rectifies:
            mine = tl.where(tl.load(result + place, mask=there, other=0) > 0, mine, 0)
            tl.store(out + place, mine, mask=there)
        s = tl.load(h + place, mask=there, other=0).to(tl.float32)
        mine = mine.to(tl.float32)
        to_beta += tl.sum(mine, axis=0)
        to_gamma += tl.sum(mine * (s - center[None, :]) * rstd[None, :], axis=0)
    place = split * 2 * channels + channel
    tl.store(parts + place, to_gamma, mask=inside)
    tl.store(parts + place + channels, to_beta, mask=inside)


@triton.jit
def through_kernel(
    grad, h, affine, line, num_rows, channels, row_stride, block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):  # fmt: skip
    """The gradient to what was normalised, in place of that to the result."""
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    channel = tl.program_id(1) * block_columns + tl.arange(0, block_columns)
    inside = channel < channels
    there = (row < num_rows)[:, None] & inside[None, :]
    place = row.to(tl.int64)[:, None] * row_stride + channel[None, :]
    scale = tl.load(affine + channel, mask=inside, other=0)[None, :]
    slope = tl.load(line + channel, mask=inside, other=0)[None, :]
    offset = tl.load(line + channels + channel, mask=inside, other=0)[None, :]
    mine = tl.load(grad + place, mask=there, other=0)
    s = tl.load(h + place, mask=there, other=0).to(tl.float32)
    result = mine.to(tl.float32) * scale + s * slope + offset
    tl.store(grad + place, result.to(mine.dtype), mask=there)


_CHOICES = [
    {'block_rows': rows, 'block_columns': columns, 'num_warps': warps}
    for rows, columns, warps in ((64, 32, 4), (128, 32, 8), (32, 64, 4), (16, 128, 4))
]
tuned_apply = Tuned(apply_kernel, _CHOICES, ['channels'])
tuned_through = Tuned(through_kernel, _CHOICES, ['channels'], restored=['grad'])


class Features:
    """Features ``[B, W, tau V, C]``, which are to be normalised: so many channels,
    where they are yet to be mapped; and so many times as many joints, where those of
    other frames are yet to be added."""

    def __init__(
        self, h: Tensor, tau: int = 1, channels: int | None = None, more: int = 1
    ) -> None:
        self.h, self.tau, self.channels = h, tau, channels or h.size(3)
        num_joints = h.size(2) * more // tau
        self.num_rows = h.size(0) * h.size(1) * num_joints
        self.sizes = self.num_rows, h.size(1), num_joints, tau, self.channels
        self.blocks = row_blocks(h, self.channels)
        self.grid = (triton.cdiv(self.channels, self.blocks['block_columns']),)

    def moments(self) -> Tensor:
        """Parts of them."""
        parts = self.new_parts(3)
        moments_kernel[self.grid[0], parts.size(0)](
            self.h, parts, *self.sizes, *self.h.stride(), **self.blocks
        )
        return parts

    def affine(
        self,
        bias: Tensor | None,
        gamma: Tensor,
        beta: Tensor,
        eps: float,
        mean: Tensor | None = None,
        variance: Tensor | None = None,
        parts: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scale and offset, the mean, and one over the standard deviation, ``[4, C]``;
        and mean and variance (biased) with the bias, which are those of the batch where
        they are not given: from parts of them, if these are known."""
        like = gamma.float()
        given = mean is not None and variance is not None
        if mean is None or variance is None:
            mean, variance = torch.empty_like(like), torch.empty_like(like)
            parts = self.moments() if parts is None else parts
        splits = 1 if parts is None else parts.size(0)
        table = like.new_empty(4, self.channels)
        affine_kernel[self.grid](
            like if parts is None else parts, mean, variance,
            gamma if bias is None else bias, gamma, beta, table, self.channels, splits,
            eps, has_moments=given, has_bias=bias is not None,
            block_parts=triton.next_power_of_2(splits),
            block_columns=self.blocks['block_columns'],
        )  # fmt: skip
        return table, mean, variance

    def line(
        self, parts: Tensor, affine: Tensor, of_batch: bool = True
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients to gamma and beta from parts of them ``[N, 2, C]``, and the
        slope and offset of what comes through mean and variance ``[2, C]``."""
        to_gamma, to_beta = torch.empty_like(affine[0]), torch.empty_like(affine[0])
        line, splits = affine.new_empty(2, self.channels), parts.size(0)
        line_kernel[self.grid](
            parts, affine, to_gamma, to_beta, line, self.channels, splits,
            self.num_rows * self.tau, of_batch=of_batch,
            block_parts=triton.next_power_of_2(splits),
            block_columns=self.blocks['block_columns'],
        )  # fmt: skip
        return to_gamma, to_beta, line

    # Of plain frames, one row after the other ------------------------------------

    def apply(self, affine: Tensor, residual: Tensor | None, rectifies: bool) -> Tensor:
        """Normalised, with a residual, rectified."""
        out = torch.empty_like(self.h)
        tuned_apply(
            self._tiles, self.h, affine if residual is None else residual, affine, out,
            self.num_rows, self.channels, self.h.stride(2),
            has_residual=residual is not None, rectifies=rectifies,
        )  # fmt: skip
        return out

    def to_norm(
        self, grad: Tensor, affine: Tensor, rectified: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The gradient to what was rectified, those to gamma and beta, and the line."""
        parts = self.new_parts(2)
        out = grad if rectified is None else torch.empty_like(grad)
        sums_kernel[self.grid[0], parts.size(0)](
            grad, affine if rectified is None else rectified, self.h, affine,
            affine if rectified is None else out, parts,
            self.num_rows, self.channels, rectifies=rectified is not None,
            **self.blocks,
        )  # fmt: skip
        return out, *self.line(parts, affine)

    def through(self, grad: Tensor, affine: Tensor, line: Tensor) -> None:
        """Replaces the gradient to the result by that to these features."""
        tuned_through(
            self._tiles, grad, self.h, affine, line, self.num_rows, self.channels,
            self.h.stride(2),
        )  # fmt: skip

    def new_parts(self, count: int) -> Tensor:
        """Room for so many sums of each channel, in parts."""
        splits = parts_of(self.num_rows, self.blocks, self.grid[0])
        return self.h.new_empty(splits, count, self.channels, dtype=torch.float32)

    def _tiles(self, constants: Constants) -> tuple[int, int]:
        return (
            triton.cdiv(self.num_rows, constants['block_rows']),
            triton.cdiv(self.channels, constants['block_columns']),
        )


def row_blocks(h: Tensor, channels: int) -> dict[str, Any]:
    """Rows and channels that a program has in hand."""
    wide = h.dtype == torch.float32
    columns = fitting(channels, 16 if wide else 32)
    return {'block_rows': 32 if wide else 64, 'block_columns': columns}


def parts_of(num_rows: int, blocks: dict[str, Any], programs: int) -> int:
    """Parts that rows are split in, for what is summed over all of them by so many
    programs each."""
    most = min(MOST_PARTS, triton.cdiv(PROGRAMS, programs))
    return max(1, min(most, num_rows // (4 * blocks['block_rows'])))


def precision_of(x: Tensor, wide: str = 'tf32x3') -> str:
    """Of products: in float32 three in TF32 come out as one, or ``'ieee'`` takes fewer
    registers."""
    if IS_INTERPRETED:
        return 'interpreted'
    return wide if x.dtype == torch.float32 else 'tf32'


def fitting(size: int, most: int) -> int:
    """A block for so much: a power of two, which the smallest product has 16 of."""
    return max(16, min(most, triton.next_power_of_2(size)))
