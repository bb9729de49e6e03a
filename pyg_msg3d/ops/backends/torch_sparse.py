"""Aggregation by the torch-sparse package."""

import torch
from torch import Tensor
from torch_geometric import typing
from torch_geometric.typing import SparseTensor


def check_torch_sparse(x: Tensor) -> str | None:
    """Why torch-sparse cannot take these features, or ``None``."""
    if not typing.WITH_TORCH_SPARSE:
        return 'the package torch-sparse is not installed'
    if x.dtype not in (torch.float32, torch.float64):
        return f'torch-sparse has no product for {x.dtype}'
    return None


def aggregate_torch_sparse(
    x: Tensor, source: Tensor, target: Tensor, weight: Tensor, num_targets: int
) -> Tensor:
    """Multiplies by a :class:`torch_sparse.SparseTensor` of the edges."""
    matrix = SparseTensor(
        row=target, col=source, value=weight, sparse_sizes=(num_targets, x.size(-2))
    )
    return torch_sparse_product(matrix, x)


def torch_sparse_product(matrix: SparseTensor, x: Tensor) -> Tensor:
    """The same for a :class:`torch_sparse.SparseTensor` that is there already."""
    import torch_sparse

    return torch_sparse.matmul(matrix, x.contiguous(), reduce='sum')
