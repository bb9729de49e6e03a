import torch
from torch import Tensor

from pyg_msg3d.graph.disentangle import check_choices, disentangle


def adjacency_powers(
    edge_index: Tensor,
    num_nodes: int,
    num_scales: int,
    normalization: str | None = 'sym',
) -> tuple[Tensor, Tensor, Tensor]:
    r"""The plain powers :math:`\mathbf{\hat{A}}^k` of the normalised adjacency with
    self-loops, :math:`k < K`: the multi-scale aggregation that section 3.1 of the
    `"Disentangling and Unifying Graph Convolutions for Skeleton-Based Action
    Recognition" <https://arxiv.org/abs/2003.14111>`_ paper compares
    :func:`disentangle` with. Close and well-connected nodes dominate each power,
    which is the bias that disentangling removes.

    Arguments, results and errors are those of :func:`disentangle`.
    """
    check_choices(num_scales, normalization)
    # With two scales, scale 1 is the adjacency with self-loops, normalised.
    edges, edge_type, weight = disentangle(edge_index, num_nodes, 2, normalization)
    one_hop = edge_type == 1
    adjacency = torch.sparse_coo_tensor(
        edges[:, one_hop].flip(0),
        weight[one_hop].double(),
        (num_nodes, num_nodes),
        check_invariants=False,
    ).coalesce()
    node = torch.arange(num_nodes, device=edge_index.device)
    power = torch.sparse_coo_tensor(
        node.expand(2, -1),
        adjacency.values().new_ones(num_nodes),
        adjacency.shape,
        check_invariants=False,
    )

    found = []
    for k in range(num_scales):
        power = power.coalesce()
        target, source = power.indices()
        found.append((target, source, torch.full_like(target, k), power.values()))
        power = torch.sparse.mm(adjacency, power)
    target, source, edge_type, value = (
        torch.cat(part) for part in zip(*found, strict=True)
    )
    order = ((target * num_nodes + source) * num_scales + edge_type).argsort()
    edges = torch.stack([source[order], target[order]])
    return edges, edge_type[order], value[order].float()
