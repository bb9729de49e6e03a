"""Shapes of what every joint has K of: row, or column, ``u K + k`` for joint ``u`` and
scale ``k``."""

from torch import Tensor


def to_slots(h: Tensor, num_scales: int) -> Tensor:
    r""":math:`(*, V, K C')` to :math:`(*, V K, C')`: of all maps of each joint,
    :math:`\mathbf{\Theta}_{(k)} \mathbf{x}_u` becomes row :math:`u K + k`."""
    return h.unflatten(-1, (num_scales, -1)).flatten(-3, -2)


def from_slots(h: Tensor, num_scales: int) -> Tensor:
    """``[*, V K, C]`` to ``[*, V, K C]``."""
    return h.unflatten(-2, (-1, num_scales)).flatten(-2)


def side_by_side(maps: Tensor, num_scales: int) -> Tensor:
    """``[K C', C]``, which lifts, to ``[C', K C]``, which adds slots up."""
    return maps.unflatten(0, (num_scales, -1)).transpose(0, 1).flatten(1)


def one_below_the_other(maps: Tensor, num_scales: int) -> Tensor:
    """The way back."""
    return maps.unflatten(1, (num_scales, -1)).transpose(0, 1).flatten(0, 1)
