"""The branches of MS-TCN in Triton: each reads its channels, normalises and rectifies
them as it does so, and writes its result beside those of the others, whose moments it
takes on the way. Sums are kept in float32.

Features are ``[B, T, V, C]``, as many channels before and after. Weights are
``[branches, W', W, 3, 1]``, those of torch's convolutions one after the other.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from pyg_msg3d.ops.kernels.triton_norm import (
    dot,
    fitting,
    joined_moments,
    parts_of,
    precision_of,
    store_moments,
)
from pyg_msg3d.ops.policy import most_channels


@triton.jit
def _rectified(y, place, there, by, more):
    """Normalised and rectified features; zeros beyond a clip."""
    s = tl.load(y + place, mask=there, other=0)
    found = tl.maximum(s.to(tl.float32) * by[None, :] + more[None, :], 0)
    return tl.where(there, found, 0).to(s.dtype)


@triton.jit
def _above(
    grad, z, affine, line, at, clip, joint, here, channel, inside, num_outputs,
    num_joints, channels, stride,
):  # fmt: skip
    """The gradient to results at some times, in frames of the input; at those in
    between there is none."""
    output = at // stride
    there = here & (at >= 0) & (at % stride == 0) & (output < num_outputs)
    there = there[:, None] & inside[None, :]
    place = ((clip.to(tl.int64) * num_outputs + output) * num_joints + joint) * channels
    place = place[:, None] + channel[None, :]
    mine = tl.load(grad + place, mask=there, other=0)
    s = tl.load(z + place, mask=there, other=0).to(tl.float32)
    scale = tl.load(affine + channel, mask=inside, other=0)[None, :]
    slope = tl.load(line + channel, mask=inside, other=0)[None, :]
    offset = tl.load(line + channels + channel, mask=inside, other=0)[None, :]
    found = mine.to(tl.float32) * scale + s * slope + offset
    return tl.where(there, found, 0).to(mine.dtype)


@triton.jit
def branches_kernel(
    y, weights, affine, out, parts, num_rows, num_frames, num_outputs, num_joints,
    width, channels, stride, dilations: tl.constexpr, precision: tl.constexpr,
    block_rows: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """One branch, from every so many rows of the result, by each program."""
    branch, split, step = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    num_dilated: tl.constexpr = len(dilations)
    dilation = 1
    for i in tl.static_range(num_dilated):
        if branch == i:
            dilation = dilations[i]
    # The last branch has the channels that are left.
    inner, column = (num_dilated + 1) * width, tl.arange(0, block_columns)
    channel = branch * width + column
    inside = column < tl.where(branch > num_dilated, channels - inner, width)
    normalised = inside & (channel < inner)
    by = tl.load(affine + channel, mask=normalised, other=0)
    more = tl.load(affine + inner + channel, mask=normalised, other=0)
    square = (column < width)[:, None] & (column < width)[None, :]
    kernel = (branch * width + column[None, :]) * width + column[:, None]
    count = tl.zeros([block_columns], dtype=tl.float32)
    mean = tl.zeros([block_columns], dtype=tl.float32)
    spread = tl.zeros([block_columns], dtype=tl.float32)
    for first in range(split * block_rows, num_rows, step * block_rows):
        row = first + tl.arange(0, block_rows)
        frame, joint = row // num_joints, row % num_joints
        clip, time = frame // num_outputs, frame % num_outputs * stride
        begin = (clip.to(tl.int64) * num_frames * num_joints + joint) * channels
        present = (row < num_rows)[:, None] & inside[None, :]
        total = tl.zeros([block_rows, block_columns], dtype=tl.float32)
        if branch <= num_dilated:
            for tap in tl.static_range(3):
                at = time + (tap - 1) * dilation
                there = ((at >= 0) & (at < num_frames))[:, None] & present
                place = (begin + at * num_joints * channels)[:, None] + channel[None, :]
                found = _rectified(y, place, there, by, more)
                if branch < num_dilated:
                    theta = tl.load(weights + kernel * 3 + tap, mask=square, other=0)
                    total = dot(found, theta, total, precision)
                else:
                    # What was rectified is at least the zeros beyond a clip.
                    total = tl.maximum(total, found.to(tl.float32))
        else:
            place = (begin + time * num_joints * channels)[:, None] + channel[None, :]
            total += tl.load(y + place, mask=present, other=0).to(tl.float32)
        found = total.to(out.dtype.element_ty)
        place = row.to(tl.int64)[:, None] * channels + channel[None, :]
        tl.store(out + place, found, mask=present)
        rows = tl.minimum(block_rows, num_rows - first).to(tl.float32)
        count, mean, spread = joined_moments(
            count, mean, spread, found.to(tl.float32), present, rows
        )
    store_moments(parts, count, mean, spread, channel, inside, channels, split)


@triton.jit
def branches_gradient_kernel(
    grad, z, y, weights, end_affine, end_line, affine, out, parts, to_weights,
    num_rows, num_frames, num_outputs, num_joints, width, channels, stride,
    dilations: tl.constexpr, precision: tl.constexpr, block_rows: tl.constexpr,
    block_columns: tl.constexpr, block_outputs: tl.constexpr,
):  # fmt: skip
    """The gradient to some channels that one branch normalises, those to gamma and
    beta, and that to its weights, from every so many rows of the input, by each
    program."""
    num_dilated: tl.constexpr = len(dilations)
    inner = (num_dilated + 1) * width
    tiles = tl.cdiv(channels - inner, block_columns)
    branch = tl.program_id(0) // tiles
    split, step = tl.program_id(1), tl.num_programs(1)
    dilation = 1
    for i in tl.static_range(num_dilated):
        if branch == i:
            dilation = dilations[i]
    column = tl.program_id(0) % tiles * block_columns + tl.arange(0, block_columns)
    inside = column < tl.where(branch > num_dilated, channels - inner, width)
    channel = branch * width + column
    normalised = inside & (channel < inner)
    by = tl.load(affine + channel, mask=normalised, other=0)
    more = tl.load(affine + inner + channel, mask=normalised, other=0)
    output = tl.arange(0, block_outputs)
    square = (output < width)[:, None] & (column < width)[None, :]
    kernel = (branch * width + output[:, None]) * width + column[None, :]
    earlier = tl.zeros([block_columns, block_outputs], dtype=tl.float32)
    here = tl.zeros([block_columns, block_outputs], dtype=tl.float32)
    later = tl.zeros([block_columns, block_outputs], dtype=tl.float32)
    to_gamma = tl.zeros([block_columns], dtype=tl.float32)
    to_beta = tl.zeros([block_columns], dtype=tl.float32)
    for first in range(split * block_rows, num_rows, step * block_rows):
        row = first + tl.arange(0, block_rows)
        frame, joint = row // num_joints, row % num_joints
        clip, time = frame // num_frames, frame % num_frames
        present = (row < num_rows)[:, None] & inside[None, :]
        place = row.to(tl.int64)[:, None] * channels + channel[None, :]
        total = tl.zeros([block_rows, block_columns], dtype=tl.float32)
        if branch < num_dilated:
            mine = _rectified(y, place, present, by, more)
            for tap in tl.static_range(3):
                mapped = _above(
                    grad, z, end_affine, end_line, time - (tap - 1) * dilation, clip,
                    joint, row < num_rows, branch * width + output, output < width,
                    num_outputs, num_joints, channels, stride,
                )  # fmt: skip
                theta = tl.load(weights + kernel * 3 + tap, mask=square, other=0)
                total = dot(mapped, theta, total, precision)
                if tap == 0:
                    earlier = dot(tl.trans(mine), mapped, earlier, precision)
                elif tap == 1:
                    here = dot(tl.trans(mine), mapped, here, precision)
                else:
                    later = dot(tl.trans(mine), mapped, later, precision)
            total = tl.where(mine > 0, total, 0)
        elif branch == num_dilated:
            mine = _rectified(y, place, present, by, more)
            for tap in tl.static_range(3):
                # Of the three frames that a maximum is of, the first highest one is.
                middle = time - (tap - 1)
                above = _above(
                    grad, z, end_affine, end_line, middle, clip, joint, row < num_rows,
                    channel, inside, num_outputs, num_joints, channels, stride,
                )  # fmt: skip
                for other in tl.static_range(3):
                    if other != tap:
                        at = middle + (other - 1)
                        there = ((at >= 0) & (at < num_frames))[:, None] & present
                        rest = _rectified(
                            y, place + (other - tap) * num_joints * channels, there,
                            by, more,
                        )  # fmt: skip
                        lower = rest < mine if other < tap else rest <= mine
                        above = tl.where(lower, above, 0)
                total += above.to(tl.float32)
            total = tl.where(mine > 0, total, 0)
        else:
            above = _above(
                grad, z, end_affine, end_line, time, clip, joint, row < num_rows,
                channel, inside, num_outputs, num_joints, channels, stride,
            )  # fmt: skip
            total += above.to(tl.float32)
        s = tl.load(y + place, mask=present, other=0).to(tl.float32)
        found = total.to(out.dtype.element_ty)
        tl.store(out + place, found, mask=present)
        wide = found.to(tl.float32)
        center = tl.load(affine + 2 * inner + channel, mask=normalised, other=0)
        to_beta += tl.sum(wide, axis=0)
        to_gamma += tl.sum(wide * (s - center[None, :]), axis=0)
    rstd = tl.load(affine + 3 * inner + channel, mask=normalised, other=0)
    place = split * 2 * inner + channel
    tl.store(parts + place, to_gamma * rstd, mask=normalised)
    tl.store(parts + place + inner, to_beta, mask=normalised)
    if branch < num_dilated:
        turned = (branch * width + output[None, :]) * width + column[:, None]
        turned = (turned + split * num_dilated * width * width) * 3
        there = (column < width)[:, None] & (output < width)[None, :]
        tl.store(to_weights + turned, earlier, mask=there)
        tl.store(to_weights + turned + 1, here, mask=there)
        tl.store(to_weights + turned + 2, later, mask=there)


class Branches:
    """Those of an MS-TCN, of mapped features ``[B, T, V, C]``."""

    def __init__(
        self, y: Tensor, weights: Tensor, stride: int, dilations: Sequence[int]
    ) -> None:
        self.y, self.weights = y, weights
        self.num_outputs = (y.size(1) - 1) // stride + 1
        self.sizes = (
            y.size(1), self.num_outputs, y.size(2), weights.size(1), y.size(3), stride,
        )  # fmt: skip
        self.grid = len(dilations) + 2
        #: Those channels that are normalised at the beginning.
        self.inner = (len(dilations) + 1) * weights.size(1)
        self.width, self.last = weights.size(1), y.size(3) - self.inner
        self.dilations = {'dilations': tuple(dilations)}

    def results(self, affine: Tensor) -> tuple[Tensor, Tensor]:
        """All of them side by side, and parts of their moments."""
        y = self.y
        out = y.new_empty(y.size(0), self.num_outputs, *y.shape[2:])
        num_rows, constants = out[..., 0].numel(), blocks(y, self.last)
        splits = parts_of(num_rows, constants, self.grid)
        parts = affine.new_empty(splits, 3, y.size(3))
        branches_kernel[self.grid, splits](
            y, self.weights, affine, out, parts, num_rows, *self.sizes,
            **self.dilations, **constants,
        )  # fmt: skip
        return out, parts

    def gradients(
        self,
        grad: Tensor,
        z: Tensor,
        end_affine: Tensor,
        end_line: Tensor,
        affine: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients to what was normalised, and to the last branch; parts of those
        to gamma and beta; and those to the weights, in float32."""
        y, out = self.y, torch.empty_like(self.y)
        num_rows, constants = out[..., 0].numel(), gradient_blocks(y, self.width)
        programs = self.grid * triton.cdiv(self.last, constants['block_columns'])
        splits = parts_of(num_rows, constants, programs)
        parts = affine.new_empty(splits, 2, self.inner)
        to_weights = affine.new_empty(splits, *self.weights.shape)
        branches_gradient_kernel[programs, splits](
            grad, z, y, self.weights, end_affine, end_line, affine, out, parts,
            to_weights, num_rows, *self.sizes, **self.dilations, **constants,
        )  # fmt: skip
        return out, parts, to_weights.sum(0)


def blocks(y: Tensor, width: int) -> dict[str, Any]:
    """The constants of a kernel for a branch of so many channels, see
    ``benchmarks/kernels.csv``."""
    return {
        'precision': precision_of(y),
        'block_rows': 32 if y.dtype == torch.float32 else 64,
        'block_columns': fitting(width, most_channels(y)),
        'num_warps': 8,
    }


def gradient_blocks(y: Tensor, width: int) -> dict[str, Any]:
    """Those of the gradients, which hold three products with weights."""
    outputs = fitting(width, most_channels(y))
    wide = y.dtype == torch.float32
    return {
        'precision': precision_of(y),
        'block_rows': 16 if wide else 1024 // outputs,
        'block_columns': fitting(width, 16 if wide else 32),
        'block_outputs': outputs,
        'num_warps': 8,
        # Not fewer, for more programs at a time, by spilling some.
        'maxnreg': 255,
    }
