"""The collapse of windows, by kernels for GPUs."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops import reference, trust
from pyg_msg3d.ops.operator import Operator
from pyg_msg3d.ops.policy import MOST_INNER, MOST_MAPPED
from pyg_msg3d.ops.window import Window, combine


def takes(h: Tensor) -> bool:
    """Whether there is a kernel for it here."""
    return trust.has_kernels('collapse', h)


def takes_parts(h: Tensor) -> bool:
    """Whether there is one for sums in two parts."""
    return trust.has_kernels('collapse of parts', h)


def takes_maps(x: Tensor, before: int, after: int) -> bool:
    """Whether there is one for maps from and to so many channels besides."""
    fits = before <= MOST_INNER and after <= MOST_MAPPED
    return fits and trust.has_kernels('mapped collapse', x)


def fused_collapse(
    h: Tensor,
    maps: Tensor | None,
    own: Tensor | None,
    bias: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    shift: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    eps: float,
    window: Window,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Equation and results are those of :func:`pyg_msg3d.ops.reference.collapse`, and
    so are the arguments but for :math:`\mathbf{h}`, which is
    :math:`(B, T', \tau V, C)`, frame by frame, in memory in any order. With maps
    :math:`(C, C^{\prime\prime})` it is what they make of
    :math:`(B, T', \tau V, C^{\prime\prime})`. In two parts it is
    :math:`(B, T', V, C)`, and ``own`` :math:`(B, T, V, C)`."""
    return _collapse(
        h, maps, own, bias, gamma, beta, weight, shift, mean, variance, eps,
        list(window),
    )  # fmt: skip


class _Given(NamedTuple):
    h: Tensor
    maps: Tensor | None
    own: Tensor | None
    bias: Tensor | None
    gamma: Tensor
    beta: Tensor
    weight: Tensor
    shift: Tensor | None
    mean: Tensor | None
    variance: Tensor | None
    eps: float
    window: list[int]

    @property
    def windows(self) -> Any:
        from pyg_msg3d.ops.kernels import triton_collapse as kernels

        maps = None if self.maps is None else self.maps.to(self.h.dtype).contiguous()
        own = None if self.own is None else self.own.to(self.h.dtype)
        return kernels.Windows(self.h, Window(*self.window), maps, own)

    @property
    def phi(self) -> Tensor:
        return self.weight.to(self.h.dtype).contiguous()


def _forward(given: _Given) -> tuple[Tensor, Tensor, Tensor]:
    windows, moments = given.windows, (given.mean, given.variance)
    affine, mean, variance = windows.affine(
        given.bias, given.gamma, given.beta, given.eps, *moments
    )
    out = windows.collapse(given.phi, affine, given.shift)
    if given.mean is not None:
        # No result may be an argument.
        mean, variance = mean.clone(), variance.clone()
    return out, mean, variance


def _backward(
    grad: Tensor, kept: list[Tensor], given: _Given, needed: list[bool]
) -> list[Tensor | None]:
    windows, phi, of_batch = given.windows, given.phi, given.mean is None
    affine, *_ = windows.affine(given.bias, given.gamma, given.beta, given.eps, *kept)
    norm = given.gamma, given.beta
    to_weight, to_shift, parts = windows.to_parameters(grad, phi, *norm, affine)
    to_gamma, to_beta, line = windows.line(parts, affine, of_batch)
    to_h, to_other = windows.to_sums(grad, phi, affine, line)
    to_maps, to_own = (to_other, None) if given.own is None else (None, to_other)
    to_bias = to_mean = to_variance = None
    if of_batch:
        # Which moves the mean that is subtracted.
        to_bias = torch.zeros_like(to_beta)
    elif any((needed[3], needed[8], needed[9])):
        scale, _, _, rstd = affine
        to_bias, to_mean = to_beta * scale, -to_beta * scale
        to_variance = -to_gamma * scale * rstd / 2
    found = [to_h, to_maps, to_own, to_bias, to_gamma, to_beta, to_weight, to_shift]
    found += [to_mean, to_variance]
    return [
        None if one is None or leaf is None else one.to(leaf.dtype)
        for one, leaf in zip(found, given[:10], strict=True)
    ]


def _by_definition(given: _Given) -> tuple[Tensor, Tensor, Tensor]:
    window = Window(*given.window)
    if given.own is not None:
        h = combine(given.h, given.own, window)
    else:
        h = given.h if given.maps is None else F.linear(given.h, given.maps)
        h = h.unflatten(2, (window.size, -1)).transpose(2, 3)
    return reference.collapse(h, None, *given[3:-1])


def _work(given: _Given) -> tuple[float, float]:
    channels = given.gamma.size(0)
    rows = given.h[..., 0].numel() * (1 if given.own is None else given.window[0])
    work = 2 * rows * channels * given.weight.size(0)
    mapped = 0 if given.maps is None else 2 * given.h.numel() * channels
    # To the weights and the norm two products, to the sums one, to each part of them
    # one. Maps once for each of the two kernels; and in the last three times.
    products = 3 if given.own is None else 4
    return work + 2 * mapped, products * work + 4 * mapped


_collapse = Operator(
    'fused_collapse', _Given, _forward, _backward, _by_definition, _work,
    lowered=('h', 'maps', 'own', 'weight'), keeps=slice(1, None), keeps_layout=True,
)  # fmt: skip


def _example(maps: bool = False, own: bool = False) -> tuple[Any, ...]:
    h = torch.randn(2, 3, 25 if own else 75, 6 if maps else 20)
    return (
        h, torch.randn(20, 6) if maps else None,
        torch.randn(2, 6, 25, 20) if own else None, None, torch.rand(20) + 0.5,
        torch.randn(20), torch.randn(40, 60), torch.randn(40), torch.randn(20),
        torch.rand(20) + 0.5, 1e-5, [3, 2 if own else 1, 1],
    )  # fmt: skip


trust.register('collapse', _collapse, _example)
trust.register('mapped collapse', _collapse, lambda: _example(maps=True))
trust.register('collapse of parts', _collapse, lambda: _example(own=True))
