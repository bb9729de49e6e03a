from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.graph import disentangle


@functional_transform('disentangle_scales')
class Disentangle(BaseTransform):
    r"""Ties the nodes of any graph to those at exactly :math:`k` hops, for each scale
    :math:`k < K`, normalised by :func:`pyg_msg3d.graph.disentangle` (functional name:
    :obj:`disentangle_scales`). It replaces :obj:`edge_index` and sets
    :obj:`edge_type`, the scales, and :obj:`edge_weight`: what
    :class:`~pyg_msg3d.nn.MSGCNConv` takes, for one graph as for a batch.

    .. code-block:: python

        dataset = TUDataset(root, 'IMDB-BINARY', pre_transform=T.Disentangle(4))
        conv = MSGCNConv(-1, 64, num_scales=4)
        out = conv(data.x, data.edge_index, data.edge_type, data.edge_weight)

    Weights of edges that are there as :obj:`edge_weight` are those of a weighted
    graph, and come out as products along shortest paths. Hops go from source to
    target: an undirected graph needs both directions, as
    :class:`~torch_geometric.transforms.ToUndirected` makes them.

    Windows of frames are no matter of this transform: their graph has more nodes than
    the data; :func:`~pyg_msg3d.graph.disentangle` makes it, once for all clips.

    Args:
        num_scales (int): The number of scales :math:`K`, scale 0 (the node itself)
            among them.
        normalization (str, optional): ``'sym'``, ``'col'`` or none, see
            :func:`pyg_msg3d.graph.disentangle`. (default: ``'sym'``)

    Raises:
        TypeError: If the data is no :class:`~torch_geometric.data.Data`, or a batch,
            which could not be taken apart any more.
        ValueError: If it has no :obj:`edge_index`, or more of its edges than their
            weights, which says nothing of nodes some hops apart; or as
            :func:`pyg_msg3d.graph.disentangle`.
    """

    def __init__(self, num_scales: int, normalization: str | None = 'sym') -> None:
        self.num_scales = num_scales
        self.normalization = normalization

    def forward(self, data: Data) -> Data:
        """Returns the graph with an edge for each pair of nodes and scale."""
        if not isinstance(data, Data) or isinstance(data, Batch):
            raise TypeError(
                f'Expected a Data of one graph and one kind of nodes and edges (got '
                f'{type(data).__name__}); batches are made afterwards, and of a '
                f'HeteroData, one kind of edges at a time makes a Data'
            )
        edge_index = data.edge_index
        if edge_index is None:
            raise ValueError(
                f"Expected a graph with 'edge_index' (got {data}). Clips get their "
                f'bones by AddBones'
            )
        more = [
            key
            for key in sorted(data.keys())
            if key not in ('edge_index', 'edge_weight')
            and not data.is_node_attr(key)
            and data.is_edge_attr(key)
        ]
        if 'edge_type' in more:
            raise ValueError(
                "The edges have 'edge_type' already: hops along scales, or along "
                'several relations, would mean nothing. Disentangle once, and one '
                'relation at a time'
            )
        if more:
            raise ValueError(
                f'The edges have {", ".join(map(repr, more))}, which says nothing of '
                f"nodes some hops apart. Name it 'edge_weight' if it is their weight, "
                f'or delete it before'
            )
        if isinstance(edge_index, EdgeIndex):
            edge_index = edge_index.as_tensor()
        data.edge_index, data.edge_type, data.edge_weight = disentangle(
            edge_index,
            data.num_nodes,
            self.num_scales,
            self.normalization,
            edge_weight=data.get('edge_weight'),
        )
        return data

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}({self.num_scales}, '
            f'normalization={self.normalization!r})'
        )
