"""Batch normalisation and ReLU in training, by kernels for GPUs."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyg_msg3d.ops import reference, trust
from pyg_msg3d.ops.operator import Operator
from pyg_msg3d.ops.policy import is_batched, wants_definition


def takes(h: Tensor) -> bool:
    """Whether there is a kernel for it here."""
    if wants_definition() or not is_batched(h) or h.numel() == 0:
        return False
    return trust.has_kernels('norm', h)


def fused_norm(
    h: Tensor, bias: Tensor | None, gamma: Tensor, beta: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Normalises by the statistics of the batch and rectifies,

    .. math::
        \mathbf{y} = \mathrm{ReLU} \Big( \gamma \,
        \frac{\mathbf{h} + \mathbf{b} - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta \Big).

    Mean and variance (biased) are the second and third result.

    Shapes:
        - **h, output:** :math:`(*, V, C)`
        - **bias, gamma, beta:** :math:`(C)`
    """
    if bias is not None:
        # Which moves the mean that is subtracted: its gradient is zero.
        beta = beta + 0 * bias
    out, mean, variance = _norm(h.flatten(0, -3).unsqueeze(0), gamma, beta, eps)
    mean = mean if bias is None else mean + bias.detach()
    return out.view_as(h), mean, variance


class _Given(NamedTuple):
    h: Tensor
    gamma: Tensor
    beta: Tensor
    eps: float

    @property
    def features(self) -> Any:
        from pyg_msg3d.ops.kernels.triton_norm import Features

        return Features(self.h.contiguous())


def _forward(given: _Given) -> tuple[Tensor, Tensor, Tensor]:
    features = given.features
    affine, mean, variance = features.affine(None, *given[1:])
    return features.apply(affine, None, rectifies=True), mean, variance


def _backward(
    grad: Tensor, kept: list[Tensor], given: _Given, needed: list[bool]
) -> list[Tensor | None]:
    out, mean, variance = kept
    features = given.features
    affine, *_ = features.affine(None, *given[1:], mean, variance)
    to_h, to_gamma, to_beta, line = features.to_norm(grad, affine, out)
    features.through(to_h, affine, line)
    return [to_h, to_gamma.to(given.gamma.dtype), to_beta.to(given.beta.dtype)]


def _by_definition(given: _Given) -> tuple[Tensor, Tensor, Tensor]:
    y, mean, variance = reference.normalised(*given)
    return y.relu(), mean, variance


_norm = Operator(
    'fused_norm', _Given, _forward, _backward, _by_definition, lambda given: (0, 0),
    lowered=(), keeps=slice(0, None),
)  # fmt: skip
trust.register(
    'norm', _norm,
    lambda: (torch.randn(1, 9, 5, 20), torch.rand(20) + 0.5, torch.randn(20), 1e-5),
)  # fmt: skip
