"""What G3D does with the frames of a window: normalise, rectify, collapse."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyg_msg3d.ops import reference
from pyg_msg3d.ops.factored_sums import FactoredSums
from pyg_msg3d.ops.kernels.linear import linear, linear_backward
from pyg_msg3d.ops.kernels.memory import empty
from pyg_msg3d.ops.operator import Operator
from pyg_msg3d.ops.policy import wide
from pyg_msg3d.ops.window import Window
from pyg_msg3d.ops.window_sums import Normalisation, WholeSums, WindowSums


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


def _forward(
    h: Tensor,
    own: Tensor | None,
    bias: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    shift: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    eps: float,
    window: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    sums = _sums(h, own, window)
    # A bias before a normalisation moves the mean that is subtracted.
    moved = 0 if bias is None else bias
    mean, variance = (
        sums.moments() if mean is None else (mean - moved, variance.clone())
    )
    norm = Normalisation(mean, variance, eps, gamma, beta)
    # The result first: what is computed on the way then leaves no holes behind it.
    out = empty(h, h.size(0), sums.windows, sums.joints, weight.size(0))
    for tile in sums.tiles():
        mine = linear(sums.activated(tile, norm).flatten(-2), weight, out=out[tile])
        if shift is not None:
            mine += shift
    return out, mean + moved, variance


def _backward(
    grad: Tensor,
    kept: list[Tensor],
    h: Tensor,
    own: Tensor | None,
    bias: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    shift: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    eps: float,
    window: Sequence[int],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    sums, of_batch = _sums(h, own, window), mean is None
    mean, variance = kept
    norm = Normalisation(
        mean if bias is None else mean - bias, variance, eps, gamma, beta
    )
    to_weight = torch.zeros_like(weight, dtype=wide(h))
    sums.start(norm)
    for tile in sums.tiles():
        y = sums.activated(tile, norm)
        to_y, mine = linear_backward(grad[tile], y.flatten(-2), weight)
        to_weight += mine
        to_y = to_y.view(y.shape)
        torch.ops.aten.threshold_backward.grad_input(to_y, y, 0, grad_input=to_y)
        sums.add(to_y, tile)
    to_gamma, to_beta = sums.affine()
    line = None
    to_mean, to_variance = -to_beta * norm.scale, -to_gamma * norm.scale * norm.rstd / 2
    to_bias = -to_mean
    if of_batch:
        # What flows through mean and variance needs the sums over all clips. Where the
        # values lie makes no difference.
        slope = -norm.scale * norm.rstd * to_gamma / sums.count
        line = slope, -norm.scale * to_beta / sums.count - norm.mean * slope
        to_bias = torch.zeros_like(to_beta)
    to_h = sums.finish(line)
    to_shift = grad.sum((0, 1, 2)) if needed[6] else None
    of_norm = [to_bias, to_gamma, to_beta]
    return [
        *to_h, *of_norm, to_weight.to(weight.dtype), to_shift, to_mean, to_variance
    ]  # fmt: skip


def _by_definition(*args: Any) -> tuple[Tensor, Tensor, Tensor]:
    *rest, window = args
    return reference.collapse(*rest, Window(*window))


def _work(
    h: Tensor, own: Tensor | None, bias: Any, gamma: Any, beta: Any, weight: Tensor,
    shift: Any, mean: Any, variance: Any, eps: float, window: Sequence[int],
) -> tuple[float, float]:  # fmt: skip
    work = 2 * h.shape[:3].numel() * weight.numel()
    return work, 2 * work


_collapse = Operator(
    'collapse', _forward, _backward, _by_definition, _work, ('h', 'own', 'weight'),
    keeps=slice(1, None),
)  # fmt: skip


def _sums(h: Tensor, own: Tensor | None, window: Sequence[int]) -> WindowSums:
    return WholeSums(h) if own is None else FactoredSums(h, own, Window(*window))
