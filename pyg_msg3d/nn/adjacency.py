import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch.nn.functional import pad

from pyg_msg3d.ops import ScaleGraph, choose_backend

_EDGES = ScaleGraph._fields[:-3]


class ScaleAdjacency(Module):
    r"""A fixed multi-scale graph with the learned residual of section 3.2 of the
    `"Disentangling and Unifying Graph Convolutions for Skeleton-Based Action
    Recognition" <https://arxiv.org/abs/2003.14111>`_ paper,
    :math:`\mathbf{\hat{A}}_{(k)} + \mathbf{R}_{(k)}`.

    Args:
        edge_index (Tensor): The edges :math:`(2, E)` from :math:`S` sources to
            :math:`S'` targets.
        edge_type (Tensor): Their scales.
        edge_weight (Tensor): Their weights.
        num_sources (int): The number of sources :math:`S`.
        num_targets (int): The number of targets :math:`S'`.
        num_scales (int): The number of scales :math:`K`.
        residual (bool): Whether every entry of every scale from a source to the first
            :math:`S` targets is learned.

    Returns of a call:
        What an operator takes as its graph: a full matrix :math:`(S', S K)`, or
        without a residual, where a sparse product is faster, a
        :class:`~pyg_msg3d.ops.ScaleGraph`.
    """

    matrix: Tensor
    residual: Parameter | None

    def __init__(
        self,
        edge_index: Tensor,
        edge_type: Tensor,
        edge_weight: Tensor,
        num_sources: int,
        num_targets: int,
        num_scales: int,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.sizes = num_sources, num_targets, num_scales
        source, target = edge_index
        graph = ScaleGraph.build(source, target, edge_type, edge_weight, *self.sizes)
        # The graph comes from the skeleton, so it stays out of checkpoints.
        if not residual:
            for name, value in zip(_EDGES, graph[:-3], strict=True):
                self.register_buffer(name, value, persistent=False)
            self.register_parameter('residual', None)
        else:
            self.register_buffer('matrix', graph.to_matrix(), persistent=False)
            self.residual = Parameter(
                torch.empty(num_sources, num_sources * num_scales)
            )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the residual anew: next to nothing, as the authors do."""
        if self.residual is not None:
            torch.nn.init.uniform_(self.residual, -1e-6, 1e-6)

    def forward(self) -> Tensor | ScaleGraph:
        """The graph, in a form that the operators take."""
        if self.residual is None:
            edges = [getattr(self, name) for name in _EDGES]
            graph = ScaleGraph(*edges, *self.sizes)  # type: ignore[call-arg]
            return graph.to_matrix() if self._is_full(graph) else graph
        num_sources, num_targets, _ = self.sizes
        residual: Tensor = self.residual
        if num_targets > num_sources:
            residual = pad(residual, (0, 0, 0, num_targets - num_sources))
        return self.matrix + residual

    def _is_full(self, graph: ScaleGraph) -> bool:
        """Whether the product with the full matrix is faster."""
        entries = graph.num_sources * graph.num_scales * graph.num_targets
        return choose_backend(graph.weight, graph.weight.numel(), entries) == 'dense'

    def extra_repr(self) -> str:
        """What a printed model says of it."""
        return 'sources={}, targets={}, scales={}, residual={}'.format(
            *self.sizes, self.residual is not None
        )
