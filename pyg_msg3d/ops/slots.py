"""The sums of windows, :math:`\\tau` slots a window, as they are kept: whole, or what
the frames of a window share and what each has of its own."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.chunks import tiles, wide
from pyg_msg3d.ops.factored import banded, over_frames
from pyg_msg3d.ops.window import Window

Tile = tuple[slice, slice]
"""Some clips, and some of their windows."""

Gradients = tuple[Tensor, Tensor]
"""To what is kept of the sums: the second is empty where they are kept whole."""


class Normalisation(NamedTuple):
    """A batch normalisation of given mean and variance."""

    mean: Tensor
    variance: Tensor
    eps: float
    gamma: Tensor
    beta: Tensor

    @property
    def rstd(self) -> Tensor:
        """One over the standard deviation."""
        return (self.variance + self.eps).rsqrt()

    @property
    def scale(self) -> Tensor:
        """What values are multiplied with."""
        return self.gamma * self.rstd


class Slots(ABC):
    """The sums of windows ``s`` over clips, joints and the frames of each window."""

    #: Windows of a clip, joints, and frames of a window.
    windows: int
    joints: int
    tau: int

    def __init__(self, h: Tensor) -> None:
        self.h = h

    @abstractmethod
    def new_gradients(self) -> Gradients:
        """Memory for the gradients to what is kept."""

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
    def add_gradient(
        self, grad: Tensor, tile: Tile, norm: Normalisation, to: Gradients
    ) -> tuple[Tensor, Tensor]:
        """Adds the gradient to a tile, not yet scaled, to that of all; returns those to
        gamma and beta."""

    @abstractmethod
    def finish_gradient(
        self, to: Gradients, scale: Tensor, line: tuple[Tensor, Tensor] | None
    ) -> None:
        """Scales the gradient and, with a slope and an offset, adds those of the line
        ``offset + slope * s``, in place."""


def slots_of(h: Tensor, own: Tensor | None, window: Sequence[int]) -> Slots:
    """The sums ``[B, T', V, tau, C]``, or what their windows share
    ``[B, T', V, C]`` and what their frames have of their own ``[B, T, V, C]``."""
    return WholeSlots(h) if own is None else FactoredSlots(h, own, Window(*window))


class WholeSlots(Slots):
    """All of them in memory, ``[B, T', V, tau, C]``."""

    def __init__(self, h: Tensor) -> None:
        super().__init__(h)
        _, self.windows, self.joints, self.tau, _ = h.shape

    def new_gradients(self) -> Gradients:
        to_h = torch.empty_like(self.h, memory_format=torch.contiguous_format)
        return to_h, self.h.new_empty(0)

    def moments(self, tile: Tile) -> tuple[Tensor, Tensor]:
        s = self.h[tile].flatten(0, -2).to(wide(self.h))
        # Not var_mean, which is ten times slower on CPUs.
        mean = s.mean(0)
        return mean, (s - mean).square_().mean(0)

    def activated(self, tile: Tile, norm: Normalisation) -> Tensor:
        s = self.h[tile]
        mean, variance, eps, gamma, beta = norm
        rows = s.flatten(0, -2)
        y = F.batch_norm(rows, mean, variance, gamma, beta, eps=eps)
        return y.relu_().view(s.shape)

    def add_gradient(
        self, grad: Tensor, tile: Tile, norm: Normalisation, to: Gradients
    ) -> tuple[Tensor, Tensor]:
        mean, variance, eps, gamma, _ = norm
        to[0][tile] = grad
        _, to_gamma, to_beta = torch.ops.aten.native_batch_norm_backward(
            grad.flatten(0, -2), self.h[tile].flatten(0, -2), gamma, mean, variance,
            None, None, False, eps, [False, True, True],
        )  # fmt: skip
        return to_gamma, to_beta

    def finish_gradient(
        self, to: Gradients, scale: Tensor, line: tuple[Tensor, Tensor] | None
    ) -> None:
        for tile in self.tiles():
            part = to[0][tile].mul_(scale)
            if line is not None:
                slope, offset = line
                part.addcmul_(self.h[tile], slope).add_(offset)


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

    def new_gradients(self) -> Gradients:
        to_shared = torch.empty_like(self.h, memory_format=torch.contiguous_format)
        # Frames are part of several windows, whose gradients add up.
        return to_shared, self.own.new_zeros(self.own.shape)

    def moments(self, tile: Tile) -> tuple[Tensor, Tensor]:
        # Of shared and own values apart, each less its mean a and b:
        # sum (a + b)^2 = tau sum a^2 + 2 sum_w a_w (sum_t b_wt) + sum b^2.
        w, _, shared, own = self._parts(tile, wide(self.h))
        tau, often = self.tau, w.sum(0)
        own_sums = over_frames(w, own)
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
        _, frames, shared, own = self._parts(tile, self.h.dtype)
        offset = norm.beta - norm.mean * norm.scale
        shared = shared * norm.scale + offset
        own = own * norm.scale
        y = self.h.new_empty(*shared.shape[:3], self.tau, own.size(-1))
        for slot in range(self.tau):
            windows, mine = self._tap(slot, tile, frames)
            target = y[:, :, :, slot]
            if own[:, mine].size(1) < y.size(1):
                target.copy_(shared)
            torch.add(shared[:, windows], own[:, mine], out=target[:, windows])
        return y.relu_()

    def add_gradient(
        self, grad: Tensor, tile: Tile, norm: Normalisation, to: Gradients
    ) -> tuple[Tensor, Tensor]:
        _, frames, shared, own = self._parts(tile, self.h.dtype)
        to_shared = grad.sum(3)
        to_own = own.new_zeros(own.shape)
        for slot in range(self.tau):
            windows, mine = self._tap(slot, tile, frames)
            to_own[:, mine] += grad[:, windows, :, slot]
        to[0][tile] = to_shared
        to[1][tile[0], frames] += to_own
        to_beta = _sum(to_shared)
        inner = _sum((shared - norm.mean).mul_(to_shared)) + _sum(to_own.mul_(own))
        return inner * norm.rstd, to_beta

    def finish_gradient(
        self, to: Gradients, scale: Tensor, line: tuple[Tensor, Tensor] | None
    ) -> None:
        for part in to:
            part.mul_(scale)
        if line is None:
            return
        slope, offset = line
        for tile in self.tiles():
            w, frames, shared, own = self._parts(tile, self.h.dtype)
            # Sums over the frames of each window, and over the windows of each frame.
            sums = over_frames(w, own).add_(shared, alpha=self.tau)
            to[0][tile] += sums.mul_(slope).add_(offset, alpha=self.tau)
            often = w.sum(0)[:, None, None]
            sums = over_frames(w.t(), shared).addcmul_(own, often)
            to[1][tile[0], frames] += sums.mul_(slope).addcmul_(often, offset)

    def _parts(
        self, tile: Tile, dtype: torch.dtype
    ) -> tuple[Tensor, slice, Tensor, Tensor]:
        """Of a tile: the matrix ``W`` ``[n, F]``, the frames that it has, what is
        shared in its windows ``[b, n, V, C]``, and what its frames have of their own
        ``[b, F, V, C]``."""
        clips, windows = tile
        frames, w = self.window.matrix(windows, self.own.size(1), self.h.device)
        shared, own = self.h[tile].to(dtype), self.own[clips, frames].to(dtype)
        return w.to(dtype), frames, shared, own

    def _tap(self, slot: int, tile: Tile, frames: slice) -> tuple[slice, slice]:
        """As :meth:`Window.tap`, counted from a tile's first window and frame."""
        windows, mine = self.window.tap(slot, self.own.size(1), tile[1])
        return (
            slice(windows.start - tile[1].start, windows.stop - tile[1].start),
            slice(mine.start - frames.start, mine.stop - frames.start, mine.step),
        )


def _sum(x: Tensor) -> Tensor:
    """Over all but the channels."""
    return x.flatten(0, -2).sum(0, dtype=wide(x))
