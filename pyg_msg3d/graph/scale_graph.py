from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.typing import Adj, OptTensor, SparseTensor
from torch_geometric.utils import is_sparse


@dataclass(frozen=True)
class ScaleGraph:
    r"""A graph of :math:`K` scales from :math:`S` sources to :math:`S'` targets, as all
    operators take it: its edges, or where most of them are there, a full matrix.

    :meth:`of` makes one of every form that a layer takes. Edges that serve many calls
    are best sorted once, by :meth:`sorted`.
    """

    #: The weights of the edges ``[E]``, or the full matrix ``[S', S K]``, column
    #: ``u K + k``.
    weight: Tensor
    #: The sources of the edges ``[E]``; none of a full matrix.
    source: OptTensor
    #: The targets of the edges ``[E]``.
    target: OptTensor
    #: The scales of the edges ``[E]``.
    scale: OptTensor
    #: Once they are in the order of their targets, then scales, then sources: where
    #: those of target ``i`` at scale ``k`` begin, entry ``i K + k`` of ``[S' K + 1]``.
    rowptr: OptTensor
    #: The edges in the order of their sources, then scales, then targets ``[E]``.
    order: OptTensor
    #: Where, in that order, those of source ``u`` at scale ``k`` begin: entry
    #: ``u K + k`` of ``[S K + 1]``.
    colptr: OptTensor
    num_sources: int
    num_targets: int
    num_scales: int

    @classmethod
    def of(
        cls,
        graph: 'Adj | ScaleGraph',
        edge_type: OptTensor = None,
        edge_weight: OptTensor = None,
        *,
        num_sources: int,
        num_targets: int | None = None,
        num_scales: int = 1,
        dtype: torch.dtype | None = None,
    ) -> 'ScaleGraph':
        r"""Takes a graph in any form, and refuses what does not fit before anything is
        read along its edges.

        Args:
            graph: One of

                * :obj:`edge_index` :math:`(2, E)`, with the scales of the edges and
                  their weights (ones by default) in the next two arguments, as
                  :func:`~pyg_msg3d.graph.disentangle` returns them;
                * a sparse :obj:`adj_t` of shape :math:`(S', S K)`, column
                  :math:`u K + k`, as :class:`torch_sparse.SparseTensor` or torch sparse
                  tensor;
                * a floating-point matrix of that shape, for adjacencies that are full;
                * a :class:`ScaleGraph`, of these sizes.
            num_sources, num_targets, num_scales (int): Its sizes; as many targets as
                sources by default.
            dtype (torch.dtype, optional): Of weights that are not given.

        Raises:
            ValueError: If parts do not fit each other or the sizes, or an edge refers
                to a node or scale that there is not. On a GPU, and in compiled code,
                that is looked at there, without waiting for it.
            TypeError: If indices are no whole numbers, or weights are.
        """
        num_targets = num_sources if num_targets is None else num_targets
        sizes = num_sources, num_targets, num_scales
        if isinstance(graph, ScaleGraph):
            if graph.sizes != sizes:
                raise ValueError(
                    'Expected a ScaleGraph of {} sources, {} targets and {} scales '
                    '(got {}, {} and {})'.format(*sizes, *graph.sizes)
                )
            return graph
        if is_sparse(graph):
            _check_matrix(graph, *sizes)
            target, source, weight = _entries(graph)
            source, scale = source // num_scales, source % num_scales
            return cls.from_parts(weight, [source, target, scale], sizes)
        if graph.is_floating_point():
            _check_matrix(graph, *sizes)
            return cls.from_parts(graph, [], sizes)
        if graph.dim() != 2 or graph.size(0) != 2:
            raise ValueError(
                f"Expected 'edge_index' of shape [2, num_edges], or an adjacency as "
                f'real numbers (got {graph.dtype} of shape {list(graph.shape)})'
            )
        if edge_type is None and num_scales > 1:
            raise ValueError(
                f"Expected 'edge_type', the scale of each edge, since there are "
                f'{num_scales} scales; pyg_msg3d.graph.disentangle returns it'
            )
        source, target = graph.as_tensor() if isinstance(graph, EdgeIndex) else graph
        _check_edges(source, target, edge_type, edge_weight, *sizes)
        source, target, weight = source.long(), target.long(), edge_weight
        scale = torch.zeros_like(source) if edge_type is None else edge_type.long()
        if weight is None:
            weight = torch.ones(source.numel(), dtype=dtype, device=source.device)
        return cls.from_parts(weight, [source, target, scale], sizes)

    @classmethod
    def from_parts(
        cls, weight: Tensor, indices: Sequence[Tensor], sizes: Sequence[int]
    ) -> 'ScaleGraph':
        """What has these :attr:`indices`, of which there may be none, the first three,
        or all, and :attr:`sizes`."""
        missing = [None] * (6 - len(indices))
        return cls(weight, *indices, *missing, *sizes)  # type: ignore[arg-type]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Sources, targets and scales."""
        return self.num_sources, self.num_targets, self.num_scales

    @property
    def indices(self) -> list[Tensor]:
        """All of it but weights and sizes; nothing of a full matrix."""
        parts = [self.source, self.target, self.scale]
        parts += [self.rowptr, self.order, self.colptr]
        return [part for part in parts if part is not None]

    @property
    def is_full(self) -> bool:
        """Whether it is a full matrix."""
        return self.source is None

    @property
    def num_entries(self) -> int:
        """The entries of its full matrix."""
        return self.num_targets * self.num_sources * self.num_scales

    @property
    def slot(self) -> Tensor:
        """The source of each edge with its scale, ``u K + k``."""
        return self.source * self.num_scales + self.scale

    def to(self, target: torch.dtype | torch.device) -> 'ScaleGraph':
        """On another device, or with weights of another type."""
        weight, indices = self.weight.to(target), self.indices
        if isinstance(target, torch.device):
            indices = [part.to(target) for part in indices]
        return self.from_parts(weight, indices, self.sizes)

    def full(self) -> 'ScaleGraph':
        """As a full matrix; parallel edges add."""
        if self.is_full:
            return self
        size = self.num_targets, self.num_sources * self.num_scales
        entry = self.target * size[1] + self.slot
        matrix = self.weight.new_zeros(self.num_entries)
        matrix = matrix.index_add(0, entry, self.weight).view(size)
        return self.from_parts(matrix, [], self.sizes)

    def edges(self) -> 'ScaleGraph':
        """As edges: of a full matrix, one for each entry."""
        if not self.is_full:
            return self
        entry = torch.arange(self.num_entries, device=self.weight.device)
        slots = self.num_sources * self.num_scales
        target, slot = entry // slots, entry % slots
        source, scale = slot // self.num_scales, slot % self.num_scales
        weight = self.weight.flatten()
        return self.from_parts(weight, [source, target, scale], self.sizes)

    def sorted(self) -> 'ScaleGraph':
        """With its edges sorted for all the products that use them: in both directions,
        whichever end of an edge its scale goes to."""
        if self.is_full or self.rowptr is not None:
            return self
        k = self.num_scales
        row = self.target * k + self.scale
        sort = (row * self.num_sources + self.source).argsort()
        source, target, scale = (part[sort] for part in self.indices)
        row, column = row[sort], source * k + scale
        order = (column * self.num_targets + target).argsort()
        indices = [source, target, scale, pointers(row, self.num_targets * k)]
        indices += [order, pointers(column[order], self.num_sources * k)]
        return self.from_parts(self.weight[sort], indices, self.sizes)

    def joints_first(self, window_size: int) -> 'ScaleGraph':
        r"""With the targets of a window of :math:`\tau` frames in another order:
        :math:`v \tau + t` for joint :math:`v` of frame :math:`t`, not
        :math:`t V + v`, so that all that belongs to a joint lies side by side."""
        if self.is_full:
            rows = self.weight.unflatten(0, (window_size, -1)).transpose(0, 1)
            return self.from_parts(rows.flatten(0, 1), [], self.sizes)
        frame_size = self.num_targets // window_size
        target = self.target % frame_size * window_size + self.target // frame_size
        return self.from_parts(
            self.weight, [self.source, target, self.scale], self.sizes
        )

    def factors(self) -> tuple['ScaleGraph', Tensor]:
        r"""Of the two factors of a window's graph, see
        :func:`~pyg_msg3d.graph.factored_window`: what all frames share, from joints to
        joints, and of what each frame has of its own the diagonal :math:`(V, K)`, which
        is all of it."""
        num_joints, k = self.num_sources, self.num_scales
        sizes = num_joints, num_joints, k
        if self.is_full:
            first, own = self.weight.chunk(2)
            diagonal = own.unflatten(1, (num_joints, k)).diagonal().t()
            return self.from_parts(first, [], sizes), diagonal
        edges = self.sorted()
        source, target, scale, rowptr, order, colptr = edges.indices
        # How many there are of each kind is not asked for, which would wait for a GPU:
        # to what all frames share, edges of their own weigh nothing.
        of_own, weight = target >= num_joints, edges.weight
        entry = torch.where(of_own, source * k + scale, 0)
        diagonal = weight.new_zeros(num_joints * k)
        diagonal = diagonal.index_add(0, entry, torch.where(of_own, weight, 0))
        rows = rowptr[: num_joints * k + 1]
        indices = [source, target % num_joints, scale, rows, order, colptr]
        weight = torch.where(of_own, 0, weight)
        shared = self.from_parts(weight, indices, sizes)
        return shared, diagonal.view(num_joints, k)

    def unfactored(self, window_size: int) -> 'ScaleGraph':
        r"""The graph of a window of :math:`\tau` frames, full, from its two factors,
        see :func:`~pyg_msg3d.graph.factored_window`."""
        parts = self.full().weight.unflatten(1, (-1, self.num_scales))
        shared, own = (part[:, None] for part in parts.chunk(2))
        same = torch.eye(window_size, dtype=own.dtype, device=own.device)
        # [t', v, t, u, k].
        weight = shared + same[:, None, :, None, None] * own
        sizes = 2 * (window_size * self.num_sources,)
        return self.from_parts(
            weight.flatten(2).flatten(0, 1), [], (*sizes, self.num_scales)
        )


