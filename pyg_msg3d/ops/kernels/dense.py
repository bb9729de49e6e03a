r"""Products of every frame, or of every window of frames, with one full matrix,

.. math::
    \mathbf{y}_i = \sum_j A_{ij} \, \mathbf{x}_j
    \qquad \text{or, over windows,} \qquad
    \mathbf{y}_{w,i} = \sum_{t < \tau} \sum_j A_{i, tS + j} \,
    \mathbf{x}_{w s + t d - p, j},

from ``[n, S, C]`` and ``[S', S]`` to ``[n, S', C]``, over windows from ``[n, T, S, C]``
and ``[S', tau S]`` to ``[n, T', S', C]``. Windows are one product for each of their
frames, or a convolution; only those of a few channels are unfolded in memory.
"""

import torch
from torch import Tensor

from pyg_msg3d.ops.kernels import convolution
from pyg_msg3d.ops.policy import convolves, is_narrow
from pyg_msg3d.ops.window import Window

Gradients = tuple[Tensor, Tensor | None]


def product(
    x: Tensor, matrix: Tensor, window: Window | None, out: Tensor | None = None
) -> Tensor:
    """The product, in ``out`` if that is given."""
    if window is None:
        return _per_frame(matrix, x, out)
    if convolves(x):
        y = convolution.product(x, matrix, window)
    elif is_narrow(x):
        windows = window.unfold(x)
        y = _per_frame(matrix, windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
    else:
        return _by_taps(x, matrix, window, out)
    return y if out is None else out.copy_(y)


def backward(
    grad: Tensor, x: Tensor, matrix: Tensor, window: Window | None, needs_matrix: bool
) -> Gradients:
    """The gradients to the features and, if needed, to the matrix."""
    if window is None:
        return _per_frame_backward(grad, x, matrix, needs_matrix)
    if convolves(x):
        return convolution.backward(grad, x, matrix, window, needs_matrix)
    if is_narrow(x):
        return _unfolded_backward(grad, x, matrix, window, needs_matrix)
    return _by_taps_backward(grad, x, matrix, window, needs_matrix)


# Within frames ------------------------------------------------------------------------


def _per_frame(matrix: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    if is_narrow(x):
        y = matrix @ _side_by_side(x)
        y = y.unflatten(1, (x.size(0), -1)).transpose(0, 1)
        return y if out is None else out.copy_(y)
    # Not matmul, which transposes all features where a matrix is to be learned.
    each = matrix.expand(x.size(0), -1, -1)
    return torch.bmm(each, x) if out is None else torch.bmm(each, x, out=out)


def _per_frame_backward(
    grad: Tensor, x: Tensor, matrix: Tensor, needs_matrix: bool
) -> Gradients:
    to_x = _per_frame(matrix.t(), grad)
    if not needs_matrix:
        return to_x, None
    if is_narrow(x):
        return to_x, _side_by_side(grad) @ _side_by_side(x).t()
    return to_x, torch.bmm(grad, x.transpose(1, 2)).sum(0)


def _side_by_side(x: Tensor) -> Tensor:
    """``[n, S, C]`` to ``[S, n C]``."""
    return x.transpose(0, 1).flatten(1)


# Over windows -------------------------------------------------------------------------


def _unfolded_backward(
    grad: Tensor, x: Tensor, matrix: Tensor, window: Window, needs_matrix: bool
) -> Gradients:
    windows = window.unfold(x)
    to_windows, to_matrix = _per_frame_backward(
        grad.flatten(0, 1), windows.flatten(0, 1), matrix, needs_matrix
    )
    to_windows = to_windows.unflatten(0, windows.shape[:2])
    to_x = torch.zeros_like(x)
    for slot, to_slot in enumerate(to_windows.chunk(window.size, 2)):
        mine, frames = window.tap(slot, x.size(1))
        to_x[:, frames] += to_slot[:, mine]
    return to_x, to_matrix


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
) -> Gradients:
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
