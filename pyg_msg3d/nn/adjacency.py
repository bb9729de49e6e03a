import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch.nn.functional import pad

from pyg_msg3d.graph import ScaleGraph
from pyg_msg3d.ops import chosen

_INDICES = 'source', 'target', 'scale', 'rowptr', 'order', 'colptr'


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
        A :class:`~pyg_msg3d.graph.ScaleGraph`: with a residual a full matrix, else
        edges, sorted.
    """

    weight: Tensor
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
        graph = ScaleGraph.of(
            edge_index,
            edge_type,
            edge_weight,
            num_sources=num_sources,
            num_targets=num_targets,
            num_scales=num_scales,
        )
        self._hold(graph.full() if residual else graph.sorted())
        self.residual = None
        if residual:
            self.residual = Parameter(
                torch.empty(num_sources, num_sources * num_scales)
            )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the residual anew: next to nothing, as the authors do."""
        if self.residual is not None:
            torch.nn.init.uniform_(self.residual, -1e-6, 1e-6)

    def forward(self) -> ScaleGraph:
        """The graph, as operators take it."""
        indices = [getattr(self, name) for name in _INDICES if hasattr(self, name)]
        graph = ScaleGraph.from_parts(self.weight, indices, self.sizes)
        if self.residual is None:
            return graph
        num_sources, num_targets, _ = self.sizes
        residual: Tensor = self.residual
        if num_targets > num_sources:
            residual = pad(residual, (0, 0, 0, num_targets - num_sources))
        # On another device only where the model is on none.
        matrix = graph.weight.to(residual.device) + residual
        return ScaleGraph.from_parts(matrix, [], self.sizes)

    def freeze(self, backend: str) -> None:
        """Computes the graph once, for inference alone, in the form that a backend
        takes."""
        graph = self()
        graph = (
            graph.full() if chosen(backend, graph.weight, graph) == 'dense' else graph
        )
        for name in _INDICES:
            self._buffers.pop(name, None)
        self._hold(graph)
        self.residual = None

    def _hold(self, graph: ScaleGraph) -> None:
        # Graphs come from the skeleton, so they stay out of checkpoints. On no device,
        # where they could not be had again, they stay as they are.
        device = torch.empty(0).device
        graph = graph if device.type == 'meta' else graph.to(device)
        self.register_buffer('weight', graph.weight.detach(), persistent=False)
        for name, part in zip(_INDICES, graph.indices, strict=False):
            self.register_buffer(name, part, persistent=False)

    def extra_repr(self) -> str:
        """What a printed model says of it."""
        return 'sources={}, targets={}, scales={}, residual={}'.format(
            *self.sizes, self.residual is not None
        )
