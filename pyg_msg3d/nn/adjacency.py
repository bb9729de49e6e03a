import torch
from torch import Tensor
from torch.nn import Module, Parameter

from pyg_msg3d.ops import to_matrix

RESIDUALS = ('dense', 'tied', None)


class ScaleAdjacency(Module):
    r"""A fixed multi-scale graph with the learned residual of section 3.2 of the
    `"Disentangling and Unifying Graph Convolutions for Skeleton-Based Action
    Recognition" <https://arxiv.org/abs/2003.14111>`_ paper,
    :math:`\mathbf{\hat{A}}_{(k)} + \mathbf{R}_{(k)}`.

    Args:
        edge_index (Tensor): The edges :math:`(2, E)` over :math:`\tau V` nodes.
        edge_type (Tensor): Their scales.
        edge_weight (Tensor): Their weights.
        num_nodes (int): The number of joints :math:`V`.
        num_scales (int): The number of scales :math:`K`.
        window_size (int, optional): The frames :math:`\tau` of a window.
            (default: :obj:`1`)
        residual (str, optional): :obj:`"dense"`: every entry of every scale is
            learned, as in the paper. :obj:`"tied"`: the same, but one
            :math:`V \times V` matrix per scale serves every pair of frames of the
            window, :math:`\mathbf{R}_{(\tau,k)} = \mathbf{1}_{\tau \times \tau}
            \otimes \mathbf{R}_{(k)}`. :obj:`None`: the graph as it is, kept
            sparse. (default: :obj:`"dense"`)

    Returns of a call:
        What an operator takes after the features: the edges, scales and weights,
        or with a residual the full matrix :math:`(\tau V, \tau V K)` alone.
    """

    edge_index: Tensor
    edge_type: Tensor
    edge_weight: Tensor
    matrix: Tensor
    residual: Parameter | None

    def __init__(
        self,
        edge_index: Tensor,
        edge_type: Tensor,
        edge_weight: Tensor,
        num_nodes: int,
        num_scales: int,
        window_size: int = 1,
        residual: str | None = 'dense',
    ) -> None:
        super().__init__()
        if residual not in RESIDUALS:
            raise ValueError(
                f"'residual' must be 'dense', 'tied' or None (got {residual!r})"
            )
        self.num_nodes = num_nodes
        self.num_scales = num_scales
        self.window_size = window_size
        self.mode = residual
        # The graph comes from the skeleton, so it stays out of checkpoints.
        if residual is None:
            self.register_buffer('edge_index', edge_index, persistent=False)
            self.register_buffer('edge_type', edge_type, persistent=False)
            self.register_buffer('edge_weight', edge_weight, persistent=False)
            self.register_parameter('residual', None)
        else:
            size = window_size * num_nodes
            source = edge_index[0] * num_scales + edge_type
            matrix = to_matrix(
                source, edge_index[1], edge_weight, size * num_scales, size
            )
            self.register_buffer('matrix', matrix, persistent=False)
            rows = size if residual == 'dense' else num_nodes
            self.residual = Parameter(torch.empty(rows, rows * num_scales))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the residual anew: next to nothing, as the authors do."""
        if self.residual is not None:
            torch.nn.init.uniform_(self.residual, -1e-6, 1e-6)

    def forward(self) -> tuple[Tensor] | tuple[Tensor, Tensor, Tensor]:
        """The graph, in the form that the operators take."""
        if self.residual is None:
            return self.edge_index, self.edge_type, self.edge_weight
        if self.mode == 'tied':
            return (self.matrix + self.residual.tile(2 * (self.window_size,)),)
        return (self.matrix + self.residual,)

    def extra_repr(self) -> str:
        """What a printed model says of it."""
        return (
            f'joints={self.num_nodes}, num_scales={self.num_scales}, '
            f'window_size={self.window_size}, residual={self.mode!r}'
        )
