"""The collapse of windows, by kernels for GPUs."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops import reference, trust
from pyg_msg3d.ops.operator import Operator
from pyg_msg3d.ops.policy import MOST_INNER, MOST_MAPPED


def takes(h: Tensor) -> bool:
    """Whether there is a kernel for it here."""
    return trust.has_kernels('collapse', h)


def takes_maps(x: Tensor, before: int, after: int) -> bool:
    """Whether there is one for maps from and to so many channels besides."""
    fits = before <= MOST_INNER and after <= MOST_MAPPED
    return fits and trust.has_kernels('mapped collapse', x)


def fused_collapse(
    h: Tensor,
    maps: Tensor | None,
    bias: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    shift: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    eps: float,
    tau: int,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Equation and results are those of :func:`pyg_msg3d.ops.reference.collapse`, and
    so are the arguments but for :math:`\mathbf{h}`, which is
    :math:`(B, T', \tau V, C)`, frame by frame, in memory in any order. With maps
    :math:`(C, C^{\prime\prime})` it is what they make of
    :math:`(B, T', \tau V, C^{\prime\prime})`."""
    return _collapse(
        h, maps, bias, gamma, beta, weight, shift, mean, variance, eps, tau
    )


class _Given(NamedTuple):
    h: Tensor
    maps: Tensor | None
    bias: Tensor | None
    gamma: Tensor
    beta: Tensor
    weight: Tensor
    shift: Tensor | None
    mean: Tensor | None
    variance: Tensor | None
    eps: float
    tau: int

    @property
    def windows(self) -> Any:
        from pyg_msg3d.ops.kernels import triton_collapse as kernels

        maps = None if self.maps is None else self.maps.to(self.h.dtype).contiguous()
        return kernels.Windows(self.h, self.tau, maps)

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
    to_h, to_maps = windows.to_sums(grad, phi, affine, line)
    to_bias = to_mean = to_variance = None
    if of_batch:
        # Which moves the mean that is subtracted.
        to_bias = torch.zeros_like(to_beta)
    elif any((needed[2], needed[7], needed[8])):
        scale, _, _, rstd = affine
        to_bias, to_mean = to_beta * scale, -to_beta * scale
        to_variance = -to_gamma * scale * rstd / 2
    found = [to_h, to_maps, to_bias, to_gamma, to_beta, to_weight, to_shift]
    found += [to_mean, to_variance]
    return [
        None if one is None or leaf is None else one.to(leaf.dtype)
        for one, leaf in zip(found, given[:9], strict=True)
    ]


def _by_definition(given: _Given) -> tuple[Tensor, Tensor, Tensor]:
    h = given.h if given.maps is None else F.linear(given.h, given.maps)
    h = h.unflatten(2, (given.tau, -1)).transpose(2, 3)
    return reference.collapse(h, None, *given[2:-1])


def _work(given: _Given) -> tuple[float, float]:
    channels = given.gamma.size(0)
    work = 2 * given.h[..., 0].numel() * channels * given.weight.size(0)
    mapped = 0 if given.maps is None else 2 * given.h.numel() * channels
    # Once to the sums; to the weights and the norm two products. Maps once for these
    # and once for moments; and in the last kernel three times.
    return work + 2 * mapped, 3 * work + 4 * mapped


_collapse = Operator(
    'fused_collapse', _Given, _forward, _backward, _by_definition, _work,
    lowered=('h', 'maps', 'weight'), keeps=slice(1, None), keeps_layout=True,
)  # fmt: skip


def _example(maps: Tensor | None) -> tuple[Any, ...]:
    channels = 20 if maps is None else maps.size(1)
    return (
        torch.randn(2, 3, 75, channels), maps, None, torch.rand(20) + 0.5,
        torch.randn(20), torch.randn(40, 60), torch.randn(40), torch.randn(20),
        torch.rand(20) + 0.5, 1e-5, 3,
    )  # fmt: skip


trust.register('collapse', _collapse, lambda: _example(None))
trust.register('mapped collapse', _collapse, lambda: _example(torch.randn(20, 6)))
