from typing import NamedTuple

import torch
from torch import Tensor

from pyg_msg3d.ops.backends.dense import to_matrix


class ScaleGraph(NamedTuple):
    """The edges of a multi-scale graph, sorted once for all the products that use them:
    in both directions, whichever end of an edge its scale goes to.

    Edges are in the order of their targets, then scales, then sources, so that those
    of a target, and those of a target at one scale, lie side by side.
    """

    #: Weights of the edges ``[E]``.
    weight: Tensor
    #: Sources ``[E]``.
    source: Tensor
    #: Targets ``[E]``.
    target: Tensor
    #: Scales ``[E]``.
    scale: Tensor
    #: Where the edges of target ``i`` at scale ``k`` begin: entry ``i K + k`` of
    #: ``[S' K + 1]``.
    rowptr: Tensor
    #: The edges in the order of their sources, then scales, then targets ``[E]``.
    order: Tensor
    #: Where, in that order, those of source ``u`` at scale ``k`` begin: entry
    #: ``u K + k`` of ``[S K + 1]``.
    colptr: Tensor
    num_sources: int
    num_targets: int
    num_scales: int

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Sources, targets and scales."""
        return self.num_sources, self.num_targets, self.num_scales

    @property
    def indices(self) -> tuple[Tensor, ...]:
        """All of it but weights and sizes."""
        return self[1:-3]

    @property
    def edge_index(self) -> Tensor:
        """The edges, as PyG has them ``[2, E]``."""
        return torch.stack([self.source, self.target])

    def to_matrix(self) -> Tensor:
        """The same as a full matrix ``[S', S K]``, column ``u K + k``."""
        slot = self.source * self.num_scales + self.scale
        num_slots = self.num_sources * self.num_scales
        return to_matrix(slot, self.target, self.weight, num_slots, self.num_targets)

    @classmethod
    def build(
        cls,
        source: Tensor,
        target: Tensor,
        scale: Tensor | None,
        weight: Tensor,
        num_sources: int,
        num_targets: int,
        num_scales: int = 1,
    ) -> 'ScaleGraph':
        """Sorts edges given in any order; without scales, all have the same one."""
        scale = torch.zeros_like(source) if scale is None else scale
        k = num_scales
        sort = ((target * k + scale) * num_sources + source).argsort()
        source, target, scale = source[sort], target[sort], scale[sort]
        row, column = target * k + scale, source * k + scale
        order = (column * num_targets + target).argsort()
        return cls(
            weight[sort],
            source,
            target,
            scale,
            pointers(row, num_targets * k),
            order,
            pointers(column[order], num_sources * k),
            num_sources,
            num_targets,
            k,
        )


def pointers(rows: Tensor, num_rows: int) -> Tensor:
    """Where each row begins in a sorted list of rows."""
    return torch.searchsorted(rows, torch.arange(num_rows + 1, device=rows.device))
