"""The sums of windows, :math:`\\tau` frames each, that G3D normalises, rectifies and
collapses."""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.kernels.memory import empty
from pyg_msg3d.ops.policy import tiles, wide

Tile = tuple[slice, slice]
"""Some clips, and some of their windows."""


@dataclass(frozen=True)
class Normalisation:
    """A batch normalisation by given moments."""

    mean: Tensor
    variance: Tensor
    eps: float
    gamma: Tensor
    beta: Tensor

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


class WindowSums:
    """Sums over clips, windows, joints and the frames of each window, some clips and
    windows at a time, and the gradients to them: here all in memory, ``[B, T', V, tau,
    C]``."""

    def __init__(self, h: Tensor, tau: int) -> None:
        self.h, self.tau = h, tau
        self.windows, self.joints, self.channels = h.size(1), h.size(2), h.size(-1)

    @property
    def count(self) -> int:
        """How many there are of each channel."""
        return self.h.size(0) * self.windows * self.joints * self.tau

    def tiles(self) -> list[Tile]:
        """All of them, so many at a time as may be in memory."""
        per_window = self.joints * self.tau * self.channels
        return tiles(self.h.size(0), self.windows, per_window, self.h)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance (biased) of each channel, put together from those of the
        tiles in float64."""
        means, variances, counts = [], [], []
        for tile in self.tiles():
            mean, variance = self.moments_of(tile)
            means.append(mean.double())
            variances.append(variance.double())
            clips, windows = tile
            counts.append((clips.stop - clips.start) * (windows.stop - windows.start))
        share = torch.tensor(counts, dtype=torch.double, device=self.h.device)
        share = (share / share.sum()).unsqueeze(1)
        each, spread = torch.stack(means), torch.stack(variances)
        mean = (share * each).sum(0)
        variance = (share * (spread + (each - mean).square())).sum(0)
        return mean.to(wide(self.h)), variance.to(wide(self.h))

    def moments_of(self, tile: Tile) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel within a tile."""
        s = self.h[tile].flatten(0, -2).to(wide(self.h))
        # Not var_mean, which is ten times slower on CPUs.
        mean = s.mean(0)
        return mean, (s - mean).square_().mean(0)

    def activated(self, tile: Tile, norm: Normalisation) -> Tensor:
        """Normalised and rectified ``[b, n, V, tau, C]``."""
        s = self.h[tile]
        y = F.batch_norm(
            s.flatten(0, -2), norm.mean, norm.variance, norm.gamma, norm.beta,
            eps=norm.eps,
        )  # fmt: skip
        return y.relu_().view(s.shape)

    def start(self, norm: Normalisation) -> None:
        """Begins to collect the gradient to the sums, through a normalisation."""
        self.norm = norm
        self.to_h = empty(self.h, *self.h.shape)
        self.to_gamma, self.to_beta = (torch.zeros_like(norm.mean) for _ in range(2))

    def add(self, grad: Tensor, tile: Tile) -> None:
        """Adds the gradient to the normalised sums of a tile."""
        self.to_h[tile] = grad
        norm = self.norm
        _, to_gamma, to_beta = torch.ops.aten.native_batch_norm_backward(
            grad.flatten(0, -2), self.h[tile].flatten(0, -2), norm.gamma, norm.mean,
            norm.variance, None, None, False, norm.eps, [False, True, True],
        )  # fmt: skip
        self.to_gamma += to_gamma
        self.to_beta += to_beta

    def affine(self) -> tuple[Tensor, Tensor]:
        """The gradients to gamma and beta, from all tiles."""
        return self.to_gamma, self.to_beta

    def finish(self, line: tuple[Tensor, Tensor] | None) -> list[Tensor | None]:
        """The gradient to the sums as they are kept, with that of the line ``offset +
        slope * s``, if a slope and an offset are given."""
        for tile in self.tiles():
            part = self.to_h[tile].mul_(self.norm.scale)
            if line is not None:
                slope, offset = line
                part.addcmul_(self.h[tile], slope).add_(offset)
        return [self.to_h, None]
