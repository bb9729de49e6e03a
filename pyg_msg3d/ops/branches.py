"""An MS-TCN in training, which keeps its input and its result alone."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.chunks import as_autocast, wide
from pyg_msg3d.ops.linear import linear, linear_backward
from pyg_msg3d.ops.results import empty


def temporal_branches(
    x: Tensor,
    maps: Tensor,
    bias: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    last: Tensor,
    residual: Tensor | None,
    gammas: Sequence[Tensor],
    betas: Sequence[Tensor],
    eps: Sequence[float],
    stride: int,
    dilations: Sequence[int],
    activation: bool = True,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    r"""What an MS-TCN does in training, figure 3(c) of the `"Disentangling and Unifying
    Graph Convolutions for Skeleton-Based Action Recognition"
    <https://arxiv.org/abs/2003.14111>`_ paper: a pointwise map, batch normalisation by
    the statistics of the batch and ReLU, then in each branch a dilated temporal
    convolution, or the maximum over three frames; all branches side by side are
    normalised likewise, and the residual is added.

    All that is computed again in the backward pass: next to :math:`\mathbf{x}`, the
    last branch and the result nothing is kept.

    Args:
        x (Tensor): The features.
        maps (Tensor): The pointwise maps of the branches, one below the other, that of
            the maximum last.
        bias (Tensor): Their bias.
        weights, biases (list of Tensor): The temporal convolutions.
        last (Tensor): The branch that is done already.
        residual (Tensor, optional): What is added.
        gammas, betas (list of Tensor): Scale and shift of each channel, after the
            pointwise maps and at the end.
        eps (list of float): Added to the variances there.
        stride (int): Temporal stride.
        dilations (list of int): The dilation of each convolution.
        activation (bool, optional): End with a ReLU. (default: :obj:`True`)

    The gradients of both kinds of biases are zero, since the means that are subtracted
    move with them.

    Shapes:
        - **x:** :math:`(B, C_{in}, T, V)`, channels last in memory
        - **maps, bias:** :math:`(C, C_{in})` and :math:`(C)`
        - **weights:** :math:`(W, W, L, 1)` each, :math:`L` odd
        - **last:** :math:`(B, C'', T', V)`
        - **output and residual:** :math:`(B, C + C'', T', V)`, with the output the
          means and (biased) variances of both normalisations
    """
    x, maps = as_autocast(x), as_autocast(maps)
    weights = [as_autocast(weight).to(x.dtype) for weight in weights]
    biases = [as_autocast(bias).to(x.dtype) for bias in biases]
    last = last.to(x.dtype)
    residual = None if residual is None else residual.to(x.dtype)
    out, *moments = _branches(
        x, maps, bias, weights, biases, last, residual, gammas, betas, eps, stride,
        dilations, activation,
    )  # fmt: skip
    means, rstds = moments[::2], moments[1::2]
    return out, means, [r.pow(-2) - e for r, e in zip(rstds, eps, strict=True)]


def _mapped(x: Tensor, maps: Tensor) -> Tensor:
    """The branches side by side ``[B, C, T, V]``, channels last in memory."""
    return linear(x.permute(0, 2, 3, 1), maps).permute(0, 3, 1, 2)


def _side_by_side(
    y: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    last: Tensor,
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """All branches of the mapped and rectified features, and where the maxima are."""
    # The result first: what is computed on the way then leaves no holes behind it.
    out = _empty(last, y.size(1) + last.size(1))
    width = weights[0].size(0)
    *targets, target = out[:, : y.size(1)].split(width, 1)
    *branches, highest = y.split(width, 1)
    for i, dilation in enumerate(dilations):
        step, padding, spread = _settings(weights[i], stride, dilation)
        mine = F.conv2d(branches[i], weights[i], biases[i], step, padding, spread)
        targets[i].copy_(mine)
    mine, where = torch.ops.aten.max_pool2d_with_indices(highest, *_pooling(stride))
    target.copy_(mine)
    out[:, y.size(1) :] = last
    return out, where


def _settings(
    weight: Tensor, stride: int, dilation: int
) -> tuple[list[int], list[int], list[int]]:
    """Stride, padding and dilation of a temporal convolution that is centred."""
    return [stride, 1], [dilation * (weight.size(2) // 2), 0], [dilation, 1]


def _pooling(stride: int) -> tuple[list[int], list[int], list[int]]:
    """Size, stride and padding of the maximum."""
    return [3, 1], [stride, 1], [1, 0]


@torch.library.custom_op('pyg_msg3d::temporal_branches', mutates_args=())
def _branches(
    x: Tensor,
    maps: Tensor,
    bias: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    last: Tensor,
    residual: Tensor | None,
    gammas: Sequence[Tensor],
    betas: Sequence[Tensor],
    eps: Sequence[float],
    stride: int,
    dilations: Sequence[int],
    activation: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    y, mean, rstd = _normalised(_mapped(x, maps), gammas[0], betas[0], eps[0])
    out, _ = _side_by_side(y.relu_(), weights, biases, last, stride, dilations)
    out, end_mean, end_rstd = _normalised(out, gammas[1], betas[1], eps[1])
    if residual is not None:
        out += residual
    out = out.relu_() if activation else out
    # The bias comes before a normalisation: it moves the mean that is subtracted.
    return out, mean + bias, rstd, end_mean, end_rstd


def _normalised(
    x: Tensor, gamma: Tensor, beta: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """With its mean, and one over its standard deviation."""
    return torch.native_batch_norm(x, gamma, beta, None, None, True, 0.0, eps)


def _empty(like: Tensor, channels: int) -> Tensor:
    """``[B, channels, T, V]``, channels last in memory."""
    b, _, t, v = like.shape
    return empty(like, b, t, v, channels).permute(0, 3, 1, 2)


@_branches.register_fake
def _(
    x: Tensor,
    maps: Tensor,
    bias: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    last: Tensor,
    residual: Tensor | None,
    gammas: Sequence[Tensor],
    betas: Sequence[Tensor],
    eps: Sequence[float],
    stride: int,
    dilations: Sequence[int],
    activation: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    out = _empty(last, maps.size(0) + last.size(1))
    sizes = maps.size(0), maps.size(0), out.size(1), out.size(1)
    a, b, c, d = (x.new_empty(size, dtype=wide(x)) for size in sizes)
    return out, a, b, c, d


@torch.library.custom_op('pyg_msg3d::temporal_branches_backward', mutates_args=())
def _branches_backward(
    grad: Tensor,
    x: Tensor,
    maps: Tensor,
    bias: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    last: Tensor,
    gammas: Sequence[Tensor],
    betas: Sequence[Tensor],
    eps: Sequence[float],
    means: Sequence[Tensor],
    rstds: Sequence[Tensor],
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, list[Tensor], Tensor, list[Tensor], list[Tensor]]:
    to_x = _empty(x, x.size(1))
    inner, mean = _mapped(x, maps), means[0] - bias
    y = F.batch_norm(
        inner, mean, rstds[0].pow(-2) - eps[0], gammas[0], betas[0], eps=eps[0]
    ).relu_()
    out, where = _side_by_side(y, weights, biases, last, stride, dilations)
    grad, to_end_gamma, to_end_beta = torch.ops.aten.native_batch_norm_backward(
        grad, out, gammas[1], None, None, means[1], rstds[1], True, eps[1], [True] * 3
    )
    width = weights[0].size(0)
    *branches, highest = y.split(width, 1)
    *grads, above = grad[:, : y.size(1)].split(width, 1)
    to_weights = []
    for i, dilation in enumerate(dilations):
        to_branch, to_weight, _ = torch.ops.aten.convolution_backward(
            grads[i], branches[i], weights[i], None,
            *_settings(weights[i], stride, dilation), False, [0, 0], 1,
            [True, True, False],
        )  # fmt: skip
        _through_relu(to_branch, branches[i])
        to_weights.append(to_weight.contiguous())
    to_highest = torch.ops.aten.max_pool2d_with_indices_backward(
        above, highest, *_pooling(stride), [1, 1], False, where
    )
    _through_relu(to_highest, highest)
    to_last = grad[:, y.size(1) :].contiguous(memory_format=torch.channels_last)
    # Here memory is at its highest.
    del out, grad, grads, above, to_branch, to_highest
    to_inner, to_gamma, to_beta = torch.ops.aten.native_batch_norm_backward(
        y, inner, gammas[0], None, None, mean, rstds[0], True, eps[0], [True] * 3
    )
    above, below, found = (t.permute(0, 2, 3, 1) for t in (to_inner, x, to_x))
    _, to_maps = linear_backward(above, below, maps, found)
    of_norms = [to_gamma, to_end_gamma], [to_beta, to_end_beta]
    return to_x, to_maps.contiguous(), to_weights, to_last, *of_norms


def _through_relu(grad: Tensor, y: Tensor) -> None:
    """Replaces what a ReLU gave by the gradient to what it took."""
    torch.ops.aten.threshold_backward.grad_input(grad, y, 0, grad_input=y)


@_branches_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    maps: Tensor,
    bias: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    last: Tensor,
    gammas: Sequence[Tensor],
    betas: Sequence[Tensor],
    eps: Sequence[float],
    means: Sequence[Tensor],
    rstds: Sequence[Tensor],
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, list[Tensor], Tensor, list[Tensor], list[Tensor]]:
    of_weights = [weight.new_empty(weight.shape) for weight in weights]
    to_x = torch.empty_like(x, memory_format=torch.channels_last)
    to_last = torch.empty_like(last, memory_format=torch.channels_last)
    of_norms = [g.new_empty(g.shape) for g in gammas], [g.clone() for g in gammas]
    return to_x, maps.new_empty(maps.shape), of_weights, to_last, *of_norms


def _save(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
    x, maps, bias, weights, biases, last, residual, gammas, betas, *settings = inputs
    out, *moments = output
    ctx.eps, ctx.stride, ctx.dilations, ctx.activation = settings
    ctx.num_weights, ctx.residual = len(weights), residual is not None
    rectified = [out] if ctx.activation else []
    ctx.save_for_backward(
        x, maps, bias, last, *moments, *gammas, *betas, *weights, *biases, *rectified
    )
    ctx.mark_non_differentiable(*moments)


def _differentiate(ctx: Any, grad: Tensor, *_: Tensor) -> tuple:
    x, maps, bias, last, *rest = ctx.saved_tensors
    moments, gammas, betas, rest = rest[:4], rest[4:6], rest[6:8], rest[8:]
    weights, biases = rest[: ctx.num_weights], rest[ctx.num_weights :]
    if ctx.activation:
        *biases, out = biases
        grad = torch.ops.aten.threshold_backward(grad, out, 0)
    to_residual = grad if ctx.residual else None
    to_x, to_maps, to_weights, to_last, to_gammas, to_betas = _branches_backward(
        grad.contiguous(memory_format=torch.channels_last), x, maps, bias, weights,
        biases, last, gammas, betas, ctx.eps, moments[::2], moments[1::2], ctx.stride,
        ctx.dilations,
    )  # fmt: skip
    return (
        to_x, to_maps, torch.zeros_like(bias), to_weights,
        [torch.zeros_like(bias) for bias in biases], to_last, to_residual, to_gammas,
        to_betas, None, None, None, None,
    )  # fmt: skip


_branches.register_autograd(_differentiate, setup_context=_save)
