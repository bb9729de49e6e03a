"""The sums of windows in two parts: what the frames of each window share, and what each
frame has of its own."""

import torch
from torch import Tensor

from pyg_msg3d.ops.kernels.memory import empty
from pyg_msg3d.ops.policy import wide
from pyg_msg3d.ops.window import Window, banded, over_frames
from pyg_msg3d.ops.window_sums import Normalisation, Tile, WindowSums


class FactoredSums(WindowSums):
    """Shared ``[B, T', V, C]`` and own ``[B, T, V, C]`` parts, put together by the tile
    as :func:`~pyg_msg3d.ops.combine` does.

    Sums over the frames of windows, and over the windows of frames, are products with
    the matrix ``W`` that is one where a window has a frame.
    """

    def __init__(self, shared: Tensor, own: Tensor, window: Window) -> None:
        super().__init__(shared, window.size)
        self.own, self.window = own, window

    def tiles(self) -> list[Tile]:
        return [
            (clips, slice(windows.start + some.start, windows.start + some.stop))
            for clips, windows in super().tiles()
            for some in banded(windows.stop - windows.start)
        ]

    def moments_of(self, tile: Tile) -> tuple[Tensor, Tensor]:
        # Of shared and own values apart, each less its mean a and b:
        # sum (a + b)^2 = tau sum a^2 + 2 sum_w a_w (sum_t b_wt) + sum b^2.
        shared, own = (part.to(wide(self.h)) for part in self._parts(tile))
        w, tau = self._matrix(tile, own), self.tau
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
        shared, own = self._parts(tile)
        shared = torch.addcmul(norm.offset, shared, norm.scale).to(shared.dtype)
        own = (own * norm.scale).to(own.dtype)
        y = self.h.new_empty(*shared.shape[:3], self.tau, own.size(-1))
        for slot, windows, frames in self._taps(tile):
            target = y[:, :, :, slot]
            torch.add(shared[:, windows], own[:, frames], out=target[:, windows])
            # Beyond the clip.
            for rest in (slice(windows.start), slice(windows.stop, y.size(1))):
                if rest.start != rest.stop:
                    target[:, rest] = shared[:, rest]
        return y.relu_()

    def start(self, norm: Normalisation) -> None:
        self.norm = norm
        self.to_shared = empty(self.h, *self.h.shape)
        # Frames are part of several windows, whose gradients add up.
        self.to_own = empty(self.own, *self.own.shape).zero_()

    def add(self, grad: Tensor, tile: Tile) -> None:
        torch.sum(grad, 3, out=self.to_shared[tile])
        to_own = self.to_own[self._frames(tile)]
        for slot, windows, frames in self._taps(tile):
            to_own[:, frames] += grad[:, windows, :, slot]

    def affine(self) -> tuple[Tensor, Tensor]:
        to_gamma, to_beta = (torch.zeros_like(self.norm.mean) for _ in range(2))
        for clip, to_shared in enumerate(self.to_shared):
            to_gamma += _sum((self.h[clip] - self.norm.mean) * to_shared)
            to_gamma += _sum(self.own[clip] * self.to_own[clip])
            to_beta += _sum(to_shared)
        return to_gamma * self.norm.rstd, to_beta

    def finish(self, line: tuple[Tensor, Tensor] | None) -> list[Tensor | None]:
        for part in (self.to_shared, self.to_own):
            part.mul_(self.norm.scale)
        if line is None:
            return [self.to_shared, self.to_own]
        slope, offset = line
        for tile in self.tiles():
            shared, own = self._parts(tile)
            w = self._matrix(tile, shared)
            # Sums over the frames of each window, and over the windows of each frame.
            sums = over_frames(w, own).add_(shared, alpha=self.tau)
            part = self.to_shared[tile]
            part.addcmul_(sums, slope).add_(offset, alpha=self.tau)
            often = w.sum(0)[:, None, None]
            sums = over_frames(w.t(), shared).addcmul_(own, often)
            part = self.to_own[self._frames(tile)]
            part.addcmul_(sums, slope).addcmul_(often, offset)
        return [self.to_shared, self.to_own]

    def _parts(self, tile: Tile) -> tuple[Tensor, Tensor]:
        """Of a tile: what is shared in its windows ``[b, n, V, C]``, and what its
        frames have of their own ``[b, F, V, C]``."""
        return self.h[tile], self.own[self._frames(tile)]

    def _frames(self, tile: Tile) -> Tile:
        """The clips of a tile, and the frames that its windows have."""
        clips, windows = tile
        return clips, self.window.frames(windows, self.own.size(1))

    def _matrix(self, tile: Tile, like: Tensor) -> Tensor:
        """The matrix ``W`` of a tile, ``[n, F]``."""
        return self.window.matrix(tile[1], self.own.size(1), like)

    def _taps(self, tile: Tile) -> list[tuple[int, slice, slice]]:
        """As :meth:`Window.tap` for each slot, counted from a tile's first window and
        frame."""
        found = []
        first, begin = tile[1].start, self._frames(tile)[1].start
        for slot in range(self.tau):
            windows, frames = self.window.tap(slot, self.own.size(1), tile[1])
            windows = slice(windows.start - first, windows.stop - first)
            frames = slice(frames.start - begin, frames.stop - begin, frames.step)
            found.append((slot, windows, frames))
        return found


def _sum(x: Tensor) -> Tensor:
    """Over all but the channels."""
    return x.flatten(0, -2).sum(0, dtype=wide(x))