def pointers(rows: Tensor, num_rows: int) -> Tensor:
    """Where each row begins in a sorted list of rows."""
    return torch.searchsorted(rows, torch.arange(num_rows + 1, device=rows.device))


def _entries(adj_t: Adj) -> tuple[Tensor, Tensor, Tensor]:
    """Row, column and value of each entry of a sparse matrix."""
    if isinstance(adj_t, SparseTensor):
        row, column, value = adj_t.coo()
        value = torch.ones(row.numel(), device=row.device) if value is None else value
        return row, column, value
    adj_t = adj_t.to_sparse_coo().coalesce()
    return *adj_t.indices(), adj_t.values()


def _check_matrix(
    matrix: Adj, num_sources: int, num_targets: int, num_scales: int
) -> None:
    expected = [num_targets, num_sources * num_scales]
    size = list(matrix.sizes() if isinstance(matrix, SparseTensor) else matrix.shape)
    if size != expected:
        raise ValueError(
            f'Expected an adjacency of shape [{expected[0]}, {expected[1]}], '
            f'column u * num_scales + k, for {num_sources} nodes and '
            f'{num_scales} scales (got {size})'
        )


def _check_edges(
    source: Tensor,
    target: Tensor,
    scale: OptTensor,
    weight: OptTensor,
    num_sources: int,
    num_targets: int,
    num_scales: int,
) -> None:
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
    if not index.numel() or index.device.type == 'meta':
        return
    if index.device.type != 'cpu' or torch.compiler.is_compiling():
        fits = ((index >= 0) & (index < size)).all()
        torch._assert_async(fits, f'An edge refers to a {what} beyond {size - 1}')
        return
    low, high = (int(value) for value in index.aminmax())
    if low < 0 or high >= size:
        raise ValueError(
            f'The edges refer to {what} {low if low < 0 else high}, but {whose} are '
            f'{size}, numbered 0 to {size - 1}. Build the graph for as many'
        )
