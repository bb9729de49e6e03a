"""The sums over windows that a graph in two factors leaves to be done."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.window import Window


def combine(parts: Tensor, window: Window, shift: Tensor | None = None) -> Tensor:
    r"""Puts together what all frames of a window share and what each has of its own,

    .. math::
        \mathbf{h}_{w,v,t} = \sum_{t' < \tau} \mathbf{z}_{w s + t' d - p,\, v} +
        \mathbf{u}_{w s + t d - p,\, v},

    which ends the aggregation along the edges of
    :func:`~pyg_msg3d.graph.factored_window`. A shift of each channel is added to all.

    Shapes:
        - **parts:** :math:`(B, T, 2 V, C)`: :math:`\mathbf{z}`, then
          :math:`\mathbf{u}`
        - **output:** :math:`(B, T', V, \tau, C)`
    """
    b, t, v, c = parts.size(0), parts.size(1), parts.size(2) // 2, parts.size(3)
    # Windows at the ends of a clip have frames beyond it.
    padded = F.pad(parts, (0, 0, 0, 0, window.padding, window.padding))
    windows = padded.unfold(1, window.span, window.stride)[..., :: window.dilation]
    shared = windows[:, :, :v].sum(-1)
    if shift is not None:
        shared += shift
    out = parts.new_empty(b, window.count(t), v, window.size, c)
    own = windows[:, :, v:].movedim(-1, 3)
    return torch.add(shared.unsqueeze(3), own, out=out)


def combine_backward(grad: Tensor, window: Window, num_frames: int) -> Tensor:
    """The gradient of :func:`combine` to its parts, for clips of so many frames."""
    b, _, v, _, c = grad.shape
    to_parts = grad.new_zeros(b, num_frames, 2 * v, c)
    shared = grad.sum(3)
    for slot in range(window.size):
        windows, frames = window.frames_of_slot(slot, num_frames)
        to_parts[:, frames, :v] += shared[:, windows]
        to_parts[:, frames, v:] += grad[:, windows, :, slot]
    return to_parts
