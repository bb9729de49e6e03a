r"""The operators for a whole batch at once, as GPUs want them: products and
convolutions of vendors' libraries and what a compiler can fuse between them, as many
whatever the batch. Arguments, shapes and results are those of
:mod:`pyg_msg3d.ops.reference`.

Within, channels come before joints, ``[frames, C, V]``: then all scales and windows are
one convolution over time whose image is frames times channels, and whose channels are
the joints.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.graph import ScaleGraph
from pyg_msg3d.ops import frames
from pyg_msg3d.ops.fused_collapse import fused_collapse, takes, takes_parts
from pyg_msg3d.ops.slots import from_slots, side_by_side
from pyg_msg3d.ops.window import Window


def scale_sum(
    x: Tensor,
    maps: Tensor | None,
    graph: ScaleGraph,
    window: Window | None = None,
    lifts: bool = True,
) -> Tensor:
    """Of a full matrix: the K slots of each joint, once per frame, then their sums; or
    K sums at each target, and then their maps."""
    if window is None and maps is not None and frames.takes(x, graph):
        return frames.frames(x, maps, graph)
    k, tau = graph.num_scales, window.size if window else 1
    joints = x.transpose(-1, -2)
    # Columns (t, u, k) of the matrix.
    taps = graph.weight.unflatten(1, (tau, -1, k))
    if maps is None:
        return _sum(joints, taps.flatten(2), window)
    if lifts:
        slots = _map_channels(joints, _interleaved(maps, k))
        # Rows (c', k) of joints u.
        slots = slots.view(*x.shape[:-2], -1, k * x.size(-2))
        return _sum(slots, taps.transpose(2, 3).flatten(2), window)
    return F.linear(sums_by_scale(x, graph, window), side_by_side(maps, k))


def sums_by_scale(x: Tensor, graph: ScaleGraph, window: Window | None) -> Tensor:
    """The sums of a full matrix before their maps, ``[*, V, C]`` to ``[*, S', K C]``,
    over windows ``[*, T, V, C]`` to ``[*, T', S', K C]``."""
    k, tau = graph.num_scales, window.size if window else 1
    # Rows (i, k) and columns (t, u) of the matrix.
    taps = graph.weight.unflatten(1, (tau, -1, k)).permute(0, 3, 1, 2).flatten(0, 1)
    return from_slots(_sum(x.transpose(-1, -2), taps, window), k)


def _sum(x: Tensor, taps: Tensor, window: Window | None) -> Tensor:
    """``[*, C, S]`` by ``[S', 1, S]`` to ``[*, S', C]``; over windows ``[*, T, C, S]``
    by ``[S', tau, S]`` to ``[*, T', S', C]``."""
    if window is None:
        return F.linear(x, taps.squeeze(1)).transpose(-1, -2)
    image = x.contiguous().flatten(0, -4).permute(0, 3, 1, 2)
    kernel = taps.transpose(1, 2).contiguous().unsqueeze(-1)
    out = F.conv2d(
        image, kernel, None, (window.stride, 1), (window.padding, 0),
        (window.dilation, 1),
    )  # fmt: skip
    return out.permute(0, 2, 1, 3).unflatten(0, x.shape[:-3])


def joint_maps(x: Tensor, maps: Tensor, diagonal: Tensor) -> Tensor:
    """A product for each joint, all at once."""
    own = diagonal @ maps.unflatten(0, (diagonal.size(1), -1)).flatten(1)
    own = own.unflatten(1, (-1, x.size(-1))).transpose(1, 2)
    out = torch.bmm(x.flatten(0, 1).transpose(0, 1), own)
    return out.transpose(0, 1).unflatten(0, x.shape[:2])


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
    """A normalisation, a ReLU and one product."""
    given: dict[str, Any] = {
        'bias': bias, 'gamma': gamma, 'beta': beta, 'weight': weight, 'shift': shift,
        'mean': mean, 'variance': variance, 'eps': eps,
    }  # fmt: skip
    if own is None or window is None:
        tau, h = h.size(-2), h.transpose(-2, -3)
        if takes(h):
            lead, h = h.shape[:-4], h.flatten(-3, -2).flatten(0, -4)
            out, mean, variance = fused_collapse(
                h, None, None, window=Window(tau), **given
            )
            return out.unflatten(0, lead), mean, variance
    elif takes_parts(h):
        lead, h, own = h.shape[:-3], h.flatten(0, -4), own.flatten(0, -4)
        out, mean, variance = fused_collapse(h, None, own, window=window, **given)
        return out.unflatten(0, lead), mean, variance
    else:
        h = h.unsqueeze(-3) + torch.stack(window.slices(own), dim=-3)
    lead, (tau, num_joints, channels) = h.shape[:-3], h.shape[-3:]
    h = h.flatten(-3, -2).transpose(-1, -2).flatten(0, -3).contiguous()
    y, mean, variance = _normalised(h, bias, gamma, beta, eps, mean, variance)
    y = y.relu_().view(-1, channels * tau, num_joints)
    out = _map_channels(y, _interleaved(weight.t(), tau).t(), shift)
    return out.transpose(1, 2).unflatten(0, lead), mean, variance


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
    """One product for all branches, a convolution for each, one norm for all."""
    y = F.linear(x, maps).permute(0, 3, 1, 2)
    y, mean, variance = _normalised(y, bias, gammas[0], betas[0], eps[0])
    *dilated, highest = y.relu_().split(weights[0].size(0), 1)
    branches = []
    for branch, kernel, b, d in zip(dilated, weights, biases, dilations, strict=True):
        padding = d * (kernel.size(2) // 2), 0
        branches.append(F.conv2d(branch, kernel, b, (stride, 1), padding, (d, 1)))
    branches.append(F.max_pool2d(highest, (3, 1), (stride, 1), (1, 0)))
    out = torch.cat([*branches, last.permute(0, 3, 1, 2)], 1)
    out, end_mean, end_variance = _normalised(out, None, gammas[1], betas[1], eps[1])
    return out.permute(0, 2, 3, 1), mean, variance, end_mean, end_variance


def _map_channels(x: Tensor, maps: Tensor, shift: Tensor | None = None) -> Tensor:
    """``[*, C, V]`` to ``[frames, C', V]``, by ``[C', C]``."""
    x, maps = x.flatten(0, -3).contiguous(), maps.contiguous().unsqueeze(-1)
    return F.conv1d(x, maps, shift)


def _interleaved(maps: Tensor, first: int) -> Tensor:
    """Rows ``(i, j)`` in the order ``(j, i)``."""
    return maps.unflatten(0, (first, -1)).transpose(0, 1).flatten(0, 1)


def _normalised(
    h: Tensor,
    bias: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
    mean: Tensor | None = None,
    variance: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalisation of ``h + bias`` along dimension 1, and the statistics that it
    is by."""
    if mean is not None and variance is not None:
        if bias is not None:
            beta = beta + bias * gamma * (variance + eps).rsqrt()
        return F.batch_norm(h, mean, variance, gamma, beta, eps=eps), mean, variance
    # A bias moves the mean, which is subtracted: its gradient is zero.
    beta = beta if bias is None else beta + 0 * bias
    y, mean, rstd = torch.native_batch_norm(h, gamma, beta, None, None, True, 0.0, eps)
    mean = mean if bias is None else mean + bias
    return y, mean.detach(), (rstd.pow(-2) - eps).detach()
