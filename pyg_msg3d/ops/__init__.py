from pyg_msg3d.ops.aggregate import BACKENDS, aggregate, choose_backend
from pyg_msg3d.ops.backends.csr import csr_product
from pyg_msg3d.ops.backends.dense import dense_product, to_matrix
from pyg_msg3d.ops.backends.torch_sparse import torch_sparse_product
from pyg_msg3d.ops.linear import linear
from pyg_msg3d.ops.window import Window

__all__ = [
    'BACKENDS',
    'Window',
    'aggregate',
    'choose_backend',
    'csr_product',
    'dense_product',
    'linear',
    'to_matrix',
    'torch_sparse_product',
]
