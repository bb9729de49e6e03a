"""What G3D does with the frames of a window: normalise, rectify, collapse."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from pyg_msg3d.ops.chunks import chunks, wide
from pyg_msg3d.ops.factored import combine, combine_backward
from pyg_msg3d.ops.linear import linear, linear_backward
from pyg_msg3d.ops.window import Window

# h is either the sums of windows [B, T', V, tau, C], or the two parts [B, T, 2 V, C]
# that they are put together of; then ``window`` is not empty.

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
    kept. With a window, :math:`\mathbf{h}` is not kept either, but put together by
    :func:`combine` each time.

    Args:
        h (Tensor): The sums of windows, or the parts that :func:`combine` takes.
        mean, variance (Tensor): Those of each channel.
        eps (float): Added to the variance.
        gamma, beta (Tensor): Scale and shift of each channel.
        weight (Tensor): The maps :math:`\mathbf{\Phi}_t`, side by side.
        bias (Tensor, optional): :math:`\mathbf{c}`.
        window (Window, optional): The window of the parts. (default: :obj:`None`)
        training (bool, optional): Mean and variance are those of :math:`\mathbf{h}`
            (:func:`window_moments`), and gradients flow through them.
            (default: :obj:`False`)

    Shapes:
        - **h:** :math:`(B, T', V, \tau, C)`, with a window :math:`(B, T, 2 V, C)`
        - **mean, variance, gamma, beta:** :math:`(C)`
        - **weight:** :math:`(C', \tau C)`
        - **output:** :math:`(B, T', V, C')`
    """
    weight = weight.to(h.dtype)
    rstd = (variance + eps).rsqrt()
    size = list(window or ())
    out = _collapse(h, mean, rstd, gamma, beta, weight, size, training)
    return out if bias is None else out.add_(bias.to(out.dtype))


def window_moments(h: Tensor, window: Window | None = None) -> tuple[Tensor, Tensor]:
    """Mean and variance (biased) of each channel over clips, windows, joints and
    frames, for :func:`collapse_windows`; no gradients."""
    return _moments(h.detach(), list(window or ()))


def _slots(h: Tensor, window: Sequence[int]) -> Tensor:
    return combine(h, Window(*window)) if window else h


def _moved(h: Tensor, window: Sequence[int], scale: Tensor, shift: Tensor) -> Tensor:
    """The sums of windows, scaled and shifted; a new tensor."""
    h = h.to(scale.dtype)
    if not window:
        return torch.addcmul(shift, h, scale)
    # The parts are smaller than what they are put together to.
    return combine(h * scale, Window(*window), shift)


def _size(h: Tensor, window: Sequence[int]) -> tuple[int, int, int]:
    """Windows, joints and frames per window."""
    if window:
        return Window(*window).count(h.size(1)), h.size(2) // 2, window[0]
    return h.size(1), h.size(2), h.size(3)


def _per_clip(h: Tensor, window: Sequence[int]) -> int:
    windows, joints, tau = _size(h, window)
    return windows * joints * tau * h.size(-1)


@torch.library.custom_op('pyg_msg3d::window_moments', mutates_args=())
def _moments(h: Tensor, window: Sequence[int]) -> tuple[Tensor, Tensor]:
    means, variances, counts = [], [], []
    for part in chunks(h.size(0), _per_clip(h, window), h):
        s = _slots(h[part], window).flatten(0, -2).to(wide(h))
        variance, mean = torch.var_mean(s, 0, correction=0)
        means.append(mean.double())
        variances.append(variance.double())
        counts.append(s.size(0))
    share = torch.tensor(counts, dtype=torch.double, device=h.device)
    share = (share / share.sum()).unsqueeze(1)
    each, spread = torch.stack(means), torch.stack(variances)
    mean = (share * each).sum(0)
    variance = (share * (spread + (each - mean).square())).sum(0)
    return mean.to(wide(h)), variance.to(wide(h))


@_moments.register_fake
def _(h: Tensor, window: Sequence[int]) -> tuple[Tensor, Tensor]:
    moments = h.new_empty(2, h.size(-1), dtype=wide(h))
    return moments[0].clone(), moments[1].clone()


