"""What G3D does with the frames of a window: normalise, rectify, collapse."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from pyg_msg3d.ops.chunks import wide
from pyg_msg3d.ops.linear import linear, linear_backward
from pyg_msg3d.ops.results import empty
from pyg_msg3d.ops.slots import Normalisation, slots_of
from pyg_msg3d.ops.window import Window

Shape = Sequence[int]


def collapse_windows(
    h: Tensor,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    own: Tensor | None = None,
    window: Window | None = None,
    training: bool = False,
) -> Tensor:
    r"""Batch normalisation, ReLU and the linear map that collapses the :math:`\tau`
    frames of each window, equation (6) of the `"Disentangling and Unifying Graph
    Convolutions for Skeleton-Based Action Recognition"
    <https://arxiv.org/abs/2003.14111>`_ paper,

    .. math::
        \mathbf{y}_{w,v} = \sum_{t<\tau} \mathbf{\Phi}_t \, \mathrm{ReLU} \left(
        \boldsymbol{\gamma} \, \frac{\mathbf{h}_{w,v,t} - \boldsymbol{\mu}}
        {\sqrt{\boldsymbol{\sigma}^2 + \epsilon}} + \boldsymbol{\beta} \right) +
        \mathbf{c}.

    All three are done clip by clip, and again in the backward pass, so that next to
    :math:`\mathbf{h}` nothing of its size, :math:`\tau` times that of the features, is
    kept. In two parts, :math:`\mathbf{h}` is not kept either, but put together each
    time, as :func:`combine` does.

    Args:
        h (Tensor): The sums of windows, or what the frames of each share.
        mean, variance (Tensor): Those of each channel.
        eps (float): Added to the variance.
        gamma, beta (Tensor): Scale and shift of each channel.
        weight (Tensor): The maps :math:`\mathbf{\Phi}_t`, side by side.
        bias (Tensor, optional): :math:`\mathbf{c}`.
        own (Tensor, optional): What each frame has of its own.
            (default: :obj:`None`)
        window (Window, optional): The window, if there are two parts.
            (default: :obj:`None`)
        training (bool, optional): Mean and variance are those of :math:`\mathbf{h}`
            (:func:`window_moments`), and gradients flow through them.
            (default: :obj:`False`)

    Shapes:
        - **h:** :math:`(B, T', V, \tau, C)`, in two parts :math:`(B, T', V, C)`
        - **own:** :math:`(B, T, V, C)`
        - **mean, variance, gamma, beta:** :math:`(C)`
        - **weight:** :math:`(C', \tau C)`
        - **output:** :math:`(B, T', V, C')`
    """
    size = list(window or ())
    out = _collapse(
        h, own, mean, variance, eps, gamma, beta, weight.to(h.dtype), size, training
    )
    return out if bias is None else out.add_(bias.to(out.dtype))


def window_moments(
    h: Tensor, own: Tensor | None = None, window: Window | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and variance (biased) of each channel over clips, windows, joints and
    frames, for :func:`collapse_windows`; no gradients."""
    own = None if own is None else own.detach()
    return _moments(h.detach(), own, list(window or ()))


@torch.library.custom_op('pyg_msg3d::window_moments', mutates_args=())
def _moments(
    h: Tensor, own: Tensor | None, window: Sequence[int]
) -> tuple[Tensor, Tensor]:
    slots = slots_of(h, own, window)
    means, variances, counts = [], [], []
    for tile in slots.tiles():
        mean, variance = slots.moments(tile)
        means.append(mean.double())
        variances.append(variance.double())
        clips, windows = tile
        counts.append((clips.stop - clips.start) * (windows.stop - windows.start))
    share = torch.tensor(counts, dtype=torch.double, device=h.device)
    share = (share / share.sum()).unsqueeze(1)
    each, spread = torch.stack(means), torch.stack(variances)
    mean = (share * each).sum(0)
    variance = (share * (spread + (each - mean).square())).sum(0)
    return mean.to(wide(h)), variance.to(wide(h))


