from typing import Any, ClassVar, TypeGuard

import torch
from torch import Tensor
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import Adj, OptPairTensor, OptTensor, SparseTensor
from torch_geometric.utils import is_sparse

from pyg_msg3d.nn.scale_linear import ScaleLinear
from pyg_msg3d.ops import (
    BACKENDS,
    KERNELS,
    ScaleGraph,
    Window,
    aggregate,
    check_backend,
    check_edges,
    choose_backend,
    multi_scale_product,
    to_matrix,
    torch_sparse_product,
)


def is_full_matrix(graph: Adj | ScaleGraph) -> TypeGuard[Tensor]:
    """Whether a graph is given as a matrix that is not sparse."""
    return (
        isinstance(graph, Tensor)
        and graph.layout == torch.strided
        and graph.is_floating_point()
    )


class MultiScaleMessagePassing(MessagePassing):
    r"""The sum over scales that MS-GCN and G3D share,

    .. math::
        \mathbf{y}_v = \sum_{k=0}^{K-1} \sum_{u} [\mathbf{A}_{(k)}]_{v,u} \,
        \mathbf{\Theta}_{(k)} \mathbf{x}_u,

    as one message passing. With :math:`K` slots per source, lifted features
    :math:`\mathbf{h}_{(u,k)} = \mathbf{\Theta}_{(k)} \mathbf{x}_u` travel along
    the bipartite edges :math:`(u, k) \to v`. Most backends do both steps in one, see
    :func:`~pyg_msg3d.ops.multi_scale_product`.

    The graph is given in one of four forms:

    * edges: :obj:`edge_index`, their scales :obj:`edge_type` and their weights
      :obj:`edge_weight`, as :func:`~pyg_msg3d.graph.disentangle` returns them;
    * a sparse :obj:`adj_t` of shape :math:`(V, V K)`, column :math:`u K + k`, as
      :class:`torch_sparse.SparseTensor` or torch sparse tensor;
    * a floating-point matrix of that shape, for adjacencies that are full;
    * a :class:`~pyg_msg3d.ops.ScaleGraph`: the edges, sorted once for many calls.

    In MS-G3D's terms :math:`V` is the number of joints, or of the joints in all
    frames of a temporal window.
    """

    propagate_type: ClassVar = {'x': OptPairTensor, 'edge_weight': OptTensor}

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        num_scales: int,
        backend: str = 'auto',
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault('aggr', 'add')
        super().__init__(**kwargs)
        if num_scales < 1:
            raise ValueError(f"'num_scales' must be at least 1 (got {num_scales})")
        if backend not in ('auto', *BACKENDS):
            raise ValueError(
                f"Unknown backend '{backend}'; known ones: auto, {', '.join(BACKENDS)}"
            )
        if kwargs['aggr'] not in ('add', 'sum') or self.node_dim != -2:
            raise ValueError(
                f'{self.__class__.__name__} is a sum over the second-last dimension: '
                f"expected aggr='add' and node_dim=-2 (got aggr={kwargs['aggr']!r} "
                f'and node_dim={self.node_dim})'
            )
        if self.flow != 'source_to_target':
            raise ValueError(
                f"{self.__class__.__name__} expects flow='source_to_target' (got "
                f"'{self.flow}'); to reverse it, pass edge_index.flip(0)"
            )
        self.num_scales = num_scales
        self.backend = backend
        self.lin = ScaleLinear(in_channels, hidden_channels, num_scales)

    def multi_scale(
        self,
        x: Tensor,
        edge_index: Adj | ScaleGraph,
        edge_type: OptTensor = None,
        edge_weight: OptTensor = None,
        window: Window | None = None,
        num_targets: int | None = None,
    ) -> Tensor:
        r"""The sum over scales: :math:`(*, V, C)` to :math:`(*, V', C')`, over
        windows :math:`(*, T, V, C)` to :math:`(*, T', V', C')`. Without
        ``num_targets``, targets are the sources: :math:`V`, over windows
        :math:`\tau V`."""
        self._check_features(x, self.lin.in_channels, window)
        self.lin.materialize(x)
        weight = self.lin.weight
        num_sources = x.size(-2) * (window.size if window else 1)
        num_targets = num_sources if num_targets is None else num_targets

        graph: ScaleGraph | None = None
        if isinstance(edge_index, ScaleGraph):
            self._check_graph(edge_index, num_sources, num_targets)
            graph = edge_index
            edge_index, edge_type = graph.edge_index, graph.scale
            edge_weight = graph.weight
        elif is_sparse(edge_index):
            self._check_matrix(edge_index, num_sources, num_targets)
            if isinstance(edge_index, SparseTensor) and self._takes_sparse_tensor():
                h = self.lin.lift(x)
                h = window.unfold(h) if window else h
                return self.propagate(edge_index, x=(h, None), edge_weight=None)
            edge_index, edge_type, edge_weight = self._to_edges(edge_index)
        elif is_full_matrix(edge_index):
            self._check_matrix(edge_index, num_sources, num_targets)
            return multi_scale_product(x, weight, edge_index, window)
        else:
            self._check_edges(
                edge_index, edge_type, edge_weight, num_sources, num_targets
            )

        (source, target), k = edge_index, self.num_scales
        num_slots = num_sources * k
        backend = self.backend
        if backend == 'auto':
            backend = choose_backend(x, source.numel(), num_slots * num_targets)
        if self.explain:
            backend = 'scatter'
        check_backend(backend, x)
        if edge_weight is None:
            edge_weight = weight.new_ones(source.numel())
        if backend in KERNELS and window is None:
            if graph is None:
                graph = ScaleGraph.build(
                    source, target, edge_type, edge_weight, num_sources, num_targets, k
                )
            return multi_scale_product(x, weight, graph, kernel=backend)

        slot = source * k if edge_type is None else source * k + edge_type
        if backend == 'dense':
            matrix = to_matrix(slot, target, edge_weight, num_slots, num_targets)
            return multi_scale_product(x, weight, matrix, window)
        h = self.lin.lift(x)
        if backend != 'scatter':
            return aggregate(h, slot, target, edge_weight, num_targets, window, backend)
        # Message by message, where PyG's hooks and explainers take hold.
        return self.propagate(
            torch.stack([slot, target]),
            x=(window.unfold(h) if window else h, None),
            edge_weight=edge_weight,
            size=(num_slots, num_targets),
        )

    def message(self, x_j: Tensor, edge_weight: OptTensor) -> Tensor:
        return x_j if edge_weight is None else edge_weight.view(-1, 1) * x_j

    def message_and_aggregate(self, adj_t: Adj, x: OptPairTensor) -> Tensor:
        return torch_sparse_product(adj_t, x[0])

    def _check_features(
        self, x: Tensor, channels: int, window: Window | None = None
    ) -> None:
        axes = 'nodes, channels' if window is None else 'frames, nodes, channels'
        if not x.is_floating_point():
            raise TypeError(
                f'{self.__class__.__name__} expects features as real numbers (got '
                f'{x.dtype}); x.float() makes them so'
            )
        if x.dim() < (2 if window is None else 3) or channels not in (-1, x.size(-1)):
            shown = '' if channels == -1 else f' with {channels} channels'
            raise ValueError(
                f'{self.__class__.__name__} expects features [*, {axes}]{shown} (got '
                f'{list(x.shape)})'
            )

    # Forms of the graph -------------------------------------------------------

    def _takes_sparse_tensor(self) -> bool:
        """Whether torch-sparse multiplies by its matrix as it is."""
        return not self.explain and self.backend in ('auto', 'torch_sparse')

    def _to_edges(self, adj_t: Adj) -> tuple[Tensor, Tensor, OptTensor]:
        if isinstance(adj_t, SparseTensor):
            target, source, weight = adj_t.coo()
        else:
            adj_t = adj_t.to_sparse_coo().coalesce()
            (target, source), weight = adj_t.indices(), adj_t.values()
        edge_index = torch.stack([source // self.num_scales, target])
        return edge_index, source % self.num_scales, weight

    def _check_matrix(self, matrix: Adj, num_sources: int, num_targets: int) -> None:
        expected = [num_targets, num_sources * self.num_scales]
        size = list(
            matrix.sizes() if isinstance(matrix, SparseTensor) else matrix.shape
        )
        if size != expected:
            raise ValueError(
                f'Expected an adjacency of shape [{expected[0]}, {expected[1]}], '
                f'column u * num_scales + k, for {num_sources} nodes and '
                f'{self.num_scales} scales (got {size})'
            )

    def _check_graph(
        self, graph: ScaleGraph, num_sources: int, num_targets: int
    ) -> None:
        expected = (num_sources, num_targets, self.num_scales)
        if graph.sizes != expected:
            raise ValueError(
                'Expected a ScaleGraph of {} sources, {} targets and {} scales '
                '(got {}, {} and {})'.format(*expected, *graph.sizes)
            )

    def _check_edges(
        self,
        edge_index: Tensor,
        edge_type: OptTensor,
        edge_weight: OptTensor,
        num_sources: int,
        num_targets: int,
    ) -> None:
        if edge_index.dim() != 2 or edge_index.size(0) != 2:
            raise ValueError(
                f"Expected 'edge_index' of shape [2, num_edges] (got "
                f'{list(edge_index.shape)})'
            )
        if edge_type is None and self.num_scales > 1:
            raise ValueError(
                f"Expected 'edge_type', the scale of each edge, since there are "
                f'{self.num_scales} scales; pyg_msg3d.graph.disentangle returns it'
            )
        source, target = edge_index
        check_edges(
            source, target, edge_type, edge_weight, num_sources, num_targets,
            self.num_scales,
        )  # fmt: skip
