"""The sums of windows, :math:`\\tau` slots a window, as they are kept: whole, or what
the frames of a window share and what each has of its own."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.chunks import tiles, wide
from pyg_msg3d.ops.factored import banded, over_frames
from pyg_msg3d.ops.results import empty
from pyg_msg3d.ops.window import Window

Tile = tuple[slice, slice]
"""Some clips, and some of their windows."""


class Normalisation:
    """A batch normalisation of given mean and variance."""

    def __init__(
        self, mean: Tensor, variance: Tensor, eps: float, gamma: Tensor, beta: Tensor
    ) -> None:
        self.mean, self.variance, self.eps = mean, variance, eps
        self.gamma, self.beta = gamma, beta

    @cached_property
    def rstd(self) -> Tensor:
        """One over the standard deviation."""
        return (self.variance + self.eps).rsqrt()

    @cached_property
    def scale(self) -> Tensor:
        """What values are multiplied with."""
        return self.gamma * self.rstd

    @cached_property
    def offset(self) -> Tensor:
        """What is then added."""
        return self.beta - self.mean * self.scale


class Slots(ABC):
    """The sums of windows ``s`` over clips, joints and the frames of each window."""

    #: Windows of a clip, joints, and frames of a window.
    windows: int
    joints: int
    tau: int

    def __init__(self, h: Tensor) -> None:
        self.h = h

    @property
    def count(self) -> int:
        """How many there are of each channel."""
        return self.h.size(0) * self.windows * self.joints * self.tau

    def tiles(self) -> list[Tile]:
        """All of them, so many at a time as may be in memory."""
        per_window = self.joints * self.tau * self.h.size(-1)
        return tiles(self.h.size(0), self.windows, per_window, self.h)

    @abstractmethod
    def moments(self, tile: Tile) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel within a tile."""

    @abstractmethod
    def activated(self, tile: Tile, norm: Normalisation) -> Tensor:
        """Normalised and rectified ``[b, n, V, tau, C]``."""

    @abstractmethod
    def gradient(self, norm: Normalisation) -> 'Gradient':
        """The gradient to them, to which those to tiles are added."""


class Gradient(ABC):
    """The gradient to the sums of windows, through a normalisation."""

    def __init__(self, norm: Normalisation, parts: tuple[Tensor, Tensor]) -> None:
        self.norm = norm
        #: To what is kept: the second is empty where sums are kept whole.
        self.parts = parts

    @abstractmethod
    def add(self, grad: Tensor, tile: Tile) -> None:
        """Adds the gradient to the normalised sums of a tile."""

    @abstractmethod
    def affine(self) -> tuple[Tensor, Tensor]:
        """The gradients to gamma and beta, from all tiles."""

    @abstractmethod
    def finish(self, line: tuple[Tensor, Tensor] | None) -> None:
        """Scales the gradient as the sums were and, with a slope and an offset, adds
        that of the line ``offset + slope * s``."""


def slots_of(h: Tensor, own: Tensor | None, window: Sequence[int]) -> Slots:
    """The sums ``[B, T', V, tau, C]``, or what their windows share
    ``[B, T', V, C]`` and what their frames have of their own ``[B, T, V, C]``."""
    return WholeSlots(h) if own is None else FactoredSlots(h, own, Window(*window))


# Whole --------------------------------------------------------------------------------


class WholeSlots(Slots):
    """All of them in memory, ``[B, T', V, tau, C]``."""

    def __init__(self, h: Tensor) -> None:
        super().__init__(h)
        _, self.windows, self.joints, self.tau, _ = h.shape

    def moments(self, tile: Tile) -> tuple[Tensor, Tensor]:
        s = self.h[tile].flatten(0, -2).to(wide(self.h))
        # Not var_mean, which is ten times slower on CPUs.
        mean = s.mean(0)
        return mean, (s - mean).square_().mean(0)

    def activated(self, tile: Tile, norm: Normalisation) -> Tensor:
        s = self.h[tile]
        y = F.batch_norm(
            s.flatten(0, -2), norm.mean, norm.variance, norm.gamma, norm.beta,
            eps=norm.eps,
        )  # fmt: skip
        return y.relu_().view(s.shape)

    def gradient(self, norm: Normalisation) -> Gradient:
        return _WholeGradient(norm, self)


