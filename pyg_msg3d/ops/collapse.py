"""What G3D does with the frames of a window: normalise, rectify, collapse."""

from typing import NamedTuple

import torch
from torch import Tensor

from pyg_msg3d.ops import batched, reference
from pyg_msg3d.ops.factored_sums import FactoredSums
from pyg_msg3d.ops.kernels.linear import linear, linear_backward
from pyg_msg3d.ops.kernels.memory import empty
from pyg_msg3d.ops.operator import Operator
from pyg_msg3d.ops.policy import wide
from pyg_msg3d.ops.window import Window
from pyg_msg3d.ops.window_sums import Normalisation, WindowSums


def collapse(
    h: Tensor,
    own: Tensor | None,
    bias: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    shift: Tensor | None,
    mean: Tensor | None = None,
    variance: Tensor | None = None,
    eps: float = 1e-5,
    window: Window | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Batch normalisation, ReLU and the linear map that collapses the :math:`\tau`
    frames of each window, equations (5) and (6) of the `"Disentangling and Unifying
    Graph Convolutions for Skeleton-Based Action Recognition"
    <https://arxiv.org/abs/2003.14111>`_ paper. Equation, arguments, shapes and results
    are those of :func:`pyg_msg3d.ops.reference.collapse`.

    All three are done clip by clip, and again in the backward pass, so that next to
    :math:`\mathbf{h}` nothing of its size, :math:`\tau` times that of the features, is
    kept. In two parts, :math:`\mathbf{h}` is not kept either, but put together each
    time, as :func:`~pyg_msg3d.ops.combine` does. Mean and variance, where they are
    those of the batch, have no gradient as results.
    """
    weight = weight.to(h.dtype)
    return _collapse(
        h, own, bias, gamma, beta, weight, shift, mean, variance, eps,
        list(window or (0, 1, 1)),
    )  # fmt: skip


class _Given(NamedTuple):
    h: Tensor
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
    def sums(self) -> WindowSums:
        if self.own is None:
            return WindowSums(self.h, self.h.size(3))
        return FactoredSums(self.h, self.own, Window(*self.window))

    def norm(self, mean: Tensor, variance: Tensor) -> Normalisation:
        """By moments of the sums with their bias: the mean that is subtracted moves
        with it."""
        mean = mean if self.bias is None else mean - self.bias
        return Normalisation(mean, variance, self.eps, self.gamma, self.beta)


def _forward(given: _Given) -> tuple[Tensor, Tensor, Tensor]:
    h, sums, mean, variance = given.h, given.sums, given.mean, given.variance
    if mean is None or variance is None:
        mean, variance = sums.moments()
        mean = mean if given.bias is None else mean + given.bias
    norm = given.norm(mean, variance)
    # The result first: what is computed on the way then leaves no holes behind it.
    out = empty(h, *h.shape[:3], given.weight.size(0))
    for tile in sums.tiles():
        y = sums.activated(tile, norm).flatten(-2)
        mine = linear(y, given.weight, out=out[tile])
        if given.shift is not None:
            mine += given.shift
    # No result may be an argument.
    return out, mean.clone(), variance.clone()


def _backward(
    grad: Tensor, kept: list[Tensor], given: _Given, needed: list[bool]
) -> list[Tensor | None]:
    sums, norm, weight = given.sums, given.norm(*kept), given.weight
    to_weight = torch.zeros_like(weight, dtype=wide(grad))
    sums.start(norm)
    for tile in sums.tiles():
        y = sums.activated(tile, norm)
        to_y, mine = linear_backward(grad[tile], y.flatten(-2), weight)
        to_weight += mine
        to_y = to_y.view(y.shape)
        torch.ops.aten.threshold_backward.grad_input(to_y, y, 0, grad_input=to_y)
        sums.add(to_y, tile)
    to_gamma, to_beta = sums.affine()
    to_mean, to_variance = -to_beta * norm.scale, -to_gamma * norm.scale * norm.rstd / 2
    to_bias, line = -to_mean, None
    if given.mean is None:
        # What flows through mean and variance needs the sums over all clips. Where the
        # values lie makes no difference.
        slope = -norm.scale * norm.rstd * to_gamma / sums.count
        line = slope, to_mean / sums.count - norm.mean * slope
        to_bias = torch.zeros_like(to_beta)
    to_shift = grad.sum((0, 1, 2)) if needed[6] else None
    return [
        *sums.finish(line), to_bias, to_gamma, to_beta, to_weight.to(weight.dtype),
        to_shift, to_mean, to_variance,
    ]  # fmt: skip


def _arguments(given: _Given) -> tuple:
    return *given[:-1], Window(*given.window)


def _work(given: _Given) -> tuple[float, float]:
    work = 2 * given.h.shape[:3].numel() * given.weight.numel()
    return work, 2 * work


_collapse = Operator(
    'collapse', _Given, _forward, _backward,
    lambda given: reference.collapse(*_arguments(given)), _work,
    lowered=('h', 'own', 'weight'), keeps=slice(1, None),
    batched=lambda given: batched.collapse(*_arguments(given)),
)  # fmt: skip
