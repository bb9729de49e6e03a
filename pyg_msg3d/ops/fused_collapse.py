"""The collapse of windows, by kernels for GPUs."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyg_msg3d.ops import reference, trust
from pyg_msg3d.ops.operator import Operator


def takes(h: Tensor) -> bool:
    """Whether there is a kernel for it here."""
    return trust.has_kernels('collapse', h)


def fused_collapse(
    h: Tensor,
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
    :math:`(B, T', \tau V, C)`, frame by frame, in memory in any order."""
    return _collapse(h, bias, gamma, beta, weight, shift, mean, variance, eps, tau)


class _Given(NamedTuple):
    h: Tensor
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

        return kernels.Windows(self.h, self.tau)

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
    to_gamma, to_beta, line = windows.to_norm(grad, phi, affine, of_batch)
    to_weight = windows.to_weight(grad, phi, affine)
    to_h = windows.to_sums(grad, phi, affine, line)
    to_bias = to_mean = to_variance = None
    if of_batch:
        # Which moves the mean that is subtracted.
        to_bias = torch.zeros_like(to_beta)
    elif any((needed[1], needed[6], needed[7])):
        scale, _, _, rstd = affine
        to_bias, to_mean = to_beta * scale, -to_beta * scale
        to_variance = -to_gamma * scale * rstd / 2
    to_shift = grad.sum((0, 1, 2)) if needed[5] else None
    found = [to_h, to_bias, to_gamma, to_beta, to_weight, to_shift]
    found += [to_mean, to_variance]
    return [
        None if one is None or leaf is None else one.to(leaf.dtype)
        for one, leaf in zip(found, given[:8], strict=True)
    ]


def _by_definition(given: _Given) -> tuple[Tensor, Tensor, Tensor]:
    h = given.h.unflatten(2, (given.tau, -1)).transpose(2, 3)
    return reference.collapse(h, None, *given[1:-1])


def _work(given: _Given) -> tuple[float, float]:
    work = 2 * given.h[..., 0].numel() * given.h.size(3) * given.weight.size(0)
    # Twice to the sums, once to the weights.
    return work, 3 * work


_collapse = Operator(
    'fused_collapse', _Given, _forward, _backward, _by_definition, _work,
    lowered=('h', 'weight'), keeps=slice(1, None), keeps_layout=True,
)  # fmt: skip
trust.register(
    'collapse', _collapse,
    lambda: (
        torch.randn(2, 3, 75, 20), None, torch.rand(20) + 0.5, torch.randn(20),
        torch.randn(40, 60), torch.randn(40), torch.randn(20), torch.rand(20) + 0.5,
        1e-5, 3,
    ),
)  # fmt: skip