class _WholeGradient(Gradient):
    def __init__(self, norm: Normalisation, slots: WholeSlots) -> None:
        h = slots.h
        to_h = empty(h, *h.shape)
        super().__init__(norm, (to_h, h.new_empty(0)))
        self.slots = slots
        self.to_gamma = torch.zeros_like(norm.mean)
        self.to_beta = torch.zeros_like(norm.mean)

    def add(self, grad: Tensor, tile: Tile) -> None:
        self.parts[0][tile] = grad
        norm = self.norm
        _, to_gamma, to_beta = torch.ops.aten.native_batch_norm_backward(
            grad.flatten(0, -2), self.slots.h[tile].flatten(0, -2), norm.gamma,
            norm.mean, norm.variance, None, None, False, norm.eps, [False, True, True],
        )  # fmt: skip
        self.to_gamma += to_gamma
        self.to_beta += to_beta

    def affine(self) -> tuple[Tensor, Tensor]:
        return self.to_gamma, self.to_beta

    def finish(self, line: tuple[Tensor, Tensor] | None) -> None:
        for tile in self.slots.tiles():
            part = self.parts[0][tile].mul_(self.norm.scale)
            if line is not None:
                slope, offset = line
                part.addcmul_(self.slots.h[tile], slope).add_(offset)


# In two parts -------------------------------------------------------------------------


class FactoredSlots(Slots):
    """What all frames of a window share and what each has of its own, see
    :func:`~pyg_msg3d.ops.factored.combine`, put together by the tile.

    Sums over the frames of windows, and over the windows of frames, are products with
    the matrix ``W`` that is one where a window has a frame.
    """

    def __init__(self, shared: Tensor, own: Tensor, window: Window) -> None:
        super().__init__(shared)
        self.own, self.window = own, window
        _, self.windows, self.joints, _ = shared.shape
        self.tau = window.size

    def tiles(self) -> list[Tile]:
        return [
            (clips, slice(windows.start + some.start, windows.start + some.stop))
            for clips, windows in super().tiles()
            for some in banded(windows.stop - windows.start)
        ]

    def moments(self, tile: Tile) -> tuple[Tensor, Tensor]:
        # Of shared and own values apart, each less its mean a and b:
        # sum (a + b)^2 = tau sum a^2 + 2 sum_w a_w (sum_t b_wt) + sum b^2.
        shared, own = (part.to(wide(self.h)) for part in self.parts(tile))
        w, tau = self.matrix(tile, own), self.tau
        often, own_sums = w.sum(0), over_frames(w, own)
        num_sums = shared[..., 0].numel()
        count = num_sums * tau
        a, b = _sum(shared) / num_sums, _sum(own_sums) / count
        shared = shared - a
        own_sums = own_sums.sub_(tau * b)
        squares = (own - b).square_().sum((0, 2)).mul_(often.unsqueeze(1)).sum(0)
        # Frames beyond the clip are zero.
        beyond = count - own[:, 0, :, 0].numel() * often.sum()
        total = tau * _sum(shared.square()) + 2 * _sum(own_sums.mul_(shared))
        return a + b, (total + squares + beyond * b.square()) / count

    def activated(self, tile: Tile, norm: Normalisation) -> Tensor:
        shared, own = self.parts(tile)
        shared = torch.addcmul(norm.offset, shared, norm.scale).to(shared.dtype)
        own = (own * norm.scale).to(own.dtype)
        y = self.h.new_empty(*shared.shape[:3], self.tau, own.size(-1))
        for slot, windows, frames in self.taps(tile):
            target = y[:, :, :, slot]
            torch.add(shared[:, windows], own[:, frames], out=target[:, windows])
            # Beyond the clip.
            for rest in (slice(windows.start), slice(windows.stop, y.size(1))):
                if rest.start != rest.stop:
                    target[:, rest] = shared[:, rest]
        return y.relu_()

    def gradient(self, norm: Normalisation) -> Gradient:
        return _FactoredGradient(norm, self)

    def parts(self, tile: Tile) -> tuple[Tensor, Tensor]:
        """Of a tile: what is shared in its windows ``[b, n, V, C]``, and what its
        frames have of their own ``[b, F, V, C]``."""
        return self.h[tile], self.own[self.frames(tile)]

    def frames(self, tile: Tile) -> Tile:
        """The clips of a tile, and the frames that its windows have."""
        clips, windows = tile
        return clips, self.window.frames(windows, self.own.size(1))

    def matrix(self, tile: Tile, like: Tensor) -> Tensor:
        """The matrix ``W`` of a tile, ``[n, F]``."""
        return self.window.matrix(tile[1], self.own.size(1), like)

    def taps(self, tile: Tile) -> list[tuple[int, slice, slice]]:
        """As :meth:`Window.tap` for each slot, counted from a tile's first window and
        frame."""
        found = []
        first, begin = tile[1].start, self.frames(tile)[1].start
        for slot in range(self.tau):
            windows, frames = self.window.tap(slot, self.own.size(1), tile[1])
            windows = slice(windows.start - first, windows.stop - first)
            frames = slice(frames.start - begin, frames.stop - begin, frames.step)
            found.append((slot, windows, frames))
        return found