@torch.library.custom_op('pyg_msg3d::collapse_windows', mutates_args=())
def _collapse(
    h: Tensor,
    mean: Tensor,
    rstd: Tensor,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    window: Sequence[int],
    training: bool,
) -> Tensor:
    windows, joints, _ = _size(h, window)
    # The result first: what is computed on the way then leaves no holes behind it.
    out = h.new_empty(h.size(0), windows, joints, weight.size(0))
    scale = gamma * rstd
    shift = beta - mean * scale
    for part in chunks(h.size(0), _per_clip(h, window), h):
        y = _moved(h[part], window, scale, shift)
        out[part] = linear(y.relu_().to(h.dtype).flatten(-2), weight)
    return out


@_collapse.register_fake
def _(
    h: Tensor,
    mean: Tensor,
    rstd: Tensor,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    window: Sequence[int],
    training: bool,
) -> Tensor:
    windows, joints, _ = _size(h, window)
    return h.new_empty(h.size(0), windows, joints, weight.size(0))


@torch.library.custom_op('pyg_msg3d::collapse_windows_backward', mutates_args=())
def _collapse_backward(
    grad: Tensor,
    h: Tensor,
    mean: Tensor,
    rstd: Tensor,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    window: Sequence[int],
    training: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dtype = wide(h)
    to_h = torch.empty_like(h, memory_format=torch.contiguous_format)
    to_gamma, to_beta = torch.zeros_like(mean), torch.zeros_like(mean)
    to_weight = torch.zeros_like(weight, dtype=dtype)
    parts = chunks(h.size(0), _per_clip(h, window), h)
    normalised, rectified = mean, mean  # Of the last chunk.
    # The gradient to h needs the sums over all clips: a first round for these.
    for part in parts:
        normalised = _moved(h[part], window, rstd, -mean * rstd)
        y = torch.addcmul(beta, normalised, gamma).relu_()
        low = y.to(h.dtype).flatten(-2)
        to_y, mine = linear_backward(grad[part], low, weight)
        to_weight += mine
        rectified = to_y.view(y.shape).to(dtype) * (y > 0)
        to_beta += rectified.flatten(0, -2).sum(0)
        to_gamma += (rectified * normalised).flatten(0, -2).sum(0)
    windows, joints, tau = _size(h, window)
    count = h.size(0) * windows * joints * tau
    for part in parts:
        if len(parts) > 1:
            normalised = _moved(h[part], window, rstd, -mean * rstd)
            positive = torch.addcmul(beta, normalised, gamma) > 0
            to_y = linear(grad[part], weight.t())
            rectified = to_y.view(positive.shape).to(dtype) * positive
        if training:
            rectified -= torch.addcmul(to_beta / count, normalised, to_gamma / count)
        to_slots = rectified.mul_(gamma * rstd).to(h.dtype)
        if window:
            to_slots = combine_backward(to_slots, Window(*window), h.size(1))
        to_h[part] = to_slots
    return to_h, to_gamma, to_beta, to_weight.to(weight.dtype)


@_collapse_backward.register_fake
def _(
    grad: Tensor,
    h: Tensor,
    mean: Tensor,
    rstd: Tensor,
    gamma: Tensor,
    beta: Tensor,
    weight: Tensor,
    window: Sequence[int],
    training: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    like = (h, mean, mean, weight)
    a, b, c, d = (x.new_empty(x.shape) for x in like)
    return a, b, c, d


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    *tensors, ctx.window, ctx.training = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, grad: Tensor) -> tuple:
    tensors = ctx.saved_tensors
    to_h, to_gamma, to_beta, to_weight = _collapse_backward(
        grad.contiguous(), *tensors, ctx.window, ctx.training
    )
    _, _, rstd, gamma, *_ = tensors
    # Of a batch's own mean nothing depends on where it lies.
    to_mean = torch.zeros_like(to_beta) if ctx.training else -to_beta * gamma * rstd
    return to_h, to_mean, None, to_gamma, to_beta, to_weight, None, None


_collapse.register_autograd(_differentiate, setup_context=_save)


@register_flop_formula(torch.ops.pyg_msg3d.collapse_windows)
def _(
    h: Shape,
    mean: Shape,
    rstd: Shape,
    gamma: Shape,
    beta: Shape,
    weight: Shape,
    *args: Any,
    out_shape: Shape,
    **kwargs: Any,
) -> int:
    return 2 * prod(out_shape) * weight[1]
