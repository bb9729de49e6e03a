"""Aggregation as a product with the full ``[num_targets, num_sources]`` matrix."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.window import Window


def to_matrix(
    source: Tensor, target: Tensor, weight: Tensor, num_sources: int, num_targets: int
) -> Tensor:
    """The matrix of the edges, ``[num_targets, num_sources]``; parallel edges add."""
    matrix = weight.new_zeros(num_targets * num_sources)
    matrix = matrix.index_add(0, target * num_sources + source, weight)
    return matrix.view(num_targets, num_sources)


def dense_product(x: Tensor, matrix: Tensor, window: Window | None = None) -> Tensor:
    r"""Multiplies every frame, or every window of frames, by one matrix.

    .. math::
        \mathbf{y}_i = \sum_j A_{ij} \, \mathbf{x}_j
        \qquad \text{or, over windows,} \qquad
        \mathbf{y}_{w,i} = \sum_{t < \tau} \sum_j
        A_{i, tS + j} \, \mathbf{x}_{w s + t d - p, j}.

    Over windows this is a convolution over time whose channels are the sources and
    targets, and whose image is frames times features: output channel :math:`i`, input
    channel :math:`j`, tap :math:`t` is :math:`A_{i, t S + j}`. No window is ever
    unfolded in memory, and on a CPU it is 2 to 3 times as fast as batched matrix
    products over gathered windows.

    Shapes:
        - **x:** :math:`(*, S, C)`, over windows :math:`(*, T, S, C)`
        - **matrix:** :math:`(S', S)`, over windows :math:`(S', \tau S)`
        - **output:** :math:`(*, S', C)`, over windows :math:`(*, T', S', C)`
    """
    if window is None:
        return torch.matmul(matrix, x)
    out = F.conv2d(
        as_image(x.reshape(-1, *x.shape[-3:])),
        as_taps(matrix, window),
        stride=(window.stride, 1),
        padding=(window.padding, 0),
        dilation=(window.dilation, 1),
    ).transpose(1, 2)
    return out.reshape(*x.shape[:-3], *out.shape[1:])


def as_image(x: Tensor) -> Tensor:
    """``[n, T, S, C]`` as a channels-last ``[n, S, T, C]``: one transposition within
    each frame, which the faster convolution more than pays for."""
    return x.transpose(2, 3).contiguous().permute(0, 3, 1, 2)


def as_taps(matrix: Tensor, window: Window) -> Tensor:
    """``[S', tau S]`` as the kernel ``[S', S, tau, 1]`` of that convolution."""
    taps = matrix.unflatten(1, (window.size, -1)).transpose(1, 2).unsqueeze(-1)
    return taps.contiguous()


def from_taps(taps: Tensor) -> Tensor:
    """The way back."""
    return taps.squeeze(-1).transpose(1, 2).flatten(1)
