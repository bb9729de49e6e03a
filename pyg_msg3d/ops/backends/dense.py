"""Aggregation as a product with the full ``[num_targets, num_sources]`` matrix."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.linear import convolves
from pyg_msg3d.ops.window import Window


def to_matrix(
    source: Tensor, target: Tensor, weight: Tensor, num_sources: int, num_targets: int
) -> Tensor:
    """The matrix of the edges, ``[num_targets, num_sources]``; parallel edges add."""
    matrix = weight.new_zeros(num_targets * num_sources)
    matrix = matrix.index_add(0, target * num_sources + source, weight)
    return matrix.view(num_targets, num_sources)


def dense_product(
    x: Tensor,
    matrix: Tensor,
    window: Window | None = None,
    out: Tensor | None = None,
) -> Tensor:
    r"""Multiplies every frame, or every window of frames, by one matrix.

    .. math::
        \mathbf{y}_i = \sum_j A_{ij} \, \mathbf{x}_j
        \qquad \text{or, over windows,} \qquad
        \mathbf{y}_{w,i} = \sum_{t < \tau} \sum_j
        A_{i, tS + j} \, \mathbf{x}_{w s + t d - p, j}.

    On AMD's CPUs products over windows are faster as a convolution over time, whose
    channels are the sources and targets, and whose image is frames times features:
    output channel :math:`i`, input channel :math:`j`, tap :math:`t` is
    :math:`A_{i, t S + j}`. Elsewhere they are one product for each :math:`t`, over all
    frames at once. Either way only windows of a few channels are unfolded in memory.
    The result over windows of clips of one dimension is written to ``out``, without
    gradients, if that is given.

    Shapes:
        - **x:** :math:`(*, S, C)`, over windows :math:`(*, T, S, C)`
        - **matrix:** :math:`(S', S)`, over windows :math:`(S', \tau S)`
        - **output:** :math:`(*, S', C)`, over windows :math:`(*, T', S', C)`
    """
    if window is None:
        return torch.matmul(matrix, x)
    clips = x.reshape(-1, *x.shape[-3:])
    if convolves(x):
        y = _convolved(clips, matrix, window)
    elif _is_narrow(x):
        y = _unfolded(clips, matrix, window)
    else:
        y = _by_taps(clips, matrix, window, out)
    if out is not None:
        return out if y is out else out.copy_(y)
    return y.view(*x.shape[:-3], *y.shape[1:])


def windows_backward(
    grad: Tensor, x: Tensor, matrix: Tensor, window: Window, needs_matrix: bool
) -> tuple[Tensor, Tensor | None]:
    """The gradients of :func:`dense_product` over windows, of one dimension of clips,
    to the features and, if needed, to the matrix."""
    if convolves(x):
        return _convolved_backward(grad, x, matrix, window, needs_matrix)
    if _is_narrow(x):
        return _unfolded_backward(grad, x, matrix, window, needs_matrix)
    return _by_taps_backward(grad, x, matrix, window, needs_matrix)


# Within frames ------------------------------------------------------------------------


def per_frame(matrix: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """``[S', S]`` times each of ``[n, S, C]``, in ``out`` if that is given."""
    if _is_narrow(x):
        y = matrix @ _side_by_side(x)
        y = y.unflatten(1, (x.size(0), -1)).transpose(0, 1)
        return y if out is None else out.copy_(y)
    # Not matmul, which transposes all features where a matrix is to be learned.
    each = matrix.expand(x.size(0), -1, -1)
    return torch.bmm(each, x) if out is None else torch.bmm(each, x, out=out)


def frames_backward(
    grad: Tensor, x: Tensor, matrix: Tensor, needs_matrix: bool
) -> tuple[Tensor, Tensor | None]:
    """The gradients of :func:`per_frame` to the features and, if needed, to the
    matrix."""
    to_x = per_frame(matrix.t(), grad)
    if not needs_matrix:
        return to_x, None
    if _is_narrow(x):
        return to_x, _side_by_side(grad) @ _side_by_side(x).t()
    return to_x, torch.bmm(grad, x.transpose(1, 2)).sum(0)


def _is_narrow(x: Tensor) -> bool:
    """Whether there are too few channels for a product per frame."""
    return x.size(-1) < 16


def _side_by_side(x: Tensor) -> Tensor:
    """``[n, S, C]`` to ``[S, n C]``."""
    return x.transpose(0, 1).flatten(1)


# Over windows of few channels, which are small ----------------------------------------


def _unfolded(x: Tensor, matrix: Tensor, window: Window) -> Tensor:
    windows = window.unfold(x)
    out = per_frame(matrix, windows.flatten(0, 1))
    return out.unflatten(0, windows.shape[:2])


def _unfolded_backward(
    grad: Tensor, x: Tensor, matrix: Tensor, window: Window, needs_matrix: bool
) -> tuple[Tensor, Tensor | None]:
    windows = window.unfold(x)
    to_windows, to_matrix = frames_backward(
        grad.flatten(0, 1), windows.flatten(0, 1), matrix, needs_matrix
    )
    to_windows = to_windows.unflatten(0, windows.shape[:2])
    to_x = torch.zeros_like(x)
    for slot, to_slot in enumerate(to_windows.chunk(window.size, 2)):
        mine, frames = window.tap(slot, x.size(1))
        to_x[:, frames] += to_slot[:, mine]
    return to_x, to_matrix


# As one product for each frame of a window --------------------------------------------


def _by_taps(
    x: Tensor, matrix: Tensor, window: Window, out: Tensor | None = None
) -> Tensor:
    shape = x.size(0), window.count(x.size(1)), matrix.size(0), x.size(-1)
    out = x.new_zeros(shape) if out is None else out.zero_()
    for slot, tap in enumerate(matrix.chunk(window.size, 1)):
        windows, frames = window.tap(slot, x.size(1))
        for clip in range(x.size(0)):
            mine = out[clip, windows]
            mine.baddbmm_(tap.expand(len(mine), -1, -1), x[clip, frames])
    return out


def _by_taps_backward(
    grad: Tensor, x: Tensor, matrix: Tensor, window: Window, needs_matrix: bool
) -> tuple[Tensor, Tensor | None]:
    to_x = torch.zeros_like(x)
    to_taps = []
    for slot, tap in enumerate(matrix.chunk(window.size, 1)):
        windows, frames = window.tap(slot, x.size(1))
        to_tap = torch.zeros_like(tap)
        for clip in range(x.size(0)):
            above, below = grad[clip, windows], x[clip, frames]
            # Not added in the product, which is slow where frames are skipped.
            to_x[clip, frames] += torch.bmm(tap.t().expand(len(above), -1, -1), above)
            if needs_matrix:
                to_tap += torch.bmm(above, below.transpose(1, 2)).sum(0)
        to_taps.append(to_tap)
    return to_x, torch.cat(to_taps, 1) if needs_matrix else None


# As a convolution ---------------------------------------------------------------------


def _convolved(x: Tensor, matrix: Tensor, window: Window) -> Tensor:
    out = F.conv2d(
        _as_image(x),
        _as_kernel(matrix, window),
        stride=(window.stride, 1),
        padding=(window.padding, 0),
        dilation=(window.dilation, 1),
    )
    return out.transpose(1, 2).contiguous()


def _convolved_backward(
    grad: Tensor, x: Tensor, matrix: Tensor, window: Window, needs_matrix: bool
) -> tuple[Tensor, Tensor | None]:
    to_x, to_kernel, _ = torch.ops.aten.convolution_backward(
        _as_image(grad),
        _as_image(x),
        _as_kernel(matrix, window),
        None,
        [window.stride, 1],
        [window.padding, 0],
        [window.dilation, 1],
        False,
        [0, 0],
        1,
        [True, needs_matrix, False],
    )
    to_x = to_x.transpose(1, 2).contiguous()
    if not needs_matrix:
        return to_x, None
    return to_x, to_kernel.squeeze(-1).transpose(1, 2).flatten(1)


def _as_image(x: Tensor) -> Tensor:
    """``[n, T, S, C]`` as a channels-last ``[n, S, T, C]``: one transposition within
    each frame, which the faster convolution more than pays for."""
    return x.transpose(2, 3).contiguous().permute(0, 3, 1, 2)


def _as_kernel(matrix: Tensor, window: Window) -> Tensor:
    """``[S', tau S]`` as the kernel ``[S', S, tau, 1]`` of that convolution."""
    taps = matrix.unflatten(1, (window.size, -1)).transpose(1, 2).unsqueeze(-1)
    return taps.contiguous()
