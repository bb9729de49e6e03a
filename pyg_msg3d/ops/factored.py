"""The sums over windows that a graph in two factors leaves to be done."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.window import Window


def combine(parts: Tensor, window: Window, windows: slice | None = None) -> Tensor:
    r"""Puts together what all frames of a window share and what each has of its own,

    .. math::
        \mathbf{h}_{w,v,t} = \sum_{t' < \tau} \mathbf{z}_{w s + t' d - p,\, v} +
        \mathbf{u}_{w s + t d - p,\, v},

    which ends the aggregation along the edges of
    :func:`~pyg_msg3d.graph.factored_window`; for some ``windows`` only, or all.

    Shapes:
        - **parts:** :math:`(B, T, 2 V, C)`: :math:`\mathbf{z}`, then
          :math:`\mathbf{u}`
        - **output:** :math:`(B, T', V, \tau, C)`
    """
    b, t, v, c = parts.size(0), parts.size(1), parts.size(2) // 2, parts.size(3)
    windows = slice(0, window.count(t)) if windows is None else windows
    frames, zeros = window.frames(windows, t)
    inside = parts[:, frames]
    if any(zeros):
        inside = F.pad(inside, (0, 0, 0, 0, *zeros))
    slots = inside.unfold(1, window.span, window.stride)[..., :: window.dilation]
    shared, own = slots[:, :, :v].sum(-1), slots[:, :, v:].movedim(-1, 3)
    out = parts.new_empty(b, own.size(1), v, window.size, c)
    return torch.add(shared.unsqueeze(3), own, out=out)


def combine_backward(
    grad: Tensor, window: Window, num_frames: int, windows: slice
) -> tuple[slice, Tensor]:
    """The frames of a clip that some windows have, and the gradient of
    :func:`combine` to their parts."""
    b, n, v, _, c = grad.shape
    frames, zeros = window.frames(windows, num_frames)
    inside = frames.stop - frames.start
    to_parts = grad.new_zeros(b, sum(zeros) + inside, 2 * v, c)
    shared = grad.sum(3)
    for slot in range(window.size):
        first = slot * window.dilation
        to_slot = to_parts[:, first : first + n * window.stride : window.stride][:, :n]
        to_slot[:, :, :v] += shared
        to_slot[:, :, v:] += grad[:, :, :, slot]
    return frames, to_parts.narrow(1, zeros[0], inside)
