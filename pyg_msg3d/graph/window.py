import torch
from torch import Tensor


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
    return tie_frames(edge_index, num_nodes, window_size)[0]


def tie_frames(
    edge_index: Tensor,
    num_nodes: int,
    window_size: int,
    edge_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The edges of :func:`window_graph` and, of a graph with weights, their weights:
    in all frames as in one, and one from a joint to itself."""
    check_edges(edge_index, num_nodes)
    if window_size < 1:
        raise ValueError(f"'window_size' must be at least 1 (got {window_size})")

    node = torch.arange(num_nodes, device=edge_index.device)
    other = edge_index[0] != edge_index[1]
    tied = torch.cat([edge_index[:, other], node.expand(2, -1)], dim=1)

    frame = num_nodes * torch.arange(window_size, device=edge_index.device)
    frame_pairs = torch.cartesian_prod(frame, frame).view(-1, 2).t()
    edges = (frame_pairs[:, :, None] + tied[:, None, :]).flatten(1)
    kept = edges[0] != edges[1]
    if edge_weight is not None:
        weight = torch.cat([edge_weight[other], edge_weight.new_ones(num_nodes)])
        edge_weight = weight.repeat(window_size**2)[kept]
    return edges[:, kept], edge_weight


def check_edges(edge_index: Tensor, num_nodes: int) -> None:
    """Refuses what is no ``edge_index`` over ``num_nodes`` nodes."""
    if (
        edge_index.dim() != 2
        or edge_index.size(0) != 2
        or edge_index.is_floating_point()
    ):
        raise ValueError(
            f"Expected 'edge_index' as integers of shape [2, num_edges] (got "
            f'{edge_index.dtype} of shape {list(edge_index.shape)})'
        )
    if edge_index.numel() > 0:
        low, high = int(edge_index.min()), int(edge_index.max())
        if low < 0 or high >= num_nodes:
            raise ValueError(
                f"'edge_index' refers to node {low if low < 0 else high}, but the "
                f'graph has {num_nodes} nodes, numbered 0 to {num_nodes - 1}'
            )
