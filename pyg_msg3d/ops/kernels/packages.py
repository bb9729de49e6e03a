"""Sums along edges by PyG and the packages that it knows. Their gradients are their
own."""

import os
from importlib.util import find_spec

import torch
from torch import Tensor
from torch_geometric import typing
from torch_geometric.typing import SparseTensor
from torch_geometric.utils import scatter

from pyg_msg3d.graph import ScaleGraph


def by_scatter(h: Tensor, graph: ScaleGraph) -> Tensor:
    """Gathers ``[*, E, C]`` messages, weighs them and adds them up, as PyG does."""
    messages = graph.weight.view(-1, 1) * h.index_select(-2, graph.slot)
    return scatter(messages, graph.target, -2, graph.num_targets, reduce='sum')


def by_torch_scatter(h: Tensor, graph: ScaleGraph) -> Tensor:
    """Adds up messages that are sorted by target, segment by segment."""
    import torch_scatter

    graph = graph.sorted()
    messages = graph.weight.view(-1, 1) * h.index_select(-2, graph.slot)
    pointer = graph.rowptr[:: graph.num_scales].expand(*h.shape[:-2], -1)
    return torch_scatter.segment_csr(messages, pointer, reduce='sum')


def by_torch_sparse(h: Tensor, graph: ScaleGraph) -> Tensor:
    """Multiplies by a :class:`torch_sparse.SparseTensor`."""
    import torch_sparse

    matrix = SparseTensor(
        row=graph.target,
        col=graph.slot,
        value=graph.weight,
        sparse_sizes=(graph.num_targets, h.size(-2)),
    )
    return torch_sparse.matmul(matrix, h.contiguous(), reduce='sum')


PACKAGES = {
    'scatter': by_scatter,
    'torch_scatter': by_torch_scatter,
    'torch_sparse': by_torch_sparse,
}


def why_not(backend: str, x: Tensor) -> str | None:
    """Why a backend cannot take these features, or ``None``."""
    if backend == 'torch_scatter' and not typing.WITH_TORCH_SCATTER:
        return 'the package torch-scatter is not installed'
    if backend == 'torch_sparse':
        if not typing.WITH_TORCH_SPARSE:
            return 'the package torch-sparse is not installed'
        if x.dtype not in (torch.float32, torch.float64):
            return f'torch-sparse has no product for {x.dtype}'
    if backend == 'triton':
        if find_spec('triton') is None:
            return 'the package triton is not installed'
        if (
            x.device.type not in ('cuda', 'meta')
            and os.environ.get('TRITON_INTERPRET') != '1'
        ):
            return (
                f'Triton compiles for GPUs, and the features are on {x.device} (with '
                f'TRITON_INTERPRET=1 in the environment it runs there, slowly, for '
                f'tests)'
            )
    return None