class _FactoredGradient(Gradient):
    def __init__(self, norm: Normalisation, slots: FactoredSlots) -> None:
        to_shared = empty(slots.h, *slots.h.shape)
        # Frames are part of several windows, whose gradients add up.
        to_own = empty(slots.own, *slots.own.shape).zero_()
        super().__init__(norm, (to_shared, to_own))
        self.slots = slots

    def add(self, grad: Tensor, tile: Tile) -> None:
        to_shared, to_own = self.parts
        torch.sum(grad, 3, out=to_shared[tile])
        to_own = to_own[self.slots.frames(tile)]
        for slot, windows, frames in self.slots.taps(tile):
            to_own[:, frames] += grad[:, windows, :, slot]

    def affine(self) -> tuple[Tensor, Tensor]:
        shared, own = self.slots.h, self.slots.own
        to_gamma, to_beta = (torch.zeros_like(self.norm.mean) for _ in range(2))
        for clip in range(shared.size(0)):
            to_shared, to_own = (part[clip] for part in self.parts)
            to_gamma += _sum((shared[clip] - self.norm.mean) * to_shared)
            to_gamma += _sum(own[clip] * to_own)
            to_beta += _sum(to_shared)
        return to_gamma * self.norm.rstd, to_beta

    def finish(self, line: tuple[Tensor, Tensor] | None) -> None:
        for part in self.parts:
            part.mul_(self.norm.scale)
        if line is None:
            return
        slope, offset = line
        to_shared, to_own = self.parts
        for tile in self.slots.tiles():
            shared, own = self.slots.parts(tile)
            w = self.slots.matrix(tile, shared)
            # Sums over the frames of each window, and over the windows of each frame.
            sums = over_frames(w, own).add_(shared, alpha=self.slots.tau)
            to_shared[tile].addcmul_(sums, slope).add_(offset, alpha=self.slots.tau)
            often = w.sum(0)[:, None, None]
            sums = over_frames(w.t(), shared).addcmul_(own, often)
            part = to_own[self.slots.frames(tile)]
            part.addcmul_(sums, slope).addcmul_(often, offset)


def _sum(x: Tensor) -> Tensor:
    """Over all but the channels."""
    return x.flatten(0, -2).sum(0, dtype=wide(x))
