"""The sum over scales where no joint sees another."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyg_msg3d.ops import batched, reference
from pyg_msg3d.ops.kernels.memory import empty
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
    own = _of_joints(maps, diagonal)
    out = empty(x, *x.shape[:-1], own.size(1))
    # One joint after the other, where its results belong: side by side they would have
    # to be transposed in memory.
    for mine, features, result in zip(own, _joints(x), _joints(out), strict=True):
        torch.mm(features, mine.t(), out=result)
    return out


def _backward(
    grad: Tensor, kept: list[Tensor], given: _Given, needed: list[bool]
) -> list[Tensor | None]:
    x, maps, diagonal = given
    own = _of_joints(maps, diagonal)
    to_x, to_own = empty(x, *x.shape), torch.empty_like(own)
    for v, (above, below, found) in enumerate(
        zip(_joints(grad), _joints(x), _joints(to_x), strict=True)
    ):
        torch.mm(above, own[v], out=found)
        torch.mm(above.t(), below, out=to_own[v])
    to_maps = torch.mm(diagonal.t(), to_own.flatten(1)).view(maps.shape)
    to_diagonal = None
    if needed[2]:
        to_diagonal = torch.mm(to_own.flatten(1), maps.view(diagonal.size(1), -1).t())
    return [to_x, to_maps, to_diagonal]


def _of_joints(maps: Tensor, diagonal: Tensor) -> Tensor:
    """The maps of all joints ``[V, C', C]``."""
    each = torch.mm(diagonal, maps.view(diagonal.size(1), -1))
    return each.view(diagonal.size(0), -1, maps.size(1))


def _joints(x: Tensor) -> Sequence[Tensor]:
    """``[B, T, V, C]`` joint by joint, ``[B T, C]`` each."""
    return x.flatten(0, 1).unbind(1)


def _work(given: _Given) -> tuple[float, float]:
    x, maps, diagonal = given
    each = 2 * maps.numel() * diagonal.size(0)
    apply = 2 * x[..., 0].numel() * maps.numel() / diagonal.size(1)
    return each + apply, 2 * each + 2 * apply


_joint_maps = Operator(
    'joint_maps', _Given, _forward, _backward,
    lambda given: reference.joint_maps(*given), _work, lowered=_Given._fields,
    batched=lambda given: batched.joint_maps(*given),
)  # fmt: skip
