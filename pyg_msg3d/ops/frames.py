"""The sum over scales of a full graph within frames, by kernels for GPUs."""

from typing import NamedTuple

import torch
from torch import Tensor

from pyg_msg3d.graph import ScaleGraph
from pyg_msg3d.ops import reference, trust
from pyg_msg3d.ops.operator import Operator
from pyg_msg3d.ops.policy import MOST_JOINTS


def takes(x: Tensor, graph: ScaleGraph) -> bool:
    """Whether there is a kernel for it here."""
    most = max(graph.num_sources, graph.num_targets)
    return most <= MOST_JOINTS and trust.has_kernels('frames', x)


def frames(x: Tensor, maps: Tensor, graph: ScaleGraph) -> Tensor:
    """Equation, arguments and shapes are those of
    :func:`pyg_msg3d.ops.reference.scale_sum`, of a full graph."""
    out = _frames(x.flatten(0, -3), maps, graph.weight, list(graph.sizes))
    return out.unflatten(0, x.shape[:-2])


class _Given(NamedTuple):
    x: Tensor
    maps: Tensor
    weight: Tensor
    sizes: list[int]

    @property
    def matrices(self) -> tuple[Tensor, Tensor]:
        """The maps ``[K, C', C]`` and the adjacencies ``[K, S', S]``."""
        k = self.sizes[2]
        maps = self.maps.contiguous().unflatten(0, (k, -1))
        adjacency = self.weight.unflatten(1, (-1, k)).permute(2, 0, 1)
        return maps, adjacency.to(self.x.dtype).contiguous()


def _forward(given: _Given) -> Tensor:
    from pyg_msg3d.ops.kernels import triton_frames as kernels

    return kernels.scale_sum(given.x.contiguous(), *given.matrices)


def _backward(
    grad: Tensor, kept: list[Tensor], given: _Given, needed: list[bool]
) -> list[Tensor | None]:
    from pyg_msg3d.ops.kernels import triton_frames as kernels

    x, (maps, adjacency) = given.x.contiguous(), given.matrices
    to_x = kernels.to_features(grad, maps, adjacency) if needed[0] else None
    to_maps = kernels.to_maps(grad, x, adjacency).flatten(0, 1).to(maps.dtype)
    to_weight = None
    if needed[2]:
        to_weight = kernels.to_adjacency(grad, x, maps).permute(1, 2, 0)
        to_weight = to_weight.flatten(1).to(given.weight.dtype)
    return [to_x, to_maps, to_weight]


def _by_definition(given: _Given) -> Tensor:
    graph = ScaleGraph.from_parts(given.weight, [], given.sizes)
    return reference.scale_sum(given.x, given.maps, graph)


def _work(given: _Given) -> tuple[float, float]:
    (num_frames, _, before), targets = given.x.shape, given.sizes[1]
    summed = 2 * num_frames * given.weight.numel() * before
    mapped = 2 * num_frames * targets * given.maps.numel()
    # Those to features and maps take as much as the sum itself, that to the graph, too.
    return summed + mapped, 3 * (summed + mapped)


_frames = Operator(
    'frames', _Given, _forward, _backward, _by_definition, _work,
    lowered=('x', 'maps', 'weight'),
)  # fmt: skip
trust.register(
    'frames', _frames,
    lambda: (
        torch.randn(9, 25, 20), torch.randn(60, 20), torch.randn(25, 50), [25, 25, 2],
    ),
)  # fmt: skip
