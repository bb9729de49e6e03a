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
from pyg_msg3d.ops.window import Window


@triton.jit
def _sums(
    h, other, row, t, channel, num_rows, num_windows, num_joints, channels, inner,
    num_frames, stride, dilation, padding, clip_stride, window_stride, joint_stride,
    channel_stride, other_clip, other_frame, other_joint, precision: tl.constexpr,
    kind: tl.constexpr, block_inner: tl.constexpr,
):  # fmt: skip
    """Some rows and channels of one frame of windows: as they are, or mapped, or what
    all frames of a window share and what each has of its own."""
    place = places(
        row, num_windows, num_joints, clip_stride, window_stride, joint_stride
    )[:, None]
    here, inside = (row < num_rows)[:, None], (channel < channels)[None, :]
    if kind == 'whole':
        place += t * num_joints * joint_stride + channel[None, :] * channel_stride
        found = tl.load(h + place, mask=here & inside, other=0)
    elif kind == 'mapped':
        column = tl.arange(0, block_inner)
        place += t * num_joints * joint_stride + column[None, :] * channel_stride
        s = tl.load(h + place, mask=here & (column < inner)[None, :], other=0)
        theta = channel[None, :] * inner + column[:, None]
        there = (column < inner)[:, None] & inside
        theta = tl.load(other + theta, mask=there, other=0)
        found = tl.zeros([row.shape[0], channel.shape[0]], dtype=tl.float32)
        found = dot(s, theta, found, precision).to(s.dtype)
    else:
        place += channel[None, :] * channel_stride
        s = tl.load(h + place, mask=here & inside, other=0)
        window, joint = row // num_joints, row % num_joints
        clip = (window // num_windows).to(tl.int64)
        frame = window % num_windows * stride + t * dilation - padding
        place = clip * other_clip + frame * other_frame + joint * other_joint
        within = here & ((frame >= 0) & (frame < num_frames))[:, None]
        mine = tl.load(
            other + place[:, None] + channel[None, :], mask=within & inside, other=0
        )
        found = (s.to(tl.float32) + mine.to(tl.float32)).to(s.dtype)
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
def read_moments_kernel(
    h, other, out, num_rows, num_windows, num_joints, tau, channels, inner,
    num_frames, stride, dilation, padding, clip_stride, window_stride, joint_stride,
    channel_stride, other_clip, other_frame, other_joint, precision: tl.constexpr,
    kind: tl.constexpr, block_rows: tl.constexpr, block_columns: tl.constexpr,
    block_inner: tl.constexpr,
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
                h, other, row, t, channel, num_rows, num_windows, num_joints, channels,
                inner, num_frames, stride, dilation, padding, clip_stride,
                window_stride, joint_stride, channel_stride, other_clip, other_frame,
                other_joint, precision, kind, block_inner,
            )  # fmt: skip
            count, mean, spread = joined_moments(
                count, mean, spread, s.to(tl.float32), there, rows
            )
    store_moments(out, count, mean, spread, channel, inside, channels, split)


@triton.jit
def collapse_kernel(
    h, other, weight, affine, shift, out, num_rows, num_windows, num_joints, tau,
    channels, inner, num_frames, stride, dilation, padding, outputs, clip_stride,
    window_stride, joint_stride, channel_stride, other_clip, other_frame, other_joint,
    has_shift: tl.constexpr, precision: tl.constexpr, kind: tl.constexpr,
    block_rows: tl.constexpr, block_columns: tl.constexpr, block_outputs: tl.constexpr,
    block_inner: tl.constexpr,
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
                h, other, row, t, channel, num_rows, num_windows, num_joints, channels,
                inner, num_frames, stride, dilation, padding, clip_stride,
                window_stride, joint_stride, channel_stride, other_clip, other_frame,
                other_joint, precision, kind, block_inner,
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
    h, other, grad, affine, out, to_shift, num_rows, num_windows, num_joints, tau,
    channels, inner, num_frames, stride, dilation, padding, outputs, clip_stride,
    window_stride, joint_stride, channel_stride, other_clip, other_frame, other_joint,
    precision: tl.constexpr, kind: tl.constexpr, block_rows: tl.constexpr,
    block_columns: tl.constexpr, block_outputs: tl.constexpr, block_inner: tl.constexpr,
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
            h, other, row, t, channel, num_rows, num_windows, num_joints, channels,
            inner, num_frames, stride, dilation, padding, clip_stride, window_stride,
            joint_stride, channel_stride, other_clip, other_frame, other_joint,
            precision, kind, block_inner,
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


@triton.jit
def shared_gradient_kernel(
    h, other, grad, weight, affine, line, out, num_rows, num_windows, num_joints, tau,
    channels, inner, num_frames, stride, dilation, padding, outputs, clip_stride,
    window_stride, joint_stride, channel_stride, other_clip, other_frame, other_joint,
    precision: tl.constexpr, kind: tl.constexpr, block_rows: tl.constexpr,
    block_columns: tl.constexpr, block_outputs: tl.constexpr, block_inner: tl.constexpr,
):  # fmt: skip
    """The gradient to some rows and channels of what all frames of a window share."""
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    channel = tl.program_id(1) * block_columns + tl.arange(0, block_columns)
    total = tl.zeros([block_rows, block_columns], dtype=tl.float32)
    for t in range(tau):
        column = tl.where(channel < channels, t * channels + channel, tau * channels)
        above = _above(
            grad, weight, row, column, num_rows, tau * channels, outputs, precision,
            block_outputs,
        )  # fmt: skip
        s = _sums(
            h, other, row, t, channel, num_rows, num_windows, num_joints, channels,
            inner, num_frames, stride, dilation, padding, clip_stride, window_stride,
            joint_stride, channel_stride, other_clip, other_frame, other_joint,
            precision, kind, block_inner,
        )  # fmt: skip
        total += _below(above, s, affine, line, channel, channels)
    place = places(
        row, num_windows, num_joints, clip_stride, window_stride, joint_stride
    )
    place = place[:, None] + channel[None, :] * channel_stride
    there = (row < num_rows)[:, None] & (channel < channels)[None, :]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=there)


@triton.jit
def own_gradient_kernel(
    h, other, grad, weight, affine, line, out, num_rows, num_windows, num_joints, tau,
    channels, inner, num_frames, stride, dilation, padding, outputs, clip_stride,
    window_stride, joint_stride, channel_stride, other_clip, other_frame, other_joint,
    own_rows, precision: tl.constexpr, kind: tl.constexpr, block_rows: tl.constexpr,
    block_columns: tl.constexpr, block_outputs: tl.constexpr, block_inner: tl.constexpr,
):  # fmt: skip
    """The gradient to some rows and channels of what each frame has of its own, from
    all windows that it is in."""
    mine = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    channel = tl.program_id(1) * block_columns + tl.arange(0, block_columns)
    joint, frame = mine % num_joints, mine // num_joints % num_frames
    clip = mine // num_joints // num_frames
    total = tl.zeros([block_rows, block_columns], dtype=tl.float32)
    for t in range(tau):
        begin = frame + padding - t * dilation
        window = begin // stride
        there = (begin >= 0) & (begin % stride == 0) & (window < num_windows)
        there = there & (mine < own_rows)
        row = (clip * num_windows + window) * num_joints + joint
        row = tl.where(there, row, num_rows)
        column = tl.where(channel < channels, t * channels + channel, tau * channels)
        above = _above(
            grad, weight, row, column, num_rows, tau * channels, outputs, precision,
            block_outputs,
        )  # fmt: skip
        s = _sums(
            h, other, row, t, channel, num_rows, num_windows, num_joints, channels,
            inner, num_frames, stride, dilation, padding, clip_stride, window_stride,
            joint_stride, channel_stride, other_clip, other_frame, other_joint,
            precision, kind, block_inner,
        )  # fmt: skip
        found = _below(above, s, affine, line, channel, channels)
        total += tl.where(there[:, None], found, 0)
    place = mine.to(tl.int64)[:, None] * channels + channel[None, :]
    there = (mine < own_rows)[:, None] & (channel < channels)[None, :]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=there)


