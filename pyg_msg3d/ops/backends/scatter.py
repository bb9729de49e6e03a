"""Aggregation message by message, as PyG does it: the reference of all others."""

from torch import Tensor
from torch_geometric.utils import scatter


def aggregate_scatter(
    x: Tensor, source: Tensor, target: Tensor, weight: Tensor, num_targets: int
) -> Tensor:
    """Gathers ``[*, E, C]`` messages, weighs them and adds them up."""
    messages = weight.view(-1, 1) * x.index_select(-2, source)
    return scatter(messages, target, dim=-2, dim_size=num_targets, reduce='sum')
