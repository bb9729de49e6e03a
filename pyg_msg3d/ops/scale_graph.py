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
        """Sorts edges given in any order; without scales, all have the same one.

        Raises:
            ValueError: If an edge refers to a node or scale that there is not.
            TypeError: If indices are no whole numbers, or weights are.
        """
        check_edges(source, target, scale, weight, num_sources, num_targets, num_scales)
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


def check_edges(
    source: Tensor,
    target: Tensor,
    scale: Tensor | None,
    weight: Tensor | None,
    num_sources: int,
    num_targets: int,
    num_scales: int = 1,
) -> None:
    r"""Refuses edges that do not fit a graph, before anything is read along them. On a
    GPU, and in compiled code, values are looked at there, without waiting for them.

    Raises:
        ValueError: If an edge refers to a node or scale that there is not, or lengths
            differ.
        TypeError: If indices are no whole numbers, or weights are.
    """
    for name, value in (
        ('edge_index', source), ('edge_index', target), ('edge_type', scale),
    ):  # fmt: skip
        if value is not None and value.dtype not in (torch.int64, torch.int32):
            raise TypeError(
                f"Expected '{name}' as whole numbers (got {value.dtype}). The order of "
                f'arguments is edge_index, edge_type, edge_weight'
            )
    if weight is not None and not weight.is_floating_point():
        raise TypeError(
            f"Expected 'edge_weight' as real numbers (got {weight.dtype}). The order "
            f'of arguments is edge_index, edge_type, edge_weight'
        )
    for name, value in (('edge_type', scale), ('edge_weight', weight)):
        if value is not None and value.shape != source.shape:
            raise ValueError(
                f"Expected '{name}' of shape [{source.numel()}], one entry per edge "
                f'(got {list(value.shape)})'
            )
    _check_range(source, num_sources, 'node', "the features' nodes")
    _check_range(target, num_targets, 'node', 'targets')
    if scale is not None:
        _check_range(scale, num_scales, 'scale', 'num_scales')


def _check_range(index: Tensor, size: int, what: str, whose: str) -> None:
    if not index.numel():
        return
    if index.device.type != 'cpu' or torch.compiler.is_compiling():
        if index.device.type != 'meta':
            fits = ((index >= 0) & (index < size)).all()
            torch._assert_async(fits, f'An edge refers to a {what} beyond {size - 1}')
        return
    low, high = (int(value) for value in index.aminmax())
    if low < 0 or high >= size:
        raise ValueError(
            f'The edges refer to {what} {low if low < 0 else high}, but {whose} are '
            f'{size}, numbered 0 to {size - 1}. Build the graph for as many'
        )


def pointers(rows: Tensor, num_rows: int) -> Tensor:
    """Where each row begins in a sorted list of rows."""
    return torch.searchsorted(rows, torch.arange(num_rows + 1, device=rows.device))