class Windows(Features):
    """The sums of windows, as kernels take them: ``[B, W, tau V, C]``; with maps
    ``[C, C'']`` those of ``[B, W, tau V, C'']``, which are mapped as they are read;
    or what all frames of a window share ``[B, W, V, C]`` and what each frame of a clip
    has of its own ``[B, T, V, C]``, which are added up as they are read."""

    def __init__(
        self,
        h: Tensor,
        window: Window,
        maps: Tensor | None = None,
        own: Tensor | None = None,
    ) -> None:
        # The gradient lies in memory as they do, which it cannot with holes in between.
        dense = torch.ops.aten.is_non_overlapping_and_dense.default(h)
        channels = None if maps is None else maps.size(0)
        h = h if dense else h.contiguous()
        super().__init__(h, window.size, channels, 1 if own is None else window.size)
        self.kind = 'whole' if maps is None else 'mapped'
        self.kind = self.kind if own is None else 'parts'
        if own is not None and own.stride(3) != 1:
            own = own.contiguous()
        self.other = own if maps is None else maps
        self.inner = 0 if maps is None else h.size(3)
        num_frames = 0 if own is None else own.size(1)
        self.over = self.inner, num_frames, *window[1:], window.padding
        steps = (0, 0, 0) if own is None else own.stride()[:3]
        self.strides = *h.stride(), *steps
        self.read = {
            'kind': self.kind,
            'block_inner': fitting(self.inner, MOST_INNER) if self.inner else 0,
            'precision': precision_of(h),
        }

    @property
    def tiles(self) -> int:
        return self.tau * self.grid[0]

    def moments(self) -> Tensor:
        if self.kind == 'whole':
            return super().moments()
        parts = self.new_parts(3)
        read_moments_kernel[self.grid[0], parts.size(0)](
            self.h, self.other, parts, *self.sizes, *self.over, *self.strides,
            **self.blocks, **self.read,
        )  # fmt: skip
        return parts

    def constants(self, outputs: int) -> dict[str, Any]:
        """Those of a kernel, see ``benchmarks/kernels.csv``."""
        most = 32 if self.h.dtype == torch.float32 else 64
        return {
            'block_outputs': fitting(outputs, most),
            'num_warps': 8,
            # Not fewer, for more programs at a time, by spilling some.
            'maxnreg': 255,
            **self.blocks,
            **self.read,
        }

    def all_channels(self) -> dict[str, Any]:
        """Those where a program has all channels in hand, of fewer rows."""
        return {
            'precision': precision_of(self.h, 'ieee'),
            'block_rows': 16,
            'block_columns': fitting(self.channels, MOST_MAPPED),
            'block_outputs': 16 if self.h.dtype == torch.float32 else 64,
            'maxnreg': None,
        }

    def fewer_rows(self) -> dict[str, Any]:
        """Those where a program looks for the windows that frames are in."""
        return {'block_rows': self.blocks['block_rows'] // 2}

    def collapse(self, weight: Tensor, affine: Tensor, shift: Tensor | None) -> Tensor:
        """``[B, W, V, C']``."""
        outputs = weight.size(0)
        num_joints, constants = self.sizes[2], self.constants(outputs)
        out = self.h.new_empty(*self.h.shape[:2], num_joints, outputs)
        grid = (
            triton.cdiv(self.num_rows, constants['block_rows']),
            triton.cdiv(outputs, constants['block_outputs']),
        )
        collapse_kernel[grid](
            self.h, affine if self.other is None else self.other, weight, affine,
            affine if shift is None else shift, out, *self.sizes, *self.over, outputs,
            *self.strides, has_shift=shift is not None, **constants,
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
            self.h, affine if self.other is None else self.other, grad, affine, out,
            to_shift, *self.sizes, *self.over, outputs, *self.strides, **constants,
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
        """The gradient to the sums; to what is mapped, and to the maps; or to both
        parts."""
        outputs, constants = weight.size(0), self.constants(weight.size(0))
        out = torch.empty_like(self.h)
        given = grad, weight, affine, line, out
        tiles = triton.cdiv(self.num_rows, constants['block_rows'])
        if self.kind == 'whole':
            sums_gradient_kernel[tiles, self.tiles](
                self.h, *given, *self.sizes, outputs, *self.h.stride(),
                **{k: v for k, v in constants.items() if k not in _READING},
            )  # fmt: skip
            return out, None
        other: Any = self.other
        if self.kind == 'mapped':
            constants |= self.all_channels()
            splits = parts_of(self.num_rows, constants, self.tau)
            to_maps = affine.new_empty(splits, self.tau, *other.shape)
            del constants['kind']
            mapped_gradient_kernel[self.tau, splits](
                self.h, other, *given, to_maps, *self.sizes, self.inner, outputs,
                *self.h.stride(), **constants,
            )  # fmt: skip
            return out, to_maps.sum((0, 1))
        where = *self.sizes, *self.over, outputs, *self.strides
        shared_gradient_kernel[tiles, self.grid[0]](
            self.h, other, *given, *where, **constants
        )
        to_own = other.new_empty(other.shape)
        constants |= self.fewer_rows()
        own_rows = other[..., 0].numel()
        tiles = triton.cdiv(own_rows, constants['block_rows'])
        own_gradient_kernel[tiles, self.grid[0]](
            self.h, other, *given[:-1], to_own, *where, own_rows, **constants
        )
        return out, to_own


# What kernels are told of how sums are read.
_READING = 'kind', 'block_inner'
