"""Aggregation by the torch-scatter package: messages sorted by target, added up
segment by segment."""

import torch
from torch import Tensor
from torch_geometric import typing


def check_torch_scatter(x: Tensor) -> str | None:
    """Why torch-scatter cannot take these features, or ``None``."""
    if not typing.WITH_TORCH_SCATTER:
        return 'the package torch-scatter is not installed'
    return None


def aggregate_torch_scatter(
    x: Tensor, source: Tensor, target: Tensor, weight: Tensor, num_targets: int
) -> Tensor:
    """Gathers the messages in the order of their targets and adds up segments."""
    import torch_scatter

    order = target.argsort()
    messages = weight[order].view(-1, 1) * x.index_select(-2, source[order])
    count = torch.bincount(target, minlength=num_targets).cumsum(0)
    pointer = torch.cat([count.new_zeros(1), count])
    lead = x.shape[:-2]
    pointer = pointer.expand(*lead, -1)
    return torch_scatter.segment_csr(messages, pointer, reduce='sum')
