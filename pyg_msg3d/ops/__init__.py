from pyg_msg3d.ops import policy, reference
from pyg_msg3d.ops.aggregate import aggregate
from pyg_msg3d.ops.collapse import collapse
from pyg_msg3d.ops.joint_maps import joint_maps
from pyg_msg3d.ops.kernels.linear import linear
from pyg_msg3d.ops.ms_tcn import ms_tcn
from pyg_msg3d.ops.policy import (
    BACKENDS,
    ORDERS,
    PRODUCTS,
    is_exported,
    is_transformed,
    use,
    wants_definition,
)
from pyg_msg3d.ops.scale_sum import chosen, scale_sum
from pyg_msg3d.ops.window import Window, combine, every, sum_windows

__all__ = [
    'BACKENDS',
    'ORDERS',
    'PRODUCTS',
    'Window',
    'aggregate',
    'chosen',
    'collapse',
    'combine',
    'every',
    'is_exported',
    'is_transformed',
    'joint_maps',
    'linear',
    'ms_tcn',
    'policy',
    'reference',
    'scale_sum',
    'sum_windows',
    'use',
    'wants_definition',
]
