from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch_geometric.nn.inits import zeros
from torch_geometric.typing import Adj, OptTensor

from pyg_msg3d.graph import ScaleGraph
from pyg_msg3d.nn.multi_scale import MultiScaleMessagePassing


class MSGCNConv(MultiScaleMessagePassing):
    r"""The multi-scale graph convolution (MS-GCN) of the `"Disentangling and Unifying
    Graph Convolutions for Skeleton-Based Action Recognition"
    <https://arxiv.org/abs/2003.14111>`_ paper, equation (3)

    .. math::
        \mathbf{x}^{\prime}_v = \sum_{k=0}^{K-1} \sum_{u}
        [\mathbf{\hat{A}}_{(k)}]_{v,u} \, \mathbf{\Theta}_{(k)} \mathbf{x}_u
        + \mathbf{b},

    where :math:`\mathbf{\hat{A}}_{(k)}` is the normalised adjacency of scale
    :math:`k`, as :func:`pyg_msg3d.graph.disentangle` returns it. The operator alone:
    no normalisation, no activation, and the graph comes with each call.

    .. code-block:: python

        edge_index, edge_type, edge_weight = disentangle(bones, 25, num_scales=13)
        conv = MSGCNConv(64, 96, num_scales=13)
        out = conv(x, edge_index, edge_type, edge_weight)  # [*, 25, 64] -> [*, 25, 96]

    Args:
        in_channels (int): Channels of each joint; :obj:`-1` reads them off the
            first input.
        out_channels (int): Channels of each joint in the result.
        num_scales (int): The number of scales :math:`K`.
        bias (bool, optional): Add a learned bias after the aggregation, so that
            frames of zeros stay what the bias makes them. (default: :obj:`True`)
        backend (str, optional): How messages are added up, see
            :func:`pyg_msg3d.ops.scale_sum`. (default: :obj:`"auto"`)
        **kwargs (optional): Additional arguments of
            :class:`torch_geometric.nn.conv.MessagePassing`.

    Shapes:
        - **input:** node features :math:`(*, V, C_{in})`; edge indices
          :math:`(2, E)`, edge types :math:`(E)` and edge weights :math:`(E)`, or
          instead of the three a sparse or dense matrix :math:`(V, V K)` whose column
          :math:`u K + k` is node :math:`u` at scale :math:`k`
        - **output:** node features :math:`(*, V, C_{out})`

    Raises:
        ValueError: If the parts of the graph do not fit each other, the features or
            the number of scales.
        TypeError: If features or weights are no real numbers, or indices are.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_scales: int,
        bias: bool = True,
        backend: str = 'auto',
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, num_scales, backend, **kwargs)
        self.in_channels = in_channels
        self.out_channels = out_channels
        if bias:
            self.bias = Parameter(torch.empty(out_channels))
        else:
            self.register_parameter('bias', None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all learned parameters anew."""
        super().reset_parameters()
        self.lin.reset_parameters()
        zeros(self.bias)

    def forward(
        self,
        x: Tensor,
        edge_index: Adj | ScaleGraph,
        edge_type: OptTensor = None,
        edge_weight: OptTensor = None,
    ) -> Tensor:
        """Runs the convolution; shapes as above."""
        self.check_features(x, self.in_channels)
        graph = self.graph_of(x, edge_index, edge_type, edge_weight, x.size(-2))
        out = self.propagate(graph, x=x)
        # In the type of the product, which autocast may have chosen.
        return out if self.bias is None else out + self.bias.to(out.dtype)

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}({self.in_channels}, {self.out_channels}, '
            f'num_scales={self.num_scales})'
        )
