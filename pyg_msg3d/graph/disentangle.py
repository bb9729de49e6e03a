import numpy as np
import torch
from torch import Tensor

from pyg_msg3d.graph.window import check_edges, tie_frames

# Pairs expanded at once: bounds the memory of the search on large graphs.
_CHUNK = 1 << 22


def disentangle(
    edge_index: Tensor,
    num_nodes: int,
    num_scales: int,
    normalization: str | None = 'sym',
    *,
    window_size: int = 1,
    edge_weight: Tensor | None = None,
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

    With :obj:`window_size`, the graph is that of G3D, section 3.3: the window of
    :math:`\tau` frames that :func:`window_graph` makes of :obj:`edge_index`, so that
    ``disentangle(bones, 25, 6, window_size=3)`` is
    ``disentangle(window_graph(bones, 25, 3), 75, 6)``. Joint :math:`v` of frame
    :math:`t` is node :math:`t V + v`.

    With :obj:`edge_weight`, hops are those of the same graph without its weights, and
    the 1 of a pair at :math:`k \geq 1` hops is the largest product of the weights along
    any of the shortest paths between them,

    .. math::
        [\mathbf{\tilde{A}}_{(k)}]_{v,u} = \max_{u = w_0, w_1, \ldots, w_k = v} \;
        \prod_{i=1}^{k} a_{w_i, w_{i-1}} \quad \text{if } d(u, v) = k,

    so that weights of one change nothing. Each scale is normalised by its weighted
    degrees, the sums of its rows and columns. The weight of a node at itself is 1, in
    all frames of a window; self-loops are ignored with their weights. An edge of
    weight zero is an edge still: it counts as a hop.

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
            :obj:`None`: :math:`\mathbf{\tilde{A}}_{(k)}` as it is.
            (default: :obj:`"sym"`)
        window_size (int, optional): The frames :math:`\tau` of a window, each of
            :obj:`num_nodes` nodes. (default: :obj:`1`)
        edge_weight (Tensor, optional): The weights :math:`a` of the edges, zero or
            more. (default: ones)

    Shapes:
        - **input:** :obj:`edge_index` :math:`(2, E)`, :obj:`edge_weight` :math:`(E)`
        - **output:** the edges :math:`(2, E')` over :math:`\tau V` nodes, their scales
          :math:`(E')` and their weights :math:`(E')`

    Returns:
        The edges :obj:`edge_index`, their scales :obj:`edge_type` and their weights
        :obj:`edge_weight` in float32, sorted by target, source and scale.

    Raises:
        ValueError: If an edge refers to a node that does not exist, or an argument
            is not one of those above; with weights, if they are negative or not
            finite, if an edge is given more than once, since it is not told which
            weight counts, or if a gradient is expected, which does not get through.
    """
    check_edges(edge_index, num_nodes)
    check_choices(num_scales, normalization)
    edge_index = edge_index.long()  # Numbers of pairs are beyond int32 soon.
    if edge_weight is not None:
        edge_weight = _checked_weights(edge_index, num_nodes, edge_weight)
    if window_size != 1:
        edge_index, edge_weight = tie_frames(
            edge_index, num_nodes, window_size, edge_weight
        )
        num_nodes = window_size * num_nodes

    # Rows of the adjacency in CSR form: the nodes that each node reaches in a hop.
    other = edge_index[0] != edge_index[1]
    source, target = edge_index[:, other]
    given = source * num_nodes + target
    hops = torch.unique(given)
    weight = None
    if edge_weight is not None:
        weight = edge_weight.new_empty(hops.numel())
        weight[torch.searchsorted(hops, given)] = edge_weight[other]
    source, target = hops // num_nodes, hops % num_nodes
    degree = torch.bincount(source, minlength=num_nodes)
    first = degree.cumsum(0) - degree

    # As many search roots at once as the memory bound allows, guessed from the
    # growth of the neighbourhoods so far and halved where the guess was too high.
    pairs, scales, values = [], [], []
    begin, size = 0, max(1, _CHUNK // 64)
    while begin < num_nodes:
        roots = torch.arange(
            begin, min(begin + size, num_nodes), device=edge_index.device
        )
        found = _hop_distances(
            roots, target, first, degree, num_nodes, num_scales, weight
        )
        if found is None:
            size = max(1, size // 4)
            continue
        pairs.append(found[0])
        scales.append(found[1])
        values.append(found[2])
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
    value = None
    if weight is not None:
        value = torch.cat([*values, weight.new_ones(loops.numel())])[order]
        _check_products(value)
    weight = normalize(source, target, edge_type, num_nodes, normalization, value)
    return torch.stack([source, target]), edge_type, weight


def _hop_distances(
    roots: Tensor,
    target: Tensor,
    first: Tensor,
    degree: Tensor,
    num_nodes: int,
    num_scales: int,
    weight: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Breadth-first search from all roots at once. Returns the pairs
    ``root * num_nodes + node`` at 1 to ``num_scales - 1`` hops with their hops and,
    where edges have weights, the largest products along shortest paths; or ``None``
    where several roots would take more memory than is allowed."""
    frontier = seen = roots * num_nodes + roots
    pairs, scales = [seen.new_empty(0)], [seen.new_empty(0)]
    product = None if weight is None else weight.new_ones(roots.numel())
    products = [seen.new_empty(0) if product is None else product[:0]]
    for k in range(1, num_scales):
        root, node = frontier // num_nodes, frontier % num_nodes
        count = degree[node]
        total = int(count.sum())
        if total + seen.numel() > _CHUNK and roots.numel() > 1:
            return None
        # Position of every (frontier pair, neighbour): where the neighbours of the
        # pair's node begin, plus a running number within them.
        edge = torch.arange(total, device=count.device)
        edge -= (count.cumsum(0) - count).repeat_interleave(count)
        edge += first[node].repeat_interleave(count)
        end = root.repeat_interleave(count) * num_nodes + target[edge]
        reached = torch.unique(end)
        is_new = ~torch.isin(reached, seen, assume_unique=True)
        frontier = reached[is_new]
        if product is not None and weight is not None:
            # Of all shortest paths to a node, each one hop longer than the best to
            # the node before, the best.
            longer = product.repeat_interleave(count) * weight[edge]
            place = torch.searchsorted(reached, end)
            best = longer.new_zeros(reached.numel())
            product = best.scatter_reduce(0, place, longer, 'amax')[is_new]
            products.append(product)
        seen = torch.cat([seen, frontier])
        pairs.append(frontier)
        scales.append(torch.full_like(frontier, k))
    return torch.cat(pairs), torch.cat(scales), torch.cat(products)


def normalize(
    source: Tensor,
    target: Tensor,
    edge_type: Tensor,
    num_nodes: int,
    normalization: str | None,
    value: Tensor | None = None,
    count: Tensor | None = None,
) -> Tensor:
    """The weights of edges of some value, one where not given, each scale normalised
    by itself; ``count`` says how many edges each one stands for."""
    check_choices(1, normalization)
    if value is not None and count is not None:
        count = value * count
    degrees = value if count is None else count
    if normalization is None:
        weight = torch.ones(source.numel(), device=source.device)
    elif normalization == 'col':
        into = torch.bincount(edge_type * num_nodes + target, degrees)
        weight = into.float().reciprocal()[edge_type * num_nodes + target]
    else:
        into = torch.bincount(edge_type * num_nodes + target, degrees)
        out_of = torch.bincount(edge_type * num_nodes + source, degrees)
        weight = (
            _inverse_root(into)[edge_type * num_nodes + target]
            * _inverse_root(out_of)[edge_type * num_nodes + source]
        )
    return (weight if value is None else weight * value).float()


def _inverse_root(degree: Tensor) -> Tensor:
    # In numpy's float32 and only then multiplied, as the authors compute it: their
    # results come out to the last digit, while torch's roots round differently.
    root = np.power(degree.cpu().numpy().astype(np.float32), np.float32(-0.5))
    return torch.from_numpy(root).double().to(degree.device)


def _checked_weights(edge_index: Tensor, num_nodes: int, edge_weight: Tensor) -> Tensor:
    """The weights in float64; refused where they make no weighted graph."""
    num_edges = edge_index.size(1)
    if list(edge_weight.shape) != [num_edges] or not edge_weight.is_floating_point():
        raise ValueError(
            f"Expected 'edge_weight' as real numbers of shape [{num_edges}], one for "
            f'each edge (got {edge_weight.dtype} of shape {list(edge_weight.shape)})'
        )
    if edge_weight.requires_grad:
        raise ValueError(
            "No gradient gets through to 'edge_weight'; pass edge_weight.detach()"
        )
    wrong = ~((edge_weight >= 0) & edge_weight.isfinite())
    if wrong.any():
        at = int(wrong.nonzero()[0])
        u, v = edge_index[:, at].tolist()
        raise ValueError(
            f"'edge_weight' must be finite and not below zero, since degrees that may "
            f'vanish normalise nothing (got {float(edge_weight[at]):g} for the edge '
            f'from {u} to {v})'
        )
    source, target = edge_index[:, edge_index[0] != edge_index[1]]
    edges, times = torch.unique(source * num_nodes + target, return_counts=True)
    if (times > 1).any():
        edge = int(edges[times > 1][0])
        raise ValueError(
            f'The edge from {edge // num_nodes} to {edge % num_nodes} is given more '
            f'than once, and which weight counts is not told. Merge such edges before: '
            f'torch_geometric.utils.coalesce(edge_index, edge_weight) adds them up'
        )
    return edge_weight.double()


def _check_products(value: Tensor) -> None:
    # No degree is larger than the sum of all.
    if not float(value.sum()) <= torch.finfo(torch.float32).max:
        raise ValueError(
            f"Products of 'edge_weight' along shortest paths are up to "
            f'{float(value.max()):.3g}, and their sum is more than float32 holds; '
            f'divide the weights by a common number'
        )


def check_choices(num_scales: int, normalization: str | None) -> None:
    """Refuses scales below one and normalisations that do not exist."""
    if num_scales < 1:
        raise ValueError(f"'num_scales' must be at least 1 (got {num_scales})")
    if normalization not in ('sym', 'col', None):
        raise ValueError(
            f"'normalization' must be 'sym', 'col' or None (got {normalization!r})"
        )
