"""The branches of an MS-TCN in training, with less kept for the backward pass."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.chunks import as_autocast, wide


def temporal_branches(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    last: Tensor,
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    r"""What the branches of an MS-TCN do between their pointwise maps and their
    concatenation, figure 3(c) of the `"Disentangling and Unifying Graph Convolutions
    for Skeleton-Based Action Recognition" <https://arxiv.org/abs/2003.14111>`_ paper:
    batch normalisation by the statistics of the batch and ReLU, then in each branch a
    dilated temporal convolution, or the maximum over three frames.

    Their inputs, and where the maxima lie, are computed again in the backward pass:
    next to :math:`\mathbf{x}` and the result nothing is kept.

    Args:
        x (Tensor): The branches side by side, that of the maximum last.
        gamma, beta (Tensor): Scale and shift of each channel.
        eps (float): Added to the variance.
        weights, biases (list of Tensor): The temporal convolutions.
        last (Tensor): The branch that is done already.
        stride (int): Temporal stride.
        dilations (list of int): The dilation of each convolution.

    Shapes:
        - **x:** :math:`(B, C, T, V)`, channels last in memory
        - **weights:** :math:`(W, W, L, 1)` each, :math:`L` odd
        - **last:** :math:`(B, C'', T', V)`
        - **output:** all branches :math:`(B, C + C'', T', V)`, and the mean and
          variance (biased) of each channel of :math:`\mathbf{x}`
    """
    weights = [as_autocast(weight).to(x.dtype) for weight in weights]
    biases = [as_autocast(bias).to(x.dtype) for bias in biases]
    out, mean, rstd = _branches(
        x, gamma, beta, eps, weights, biases, last, stride, dilations
    )
    return out, mean, rstd.pow(-2) - eps


def _settings(
    weight: Tensor, stride: int, dilation: int
) -> tuple[list[int], list[int], list[int]]:
    """Stride, padding and dilation of a temporal convolution that is centred."""
    return [stride, 1], [dilation * (weight.size(2) // 2), 0], [dilation, 1]


@torch.library.custom_op('pyg_msg3d::temporal_branches', mutates_args=())
def _branches(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    last: Tensor,
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    y, mean, rstd = torch.native_batch_norm(x, gamma, beta, None, None, True, 0.0, eps)
    *branches, highest = y.relu_().split(weights[0].size(0), 1)
    outs = []
    for branch, weight, bias, dilation in zip(
        branches, weights, biases, dilations, strict=True
    ):
        step, padding, spread = _settings(weight, stride, dilation)
        outs.append(F.conv2d(branch, weight, bias, step, padding, spread))
    outs.append(F.max_pool2d(highest, (3, 1), (stride, 1), (1, 0)))
    out = torch.cat([*outs, last], dim=1)
    return out.contiguous(memory_format=torch.channels_last), mean, rstd


@_branches.register_fake
def _(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    last: Tensor,
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    b, c, t, v = last.shape
    out = x.new_empty(b, t, v, x.size(1) + c).permute(0, 3, 1, 2)
    moments = x.new_empty(2, x.size(1), dtype=wide(x))
    return out, moments[0].clone(), moments[1].clone()


@torch.library.custom_op('pyg_msg3d::temporal_branches_backward', mutates_args=())
def _branches_backward(
    grad: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: Sequence[Tensor],
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor, list[Tensor], list[Tensor]]:
    y = F.batch_norm(x, mean, rstd.pow(-2) - eps, gamma, beta, eps=eps).relu_()
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
    mine = grad[:, x.size(1) - width : x.size(1)]
    to_highest.copy_(
        torch.ops.aten.max_pool2d_with_indices_backward(mine, highest, *window, where)
    )
    to_y = torch.ops.aten.threshold_backward(to_y, y, 0)
    to_x, to_gamma, to_beta = torch.ops.aten.native_batch_norm_backward(
        to_y, x, gamma, None, None, mean, rstd, True, eps, [True, True, True]
    )
    return to_x, to_gamma, to_beta, to_weights, to_biases


@_branches_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    weights: Sequence[Tensor],
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor, list[Tensor], list[Tensor]]:
    of_weights = [weight.new_empty(weight.shape) for weight in weights]
    of_biases = [weight.new_empty(weight.size(0)) for weight in weights]
    of_channels = torch.empty_like(gamma), torch.empty_like(beta)
    return torch.empty_like(x), *of_channels, of_weights, of_biases


def _save(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
    x, gamma, beta, ctx.eps, weights, _, _, ctx.stride, ctx.dilations = inputs
    _, mean, rstd = output
    ctx.save_for_backward(x, mean, rstd, gamma, beta, *weights)
    ctx.mark_non_differentiable(mean, rstd)


def _differentiate(ctx: Any, grad: Tensor, *_: Tensor) -> tuple:
    x, mean, rstd, gamma, beta, *weights = ctx.saved_tensors
    grad = grad.contiguous(memory_format=torch.channels_last)
    to_x, to_gamma, to_beta, to_weights, to_biases = _branches_backward(
        grad, x, mean, rstd, gamma, beta, ctx.eps, weights, ctx.stride, ctx.dilations
    )
    to_last = grad[:, x.size(1) :]
    return to_x, to_gamma, to_beta, None, to_weights, to_biases, to_last, None, None


_branches.register_autograd(_differentiate, setup_context=_save)
