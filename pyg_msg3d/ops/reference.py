r"""The operators of MS-G3D as the `"Disentangling and Unifying Graph Convolutions for
Skeleton-Based Action Recognition" <https://arxiv.org/abs/2003.14111>`_ paper defines
them: in plain torch, on any device, differentiable any number of times, under
:mod:`torch.func`, exportable. All fast ways are tested against these, and hand over to
these what they do not know."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.graph import ScaleGraph
from pyg_msg3d.ops.slots import to_slots
from pyg_msg3d.ops.window import Window, combine


def scale_sum(
    x: Tensor, maps: Tensor | None, graph: ScaleGraph, window: Window | None = None
) -> Tensor:
    r"""Equation (3), and over windows the sums in equation (5),

    .. math::
        \mathbf{Y} = \sum_{k=0}^{K-1} \mathbf{A}_{(k)} \, \mathbf{X} \,
        \mathbf{\Theta}_{(k)}^{\top}.

    Along edges, the message of each is added to its target. Without maps, ``x`` has a
    row for every joint and scale.

    Shapes:
        - **x:** :math:`(*, V, C)` or :math:`(*, V K, C)`; over windows
          :math:`(*, T, V, C)`
        - **maps:** :math:`\mathbf{\Theta}`, :math:`(K C', C)`
        - **output:** :math:`(*, S', C')`, over windows :math:`(*, T', S', C')`
    """
    x = x if window is None else window.unfold(x)
    k = graph.num_scales
    if graph.is_full and maps is not None:
        adjacency = graph.weight.unflatten(1, (-1, k)).permute(2, 0, 1).contiguous()
        thetas = maps.chunk(k)
        return sum(
            a @ x @ theta.t() for a, theta in zip(adjacency, thetas, strict=True)
        )  # type: ignore[return-value]
    slots = x if maps is None else to_slots(F.linear(x, maps), k)
    if graph.is_full:
        return graph.weight @ slots
    messages = graph.weight.unsqueeze(1) * slots.index_select(-2, graph.slot)
    shape = *x.shape[:-2], graph.num_targets, slots.size(-1)
    return messages.new_zeros(shape).index_add(-2, graph.target, messages)


def joint_maps(x: Tensor, maps: Tensor, diagonal: Tensor) -> Tensor:
    r"""Equation (3) where no joint sees another,

    .. math::
        \mathbf{y}_v = \sum_{k=0}^{K-1} d_{v,k} \, \mathbf{\Theta}_{(k)} \mathbf{x}_v.

    Shapes:
        - **x:** :math:`(*, V, C)`
        - **maps:** :math:`\mathbf{\Theta}`, :math:`(K C', C)`
        - **diagonal:** :math:`(V, K)`
        - **output:** :math:`(*, V, C')`
    """
    h = F.linear(x, maps).unflatten(-1, (diagonal.size(1), -1))
    return (diagonal.unsqueeze(-1) * h).sum(-2)


def collapse(
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
    window: Window | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    r"""The rest of equation (5), and equation (6): batch normalisation, ReLU, and the
    linear map that collapses the :math:`\tau` frames of each window,

    .. math::
        \mathbf{y}_{w,v} = \sum_{t<\tau} \mathbf{\Phi}_t \, \mathrm{ReLU} \left(
        \boldsymbol{\gamma} \, \frac{\mathbf{h}_{w,v,t} + \mathbf{b} -
        \boldsymbol{\mu}}{\sqrt{\boldsymbol{\sigma}^2 + \epsilon}} +
        \boldsymbol{\beta} \right) + \mathbf{c}.

    Mean and variance are those of :math:`\mathbf{h} + \mathbf{b}` where they are not
    given; they are the second and third result. With ``own``, :math:`\mathbf{h}` comes
    in two parts, see :func:`~pyg_msg3d.ops.combine`.

    Shapes:
        - **h:** :math:`(*, T', V, \tau, C)`, in two parts :math:`(*, T', V, C)`
        - **own:** :math:`(*, T, V, C)`
        - **bias, gamma, beta, mean, variance:** :math:`(C)`
        - **weight, shift:** :math:`\mathbf{\Phi}` :math:`(C', \tau C)` and
          :math:`\mathbf{c}` :math:`(C')`
        - **output:** :math:`(*, T', V, C')`
    """
    h = h if own is None or window is None else combine(h, own, window)
    h = h if bias is None else h + bias.to(h.dtype)
    y, mean, variance = normalised(h, gamma, beta, eps, mean, variance)
    shift = None if shift is None else shift.to(weight.dtype)
    return F.linear(y.relu().flatten(-2), weight, shift), mean, variance


def ms_tcn(
    x: Tensor,
    maps: Tensor,
    bias: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    last: Tensor,
    gammas: Sequence[Tensor],
    betas: Sequence[Tensor],
    eps: Sequence[float],
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    r"""The MS-TCN of figure 3(c), normalised by the statistics of the batch: a
    pointwise map, batch normalisation and ReLU, then in each branch a dilated temporal
    convolution, in one the maximum over three frames; all branches side by side, with
    the ``last`` that is done already, are normalised likewise. Means and variances of
    both normalisations are the other results.

    Shapes:
        - **x:** :math:`(B, T, V, C_{in})`
        - **maps, bias:** :math:`(C, C_{in})` and :math:`(C)`
        - **weights:** :math:`(W, W, L, 1)` each, :math:`L` odd
        - **last:** :math:`(B, T', V, C'')`
        - **output:** :math:`(B, T', V, C + C'')`
    """
    y = F.linear(x, maps, bias.to(x.dtype))
    settings = eps[0], stride, dilations
    out, mean, variance = branches(
        y, weights, biases, last, gammas[0], betas[0], *settings
    )
    out, end_mean, end_variance = normalised(out, gammas[1], betas[1], eps[1])
    return out, mean, variance, end_mean, end_variance


def branches(
    y: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    last: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    stride: int,
    dilations: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    r"""The branches of :func:`ms_tcn` side by side, of the mapped features
    :math:`(B, T, V, C)`, and mean and variance of these."""
    y, mean, variance = normalised(y, gamma, beta, eps)
    *dilated, highest = y.relu().permute(0, 3, 1, 2).split(weights[0].size(0), 1)
    outs = []
    for branch, kernel, b, d in zip(dilated, weights, biases, dilations, strict=True):
        padding = d * (kernel.size(2) // 2), 0
        outs.append(F.conv2d(branch, kernel, b, (stride, 1), padding, (d, 1)))
    outs.append(F.max_pool2d(highest, (3, 1), (stride, 1), (1, 0)))
    out = torch.cat([branch.permute(0, 2, 3, 1) for branch in outs] + [last], -1)
    return out, mean, variance


def normalised(
    h: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    mean: Tensor | None = None,
    variance: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalisation of the last dimension, with the statistics that it is by: in
    float32 at least."""
    wide = h.to(torch.promote_types(h.dtype, gamma.dtype))
    if mean is None or variance is None:
        variance, mean = torch.var_mean(wide, list(range(h.dim() - 1)), correction=0)
    y = (wide - mean) * (variance + eps).rsqrt() * gamma + beta
    return y.to(h.dtype), mean, variance
