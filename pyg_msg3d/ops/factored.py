import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.window import Window


def combine(parts: Tensor, window: Window) -> Tensor:
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
    p = window.padding
    frames = F.pad(parts, (0, 0, 0, 0, p, p))
    slots = frames.unfold(1, window.span, window.stride)[..., :: window.dilation]
    shared, own = slots.chunk(2, 2)
    return shared.sum(-1).unsqueeze(3) + own.movedim(-1, 3)
