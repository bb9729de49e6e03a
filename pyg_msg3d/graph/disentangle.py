import numpy as np
import torch
from torch import Tensor

# Pairs expanded at once: bounds the memory of the search on large graphs.
_CHUNK = 1 << 22


def disentangle(
    edge_index: Tensor,
    num_nodes: int,
    num_scales: int,
    normalization: str | None = 'sym',
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Ties every node to the nodes at exactly :math:`k` hops, for each scale
    :math:`k < K`, and normalises each scale by itself: the disentangled
    multi-scale adjacency of section 3.2 of the `"Disentangling and Unifying Graph
    Convolutions for Skeleton-Based Action Recognition"
    <https://arxiv.org/abs/2003.14111>`_ paper.

    .. math::
        [\mathbf{\tilde{A}}_{(k)}]_{v,u} = \begin{cases}
            1 & \text{if } d(u, v) = k \text{ or } u = v, \\
            0 & \text{otherwise,}
        \end{cases}

    where :math:`d(u, v)` is the number of hops on the shortest path from
    :math:`u` to :math:`v`. Self-loops and repeated edges in :obj:`edge_index`
    change no distance and are ignored. Everything stays sparse: memory grows with
    the pairs found, never with :obj:`num_nodes` squared.

    Args:
        edge_index (Tensor): The edges of the graph; for an undirected graph in
            both directions, as in :attr:`Skeleton.edge_index`.
        num_nodes (int): The number of nodes :math:`V`.
        num_scales (int): The number of scales :math:`K`, scale 0 (the node itself)
            among them.
        normalization (str, optional): How each scale is normalised.
            :obj:`"sym"`: :math:`\mathbf{D}^{-1/2} \mathbf{\tilde{A}}_{(k)}
            \mathbf{D}^{-1/2}` (the paper);
            :obj:`"col"`: every node takes the mean over its sources,
            :math:`\mathbf{D}^{-1} \mathbf{\tilde{A}}_{(k)}` (MMAction2 and PYSKL,
            who write the same as a column-normalised matrix aggregated
            transposed);
            :obj:`None`: weights of one. (default: :obj:`"sym"`)

    Returns:
        The edges :obj:`edge_index` :math:`(2, E)`, their scales :obj:`edge_type`
        :math:`(E)` and their weights :obj:`edge_weight` :math:`(E)` in float32,
        sorted by target, source and scale.

    Raises:
        ValueError: If an edge refers to a node that does not exist, or an argument
            is not one of those above.
    """
    check_edges(edge_index, num_nodes)
    check_choices(num_scales, normalization)

    # Rows of the adjacency in CSR form: the nodes that each node reaches in a hop.
    hops = torch.unique(edge_index[0] * num_nodes + edge_index[1])
    source, target = hops // num_nodes, hops % num_nodes
    source, target = source[source != target], target[source != target]
    degree = torch.bincount(source, minlength=num_nodes)
    first = degree.cumsum(0) - degree

    # As many search roots at once as the memory bound allows, guessed from the
    # growth of the neighbourhoods so far and halved where the guess was too high.
    pairs, scales = [], []
    begin, size = 0, max(1, _CHUNK // 64)
    while begin < num_nodes:
        roots = torch.arange(
            begin, min(begin + size, num_nodes), device=edge_index.device
        )
        found = _hop_distances(roots, target, first, degree, num_nodes, num_scales)
        if found is None:
            size = max(1, size // 4)
            continue
        pairs.append(found[0])
        scales.append(found[1])
        begin += roots.numel()
    pair, edge_type = torch.cat(pairs), torch.cat(scales)

    # Every scale k >= 1 holds the node itself too.
    node = torch.arange(num_nodes, device=edge_index.device)
    loops = (node * num_nodes + node).repeat(num_scales)
    loop_type = torch.arange(num_scales, device=edge_index.device)
    pair = torch.cat([pair, loops])
    edge_type = torch.cat([edge_type, loop_type.repeat_interleave(num_nodes)])

    source, target = pair // num_nodes, pair % num_nodes
    order = ((target * num_nodes + source) * num_scales + edge_type).argsort()
    source, target, edge_type = source[order], target[order], edge_type[order]
    weight = normalize(source, target, edge_type, num_nodes, normalization)
    return torch.stack([source, target]), edge_type, weight


def _hop_distances(
    roots: Tensor,
    target: Tensor,
    first: Tensor,
    degree: Tensor,
    num_nodes: int,
    num_scales: int,
) -> tuple[Tensor, Tensor] | None:
    """Breadth-first search from all roots at once. Returns the pairs
    ``root * num_nodes + node`` at 1 to ``num_scales - 1`` hops with their hops,
    or ``None`` where several roots would take more memory than is allowed."""
    frontier = seen = roots * num_nodes + roots
    pairs, scales = [seen.new_empty(0)], [seen.new_empty(0)]
    for k in range(1, num_scales):
        root, node = frontier // num_nodes, frontier % num_nodes
        count = degree[node]
        total = int(count.sum())
        if total + seen.numel() > _CHUNK and roots.numel() > 1:
            return None
        # Position of every (frontier pair, neighbour): where the neighbours of the
        # pair's node begin, plus a running number within them.
        within = torch.arange(total, device=count.device)
        within -= (count.cumsum(0) - count).repeat_interleave(count)
        neighbour = target[first[node].repeat_interleave(count) + within]
        reached = torch.unique(root.repeat_interleave(count) * num_nodes + neighbour)
        frontier = reached[~torch.isin(reached, seen, assume_unique=True)]
        seen = torch.cat([seen, frontier])
        pairs.append(frontier)
        scales.append(torch.full_like(frontier, k))
    return torch.cat(pairs), torch.cat(scales)


def normalize(
    source: Tensor,
    target: Tensor,
    edge_type: Tensor,
    num_nodes: int,
    normalization: str | None,
    count: Tensor | None = None,
) -> Tensor:
    """The weights of edges, each scale normalised by itself; ``count`` says how many
    edges each one stands for."""
    check_choices(1, normalization)
    if normalization is None:
        return torch.ones(source.numel(), device=source.device)
    into = torch.bincount(edge_type * num_nodes + target, count)
    if normalization == 'col':
        return into.float().reciprocal()[edge_type * num_nodes + target]
    out_of = torch.bincount(edge_type * num_nodes + source, count)
    weight = (
        _inverse_root(into)[edge_type * num_nodes + target]
        * _inverse_root(out_of)[edge_type * num_nodes + source]
    )
    return weight.float()


def _inverse_root(degree: Tensor) -> Tensor:
    # In numpy's float32 and only then multiplied, as the authors compute it: their
    # results come out to the last digit, while torch's roots round differently.
    root = np.power(degree.cpu().numpy().astype(np.float32), np.float32(-0.5))
    return torch.from_numpy(root).double().to(degree.device)


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


def check_choices(num_scales: int, normalization: str | None) -> None:
    """Refuses scales below one and normalisations that do not exist."""
    if num_scales < 1:
        raise ValueError(f"'num_scales' must be at least 1 (got {num_scales})")
    if normalization not in ('sym', 'col', None):
        raise ValueError(
            f"'normalization' must be 'sym', 'col' or None (got {normalization!r})"
        )
