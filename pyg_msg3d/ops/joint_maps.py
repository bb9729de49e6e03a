"""The sum over scales where no joint sees another."""

from typing import NamedTuple

import torch
from torch import Tensor

from pyg_msg3d.ops import reference
from pyg_msg3d.ops.operator import Operator


def joint_maps(x: Tensor, maps: Tensor, diagonal: Tensor) -> Tensor:
    """Equation, arguments and shapes are those of
    :func:`pyg_msg3d.ops.reference.joint_maps`, the features :math:`(B, T, V, C)`. All
    scales of a joint are one map of its own, applied to all its frames; since these
    maps are many times the size of the weights, they are not kept."""
    return _joint_maps(x, maps, diagonal.to(x.dtype))


class _Given(NamedTuple):
    x: Tensor
    maps: Tensor
    diagonal: Tensor


def _forward(given: _Given) -> Tensor:
    x, maps, diagonal = given
    return torch.einsum('btvc,ovc->btvo', x, _of_joints(maps, diagonal)).contiguous()


def _backward(
    grad: Tensor, kept: list[Tensor], given: _Given, needed: list[bool]
) -> list[Tensor | None]:
    x, maps, diagonal = given
    to_x = torch.einsum('btvo,ovc->btvc', grad, _of_joints(maps, diagonal))
    to_each = torch.einsum('btvo,btvc->ovc', grad, x)
    to_maps = torch.matmul(diagonal.t(), to_each)  # [C', K, C]
    to_diagonal = None
    if needed[2]:
        thetas = maps.unflatten(0, (diagonal.size(1), -1))
        to_diagonal = torch.einsum('ovc,koc->vk', to_each, thetas)
    return [to_x, to_maps.transpose(0, 1).flatten(0, 1), to_diagonal]


def _of_joints(maps: Tensor, diagonal: Tensor) -> Tensor:
    """The maps of all joints ``[C', V, C]``."""
    # Not one wide product, for which BLAS libraries keep much memory.
    return torch.matmul(
        diagonal, maps.unflatten(0, (diagonal.size(1), -1)).transpose(0, 1)
    )


def _work(given: _Given) -> tuple[float, float]:
    x, maps, diagonal = given
    each = 2 * maps.numel() * diagonal.size(0)
    apply = 2 * x[..., 0].numel() * maps.numel() / diagonal.size(1)
    return each + apply, 2 * each + 2 * apply


_joint_maps = Operator(
    'joint_maps', _Given, _forward, _backward,
    lambda given: reference.joint_maps(*given), _work, lowered=_Given._fields,
)  # fmt: skip
