import torch
from torch import Tensor

from pyg_msg3d.graph.disentangle import check_edges


def window_graph(edge_index: Tensor, num_nodes: int, window_size: int) -> Tensor:
    r"""The spatial-temporal graph of a window of :math:`\tau` frames, section 3.3
    of the `"Disentangling and Unifying Graph Convolutions for Skeleton-Based Action
    Recognition" <https://arxiv.org/abs/2003.14111>`_ paper: every joint is tied to
    itself and to its neighbours in all frames of the window,

    .. math::
        \mathbf{\tilde{A}}_{(\tau)} = \begin{bmatrix}
            \mathbf{\tilde{A}} & \cdots & \mathbf{\tilde{A}} \\
            \vdots & \ddots & \vdots \\
            \mathbf{\tilde{A}} & \cdots & \mathbf{\tilde{A}}
        \end{bmatrix}
        \in \{0, 1\}^{\tau V \times \tau V},
        \qquad \mathbf{\tilde{A}} = \mathbf{A} + \mathbf{I}.

    The ties of a node to itself in its own frame are left out, since
    :func:`disentangle` adds them to every scale.

    Args:
        edge_index (Tensor): The edges of the skeleton, in both directions.
        num_nodes (int): The number of joints :math:`V`.
        window_size (int): The number of frames :math:`\tau`.

    Returns:
        The edges :math:`(2, E)` over :math:`\tau V` nodes; joint :math:`v` of frame
        :math:`t` is node :math:`t V + v`.
    """
    check_edges(edge_index, num_nodes)
    if window_size < 1:
        raise ValueError(f"'window_size' must be at least 1 (got {window_size})")

    node = torch.arange(num_nodes, device=edge_index.device)
    edge_index = edge_index[:, edge_index[0] != edge_index[1]]
    tied = torch.cat([edge_index, node.expand(2, -1)], dim=1)

    frame = num_nodes * torch.arange(window_size, device=edge_index.device)
    frame_pairs = torch.cartesian_prod(frame, frame).view(-1, 2).t()
    edges = (frame_pairs[:, :, None] + tied[:, None, :]).flatten(1)
    return edges[:, edges[0] != edges[1]]
