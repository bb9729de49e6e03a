from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import Adj, OptPairTensor, OptTensor, SparseTensor
from torch_geometric.utils import is_sparse

from pyg_msg3d.nn.scale_linear import ScaleLinear
from pyg_msg3d.ops import (
    BACKENDS,
    Window,
    aggregate,
    choose_backend,
    csr_product,
    dense_product,
    torch_sparse_product,
)


class MultiScaleMessagePassing(MessagePassing):
    r"""The sum over scales that MS-GCN and G3D share,

    .. math::
        \mathbf{y}_v = \sum_{k=0}^{K-1} \sum_{u} [\mathbf{A}_{(k)}]_{v,u} \,
        \mathbf{\Theta}_{(k)} \mathbf{x}_u,

    as one message passing. With :math:`K` slots per source, lifted features
    :math:`\mathbf{h}_{(u,k)} = \mathbf{\Theta}_{(k)} \mathbf{x}_u` travel along
    the bipartite edges :math:`(u, k) \to v`. With :math:`K` slots per target,
    plain features travel along :math:`u \to (v, k)` and one linear map collapses
    the slots. Both give the same; the narrower features travel.

    The graph is given in one of three forms:

    * edges: :obj:`edge_index`, their scales :obj:`edge_type` and their weights
      :obj:`edge_weight`, as :func:`~pyg_msg3d.graph.disentangle` returns them;
    * a sparse :obj:`adj_t` of shape :math:`(V, V K)`, column :math:`u K + k`, as
      :class:`torch_sparse.SparseTensor` or torch sparse tensor;
    * a floating-point matrix of that shape, for adjacencies that are full.

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
        edge_index: Adj,
        edge_type: OptTensor = None,
        edge_weight: OptTensor = None,
        window: Window | None = None,
    ) -> Tensor:
        r"""The sum over scales: :math:`(*, V, C)` to :math:`(*, V, C')`, over
        windows :math:`(*, T, V, C)` to :math:`(*, T', \tau V, C')`."""
        self.lin.materialize(x)
        num_nodes = x.size(-2) * (window.size if window else 1)
        # The narrower features travel.
        lift_first = self.lin.in_channels >= self.lin.out_channels // self.num_scales

        if is_sparse(edge_index):
            self._check_matrix(edge_index, num_nodes)
            if self._takes_matrix(edge_index):
                h = self.lin.lift(x)
                h = window.unfold(h) if window else h
                return self.propagate(edge_index, x=(h, None), edge_weight=None)
            edge_index, edge_type, edge_weight = self._to_edges(edge_index)
        elif edge_index.is_floating_point():
            self._check_matrix(edge_index, num_nodes)
            matrix = edge_index
            if lift_first:
                return dense_product(self.lin.lift(x), matrix, window)
            # Rows (v, k) instead of columns (u, k).
            slots = matrix.unflatten(1, (num_nodes, -1)).transpose(1, 2).flatten(0, 1)
            return self.lin.collapse(dense_product(x, slots, window))

        self._check_edges(edge_index, edge_type, edge_weight)
        source, target = edge_index[0], edge_index[1]
        if edge_type is None:  # One scale only.
            edge_type = torch.zeros_like(source)
        if lift_first:
            h, source = self.lin.lift(x), source * self.num_scales + edge_type
            num_targets = num_nodes
        else:
            h, target = x, target * self.num_scales + edge_type
            num_targets = num_nodes * self.num_scales

        backend = self.backend
        num_sources = h.size(-2) * (window.size if window else 1)
        if backend == 'auto':
            entries = num_sources * num_targets
            backend = choose_backend(h, source.numel(), entries)
        if self.explain or backend == 'scatter':
            # Message by message, where PyG's hooks and explainers take hold.
            out = self.propagate(
                torch.stack([source, target]),
                x=(window.unfold(h) if window else h, None),
                edge_weight=edge_weight,
                size=(num_sources, num_targets),
            )
        else:
            out = aggregate(
                h, source, target, edge_weight, num_targets, window, backend
            )
        return out if lift_first else self.lin.collapse(out)

    def message(self, x_j: Tensor, edge_weight: OptTensor) -> Tensor:
        return x_j if edge_weight is None else edge_weight.view(-1, 1) * x_j

    def message_and_aggregate(self, adj_t: Adj, x: OptPairTensor) -> Tensor:
        if isinstance(adj_t, SparseTensor):
            return torch_sparse_product(adj_t, x[0])
        return csr_product(adj_t, x[0])

    # Forms of the graph -------------------------------------------------------

    def _takes_matrix(self, adj_t: Adj) -> bool:
        """Whether the sparse matrix goes to the backend as it is."""
        if self.explain:
            return False
        native = 'torch_sparse' if isinstance(adj_t, SparseTensor) else 'csr'
        fits = native == 'torch_sparse' or adj_t.layout == torch.sparse_csr
        return fits and self.backend in ('auto', native)

    def _to_edges(self, adj_t: Adj) -> tuple[Tensor, Tensor, OptTensor]:
        if isinstance(adj_t, SparseTensor):
            target, source, weight = adj_t.coo()
        else:
            adj_t = adj_t.to_sparse_coo().coalesce()
            (target, source), weight = adj_t.indices(), adj_t.values()
        edge_index = torch.stack([source // self.num_scales, target])
        return edge_index, source % self.num_scales, weight

    def _check_matrix(self, matrix: Adj, num_nodes: int) -> None:
        expected = [num_nodes, num_nodes * self.num_scales]
        size = list(
            matrix.sizes() if isinstance(matrix, SparseTensor) else matrix.shape
        )
        if size != expected:
            raise ValueError(
                f'Expected an adjacency of shape [{expected[0]}, {expected[1]}], '
                f'column u * num_scales + k, for {num_nodes} nodes and '
                f'{self.num_scales} scales (got {size})'
            )

    def _check_edges(
        self, edge_index: Tensor, edge_type: OptTensor, edge_weight: OptTensor
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
        for name, value in (('edge_type', edge_type), ('edge_weight', edge_weight)):
            if value is not None and value.shape != edge_index.shape[1:]:
                raise ValueError(
                    f"Expected '{name}' of shape [{edge_index.size(1)}], one entry "
                    f'per edge (got {list(value.shape)})'
                )
        # Reading the largest scale makes a GPU wait, and compiled code break.
        if edge_index.is_cuda or torch.compiler.is_compiling():
            return
        if edge_type is not None and edge_type.numel() > 0:
            highest = int(edge_type.max())
            if highest >= self.num_scales or int(edge_type.min()) < 0:
                raise ValueError(
                    f"'edge_type' must lie in 0 to {self.num_scales - 1}, for "
                    f'num_scales={self.num_scales} (got scales up to {highest}); '
                    f'build the graph with the same number of scales'
                )
