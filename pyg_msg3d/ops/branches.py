"""The branches of an MS-TCN in training, which keep their input alone."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.chunks import as_autocast, wide
from pyg_msg3d.ops.linear import linear, linear_backward


def temporal_branches(
    x: Tensor,
    maps: Tensor,
    bias: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    last: Tensor,
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    r"""What the branches of an MS-TCN do up to their concatenation, figure 3(c) of the
    `"Disentangling and Unifying Graph Convolutions for Skeleton-Based Action
    Recognition" <https://arxiv.org/abs/2003.14111>`_ paper: a pointwise map, batch
    normalisation by the statistics of the batch and ReLU, then in each branch a dilated
    temporal convolution, or the maximum over three frames.

    All that is computed again in the backward pass: next to :math:`\mathbf{x}` and the
    result nothing is kept.

    Args:
        x (Tensor): The features.
        maps (Tensor): The pointwise maps of the branches, one below the other, that of
            the maximum last.
        bias (Tensor): Their bias. Its gradient is zero, since the mean that is
            subtracted moves with it.
        gamma, beta (Tensor): Scale and shift of each channel.
        eps (float): Added to the variance.
        weights, biases (list of Tensor): The temporal convolutions.
        last (Tensor): The branch that is done already.
        stride (int): Temporal stride.
        dilations (list of int): The dilation of each convolution.

    Shapes:
        - **x:** :math:`(B, C_{in}, T, V)`, channels last in memory
        - **maps, bias:** :math:`(C, C_{in})` and :math:`(C)`
        - **weights:** :math:`(W, W, L, 1)` each, :math:`L` odd
        - **last:** :math:`(B, C'', T', V)`
        - **output:** all branches :math:`(B, C + C'', T', V)`, and the mean and
          variance (biased) of each mapped channel
    """
    x, maps, bias = as_autocast(x), as_autocast(maps), as_autocast(bias)
    weights = [as_autocast(weight).to(x.dtype) for weight in weights]
    biases = [as_autocast(bias).to(x.dtype) for bias in biases]
    last = last.to(x.dtype)
    out, mean, rstd = _branches(
        x, maps, bias, gamma, beta, eps, weights, biases, last, stride, dilations
    )
    return out, mean, rstd.pow(-2) - eps


def _mapped(x: Tensor, maps: Tensor, bias: Tensor) -> Tensor:
    """The branches side by side ``[B, C, T, V]``, channels last in memory."""
    return linear(x.permute(0, 2, 3, 1), maps, bias).permute(0, 3, 1, 2)


def _settings(
    weight: Tensor, stride: int, dilation: int
) -> tuple[list[int], list[int], list[int]]:
    """Stride, padding and dilation of a temporal convolution that is centred."""
    return [stride, 1], [dilation * (weight.size(2) // 2), 0], [dilation, 1]


@torch.library.custom_op('pyg_msg3d::temporal_branches', mutates_args=())
def _branches(
    x: Tensor,
    maps: Tensor,
    bias: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    last: Tensor,
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    # The result first: what is computed on the way then leaves no holes behind it.
    out = _empty(last, maps.size(0) + last.size(1))
    out[:, maps.size(0) :] = last
    inner = _mapped(x, maps, bias)
    y, mean, rstd = torch.native_batch_norm(
        inner, gamma, beta, None, None, True, 0.0, eps
    )
    width = weights[0].size(0)
    *branches, highest = y.relu_().split(width, 1)
    for i, (branch, dilation) in enumerate(zip(branches, dilations, strict=True)):
        step, padding, spread = _settings(weights[i], stride, dilation)
        mine = F.conv2d(branch, weights[i], biases[i], step, padding, spread)
        out[:, i * width : (i + 1) * width] = mine
    mine = F.max_pool2d(highest, (3, 1), (stride, 1), (1, 0))
    out[:, maps.size(0) - width : maps.size(0)] = mine
    return out, mean, rstd


def _empty(like: Tensor, channels: int) -> Tensor:
    """``[B, channels, T, V]``, channels last in memory."""
    b, _, t, v = like.shape
    return like.new_empty(b, t, v, channels).permute(0, 3, 1, 2)


@_branches.register_fake
def _(
    x: Tensor,
    maps: Tensor,
    bias: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    last: Tensor,
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    out = _empty(last, maps.size(0) + last.size(1))
    moments = x.new_empty(2, maps.size(0), dtype=wide(x))
    return out, moments[0].clone(), moments[1].clone()


@torch.library.custom_op('pyg_msg3d::temporal_branches_backward', mutates_args=())
def _branches_backward(
    grad: Tensor,
    x: Tensor,
    maps: Tensor,
    bias: Tensor,
    mean: Tensor,
    rstd: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: Sequence[Tensor],
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor, list[Tensor], list[Tensor]]:
    to_x = _empty(x, x.size(1))
    inner = _mapped(x, maps, bias)
    y = F.batch_norm(inner, mean, rstd.pow(-2) - eps, gamma, beta, eps=eps).relu_()
    to_y = torch.empty_like(y)
    width = weights[0].size(0)
    *branches, highest = y.split(width, 1)
    *to_branches, to_highest = to_y.split(width, 1)
    to_weights, to_biases = [], []
    for i, (weight, dilation) in enumerate(zip(weights, dilations, strict=True)):
        mine = grad[:, i * width : (i + 1) * width]
        to_branch, to_weight, to_bias = torch.ops.aten.convolution_backward(
            mine, branches[i], weight, [width], *_settings(weight, stride, dilation),
            False, [0, 0], 1, [True, True, True],
        )  # fmt: skip
        to_branches[i].copy_(to_branch)
        to_weights.append(to_weight.contiguous())
        to_biases.append(to_bias)
    window = [3, 1], [stride, 1], [1, 0], [1, 1], False
    _, where = torch.ops.aten.max_pool2d_with_indices(highest, *window)
    mine = grad[:, maps.size(0) - width : maps.size(0)]
    to_highest.copy_(
        torch.ops.aten.max_pool2d_with_indices_backward(mine, highest, *window, where)
    )
    torch.ops.aten.threshold_backward.grad_input(to_y, y, 0, grad_input=to_y)
    # Here memory is at its highest.
    del y, branches, highest, to_branch
    to_inner, to_gamma, to_beta = torch.ops.aten.native_batch_norm_backward(
        to_y, inner, gamma, None, None, mean, rstd, True, eps, [True, True, True]
    )
    above, below, found = (t.permute(0, 2, 3, 1) for t in (to_inner, x, to_x))
    _, to_maps = linear_backward(above, below, maps, found)
    return to_x, to_maps.contiguous(), to_gamma, to_beta, to_weights, to_biases


@_branches_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    maps: Tensor,
    bias: Tensor,
    mean: Tensor,
    rstd: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: Sequence[Tensor],
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor, list[Tensor], list[Tensor]]:
    of_weights = [weight.new_empty(weight.shape) for weight in weights]
    of_biases = [weight.new_empty(weight.size(0)) for weight in weights]
    of_channels = torch.empty_like(gamma), torch.empty_like(beta)
    to_x = torch.empty_like(x, memory_format=torch.channels_last)
    return to_x, maps.new_empty(maps.shape), *of_channels, of_weights, of_biases


def _save(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
    x, maps, bias, gamma, beta, ctx.eps, weights, _, _, ctx.stride, ctx.dilations = (
        inputs
    )
    _, mean, rstd = output
    ctx.save_for_backward(x, maps, bias, mean, rstd, gamma, beta, *weights)
    ctx.mark_non_differentiable(mean, rstd)


def _differentiate(ctx: Any, grad: Tensor, *_: Tensor) -> tuple:
    x, maps, bias, mean, rstd, gamma, beta, *weights = ctx.saved_tensors
    grad = grad.contiguous(memory_format=torch.channels_last)
    to_x, to_maps, to_gamma, to_beta, to_weights, to_biases = _branches_backward(
        grad, x, maps, bias, mean, rstd, gamma, beta, ctx.eps, weights, ctx.stride,
        ctx.dilations,
    )  # fmt: skip
    to_last = grad[:, maps.size(0) :]
    of_norm = torch.zeros_like(bias), to_gamma, to_beta, None
    return to_x, to_maps, *of_norm, to_weights, to_biases, to_last, None, None


_branches.register_autograd(_differentiate, setup_context=_save)
