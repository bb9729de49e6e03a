"""An MS-TCN in training, which keeps its input and its result alone."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops import batched, reference
from pyg_msg3d.ops.kernels.linear import linear, linear_backward
from pyg_msg3d.ops.kernels.memory import empty, unviewed
from pyg_msg3d.ops.operator import Operator


def ms_tcn(*args: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    r"""What an MS-TCN does in training, figure 3(c) of the `"Disentangling and Unifying
    Graph Convolutions for Skeleton-Based Action Recognition"
    <https://arxiv.org/abs/2003.14111>`_ paper. Arguments, shapes and results are those
    of :func:`pyg_msg3d.ops.reference.ms_tcn`.

    All is computed again in the backward pass: next to the features and the last branch
    nothing is kept. Means and variances have no gradient as results. The
    gradients of both kinds of biases are zero, since the means that are subtracted move
    with them.
    """
    return _ms_tcn(*args)


class _Given(NamedTuple):
    x: Tensor
    maps: Tensor
    bias: Tensor
    weights: list[Tensor]
    biases: list[Tensor]
    last: Tensor
    gammas: list[Tensor]
    betas: list[Tensor]
    eps: list[float]
    stride: int
    dilations: list[int]


def _forward(given: _Given) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    x, maps, bias, *_, gammas, betas, eps, _, _ = given
    y, mean, rstd = _normalised(_mapped(x, maps), gammas[0], betas[0], eps[0])
    out, _ = _side_by_side(y.relu_(), given)
    out, end_mean, end_rstd = _normalised(out, gammas[1], betas[1], eps[1])
    variance, end_variance = (
        r.pow(-2) - e for r, e in zip((rstd, end_rstd), eps, strict=True)
    )
    # The bias comes before a normalisation: it moves the mean that is subtracted.
    out = unviewed(out.permute(0, 2, 3, 1))
    return out, mean + bias, variance, end_mean, end_variance


def _backward(
    grad: Tensor, kept: list[Tensor], given: _Given, needed: list[bool]
) -> list[Tensor | None]:
    x, maps, bias, weights, biases, _, gammas, betas, eps, stride, dilations = given
    mean, variance, end_mean, end_variance = kept
    to_x = empty(x, *x.shape)
    inner = _mapped(x, maps)
    mean = mean - bias
    y = F.batch_norm(inner, mean, variance, gammas[0], betas[0], eps=eps[0]).relu_()
    out, where = _side_by_side(y, given)
    grad, to_end_gamma, to_end_beta = _normalised_backward(
        grad.permute(0, 3, 1, 2), out, gammas[1], end_mean, end_variance, eps[1]
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
        to_weights.append(to_weight)
    to_highest = torch.ops.aten.max_pool2d_with_indices_backward(
        above, highest, *_pooling(stride), [1, 1], False, where
    )
    _through_relu(to_highest, highest)
    to_last = grad[:, y.size(1) :].permute(0, 2, 3, 1).contiguous()
    # Here memory is at its highest.
    del out, grad, grads, above, to_branch, to_highest
    to_inner, to_gamma, to_beta = _normalised_backward(
        y, inner, gammas[0], mean, variance, eps[0]
    )
    _, to_maps = linear_backward(to_inner.permute(0, 2, 3, 1), x, maps, to_x)
    return [
        to_x, to_maps, torch.zeros_like(bias), *to_weights,
        *(torch.zeros_like(bias) for bias in biases), to_last, to_gamma, to_end_gamma,
        to_beta, to_end_beta,
    ]  # fmt: skip


def _work(given: _Given) -> tuple[float, float]:
    work = 2 * given.x[..., 0].numel() * given.maps.numel()
    work += 2 * given.last[..., 0].numel() * sum(w.numel() for w in given.weights)
    return work, 3 * work


_ms_tcn = Operator(
    'ms_tcn', _Given, _forward, _backward, lambda given: reference.ms_tcn(*given),
    _work, lowered=('x', 'maps', 'weights', 'biases', 'last'), keeps=slice(1, None),
    batched=lambda given: batched.ms_tcn(*given),
)  # fmt: skip


# Steps of both passes, on channels-last ``[B, C, T, V]`` ------------------------------


def _mapped(x: Tensor, maps: Tensor) -> Tensor:
    """The branches side by side."""
    return linear(x, maps).permute(0, 3, 1, 2)


def _side_by_side(y: Tensor, given: _Given) -> tuple[Tensor, Tensor]:
    """All branches of the mapped and rectified features, and where the maxima are."""
    last, weights, stride = given.last, given.weights, given.stride
    # The result first: what is computed on the way then leaves no holes behind it.
    out = empty(last, *last.shape[:-1], y.size(1) + last.size(-1)).permute(0, 3, 1, 2)
    width = weights[0].size(0)
    *targets, target = out[:, : y.size(1)].split(width, 1)
    *branches, highest = y.split(width, 1)
    for i, dilation in enumerate(given.dilations):
        step, padding, spread = _settings(weights[i], stride, dilation)
        mine = F.conv2d(branches[i], weights[i], given.biases[i], step, padding, spread)
        targets[i].copy_(mine)
    mine, where = torch.ops.aten.max_pool2d_with_indices(highest, *_pooling(stride))
    target.copy_(mine)
    out[:, y.size(1) :] = last.permute(0, 3, 1, 2)
    return out, where


def _settings(
    weight: Tensor, stride: int, dilation: int
) -> tuple[list[int], list[int], list[int]]:
    """Stride, padding and dilation of a temporal convolution that is centred."""
    return [stride, 1], [dilation * (weight.size(2) // 2), 0], [dilation, 1]


def _pooling(stride: int) -> tuple[list[int], list[int], list[int]]:
    """Size, stride and padding of the maximum."""
    return [3, 1], [stride, 1], [1, 0]


def _normalised(
    x: Tensor, gamma: Tensor, beta: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """With its mean, and one over its standard deviation."""
    return torch.native_batch_norm(x, gamma, beta, None, None, True, 0.0, eps)


def _normalised_backward(
    grad: Tensor, x: Tensor, gamma: Tensor, mean: Tensor, variance: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients to the features, to gamma and to beta."""
    rstd = (variance + eps).rsqrt()
    return torch.ops.aten.native_batch_norm_backward(
        grad, x, gamma, None, None, mean, rstd, True, eps, [True] * 3
    )


def _through_relu(grad: Tensor, y: Tensor) -> None:
    """Replaces what a ReLU gave by the gradient to what it took."""
    torch.ops.aten.threshold_backward.grad_input(grad, y, 0, grad_input=y)
