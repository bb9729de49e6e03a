"""The sums over windows that a graph in two factors leaves to be done."""

import torch
from torch import Tensor

from pyg_msg3d.ops.window import Window


def combine_window(parts: Tensor, window: Window) -> Tensor:
    r"""Puts together what all frames of a window share and what each has of its own,

    .. math::
        \mathbf{h}_{w,v,t} = \sum_{t' < \tau} \mathbf{z}_{w s + t' d - p,\, v} +
        \mathbf{u}_{w s + t d - p,\, v},

    which ends the aggregation along the edges of
    :func:`~pyg_msg3d.graph.factored_window`.

    Shapes:
        - **parts:** :math:`(B, T, 2 V, C)`: :math:`\mathbf{z}`, then
          :math:`\mathbf{u}`
        - **output:** :math:`(B, T', V, \tau, C)`
    """
    return _Combine.apply(parts, window)


class _Combine(torch.autograd.Function):
    # By hand, since the gradient of each slice would be a full tensor of its own.

    @staticmethod
    def forward(ctx, parts: Tensor, window: Window) -> Tensor:
        ctx.window, ctx.size = window, parts.size(1)
        b, t, v, c = parts.size(0), parts.size(1), parts.size(2) // 2, parts.size(3)
        shared = parts.new_zeros(b, window.count(t), v, c)
        out = parts.new_empty(b, window.count(t), v, window.size, c)
        for slot in range(window.size):
            windows, frames = window.frames_of_slot(slot, t)
            shared[:, windows] += parts[:, frames, :v]
        for slot in range(window.size):
            windows, frames = window.frames_of_slot(slot, t)
            out[:, :, :, slot] = shared
            out[:, windows, :, slot] += parts[:, frames, v:]
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        window, t, v = ctx.window, ctx.size, grad.size(2)
        to_parts = grad.new_zeros(grad.size(0), t, 2 * v, grad.size(4))
        shared = grad.sum(3)
        for slot in range(window.size):
            windows, frames = window.frames_of_slot(slot, t)
            to_parts[:, frames, :v] += shared[:, windows]
            to_parts[:, frames, v:] += grad[:, windows, :, slot]
        return to_parts, None
