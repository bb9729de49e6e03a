"""Windows in two factors: what all their frames share, and what each has of its own."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.window import Window

# Windows summed up in one product: so few that the zeros in it cost little.
_MOST_WINDOWS = 64


def sum_windows(x: Tensor, window: Window) -> Tensor:
    r"""Sums over the frames of each window, zero beyond a clip,

    .. math::
        \mathbf{y}_{w,v} = \sum_{t < \tau} \mathbf{x}_{w s + t d - p,\, v},

    as products with the matrix that is one where a window has a frame.

    Shapes:
        - **x:** :math:`(*, T, V, C)`
        - **output:** :math:`(*, T', V, C)`
    """
    num_frames = x.size(-3)
    sums = []
    for windows in banded(window.count(num_frames)):
        frames = window.frames(windows, num_frames)
        w = window.matrix(windows, num_frames, x)
        sums.append(over_frames(w, x[..., frames, :, :]))
    return sums[0] if len(sums) == 1 else torch.cat(sums, -3)


def combine(shared: Tensor, own: Tensor, window: Window) -> Tensor:
    r"""Puts together what all frames of a window share and what each has of its own,

    .. math::
        \mathbf{h}_{w,v,t} = \mathbf{z}_{w,\, v} + \mathbf{u}_{w s + t d - p,\, v}.

    Shapes:
        - **shared:** :math:`\mathbf{z}`, :math:`(*, T', V, C)`
        - **own:** :math:`\mathbf{u}`, :math:`(*, T, V, C)`
        - **output:** :math:`(*, T', V, \tau, C)`
    """
    p = window.padding
    frames = F.pad(own, (0, 0, 0, 0, p, p))
    slots = frames.unfold(-3, window.span, window.stride)[..., :: window.dilation]
    return shared.unsqueeze(-2) + slots.movedim(-1, -2)


def banded(num_windows: int) -> list[slice]:
    """Some windows at a time."""
    most = _MOST_WINDOWS
    return [slice(i, min(i + most, num_windows)) for i in range(0, num_windows, most)]


def over_frames(w: Tensor, x: Tensor) -> Tensor:
    """``[n, F]`` times the frames of ``[*, F, V, C]``."""
    return torch.matmul(w, x.flatten(-2)).unflatten(-1, x.shape[-2:])