@_moments.register_fake
def _(h: Tensor, own: Tensor | None, window: Sequence[int]) -> tuple[Tensor, Tensor]:
    moments = h.new_empty(2, h.size(-1), dtype=wide(h))
    return moments[0].clone(), moments[1].clone()


@torch.library.custom_op('pyg_msg3d::collapse_windows', mutates_args=())
def _collapse(
    h: Tensor,
    own: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    window: Sequence[int],
    training: bool,
) -> Tensor:
    slots = slots_of(h, own, window)
    norm = Normalisation(mean, variance, eps, gamma, beta)
    # The result first: what is computed on the way then leaves no holes behind it.
    out = empty(h, h.size(0), slots.windows, slots.joints, weight.size(0))
    for tile in slots.tiles():
        linear(slots.activated(tile, norm).flatten(-2), weight, out=out[tile])
    return out


@_collapse.register_fake
def _(
    h: Tensor,
    own: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    window: Sequence[int],
    training: bool,
) -> Tensor:
    slots = slots_of(h, own, window)
    return h.new_empty(h.size(0), slots.windows, slots.joints, weight.size(0))


@torch.library.custom_op('pyg_msg3d::collapse_windows_backward', mutates_args=())
def _collapse_backward(
    grad: Tensor,
    h: Tensor,
    own: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    window: Sequence[int],
    training: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    slots = slots_of(h, own, window)
    norm = Normalisation(mean, variance, eps, gamma, beta)
    to_slots = slots.gradient(norm)
    to_weight = torch.zeros_like(weight, dtype=wide(h))
    for tile in slots.tiles():
        y = slots.activated(tile, norm)
        to_y, mine = linear_backward(grad[tile], y.flatten(-2), weight)
        to_weight += mine
        to_y = to_y.view(y.shape)
        torch.ops.aten.threshold_backward.grad_input(to_y, y, 0, grad_input=to_y)
        to_slots.add(to_y, tile)
    to_gamma, to_beta = to_slots.affine()
    line = None
    if training:
        # What flows through mean and variance needs the sums over all clips.
        slope = -norm.scale * norm.rstd * to_gamma / slots.count
        line = slope, -norm.scale * to_beta / slots.count - mean * slope
    to_slots.finish(line)
    return *to_slots.parts, to_gamma, to_beta, to_weight.to(weight.dtype)


@_collapse_backward.register_fake
def _(
    grad: Tensor,
    h: Tensor,
    own: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    window: Sequence[int],
    training: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    to_own = h.new_empty(0 if own is None else own.shape)
    a, b, c, d = (x.new_empty(x.shape) for x in (h, mean, mean, weight))
    return a, to_own, b, c, d


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    h, own, mean, variance, ctx.eps, *tensors, ctx.window, ctx.training = inputs
    ctx.save_for_backward(h, own, mean, variance, *tensors)


def _differentiate(ctx: Any, grad: Tensor) -> tuple:
    h, own, mean, variance, gamma, beta, weight = ctx.saved_tensors
    to_h, to_own, to_gamma, to_beta, to_weight = _collapse_backward(
        grad.contiguous(), h, own, mean, variance, ctx.eps, gamma, beta, weight,
        ctx.window, ctx.training,
    )  # fmt: skip
    # Of a batch's own mean nothing depends on where it lies.
    to_mean = -to_beta * gamma * (variance + ctx.eps).rsqrt()
    to_mean = torch.zeros_like(to_beta) if ctx.training else to_mean
    to_own = None if own is None else to_own
    return to_h, to_own, to_mean, None, None, to_gamma, to_beta, to_weight, None, None


_collapse.register_autograd(_differentiate, setup_context=_save)


@register_flop_formula(torch.ops.pyg_msg3d.collapse_windows)
def _(
    h: Shape,
    own: Shape | None,
    mean: Shape,
    variance: Shape,
    eps: float,
    gamma: Shape,
    beta: Shape,
    weight: Shape,
    *args: Any,
    out_shape: Shape,
    **kwargs: Any,
) -> int:
    return 2 * prod(out_shape) * weight[1]
