from pyg_msg3d.ops.aggregate import (
    BACKENDS,
    aggregate,
    check_backend,
    choose_backend,
)
from pyg_msg3d.ops.backends.dense import dense_product, to_matrix
from pyg_msg3d.ops.backends.sparse import KERNELS
from pyg_msg3d.ops.backends.torch_sparse import torch_sparse_product
from pyg_msg3d.ops.branches import temporal_branches
from pyg_msg3d.ops.collapse import collapse_windows, window_moments
from pyg_msg3d.ops.factored import combine, sum_windows
from pyg_msg3d.ops.linear import linear
from pyg_msg3d.ops.multi_scale import multi_scale_product
from pyg_msg3d.ops.scale_graph import ScaleGraph, check_edges
from pyg_msg3d.ops.window import Window

__all__ = [
    'BACKENDS',
    'KERNELS',
    'ScaleGraph',
    'Window',
    'aggregate',
    'check_backend',
    'check_edges',
    'choose_backend',
    'collapse_windows',
    'combine',
    'window_moments',
    'dense_product',
    'linear',
    'multi_scale_product',
    'sum_windows',
    'temporal_branches',
    'to_matrix',
    'torch_sparse_product',
]
