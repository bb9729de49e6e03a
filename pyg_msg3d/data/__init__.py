from torch.serialization import add_safe_globals
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import GlobalStorage

from pyg_msg3d.data.errors import (
    CheckpointError,
    SkeletonDataError,
    SkeletonDataWarning,
)
from pyg_msg3d.data.metadata import Metadata
from pyg_msg3d.data.skeleton_data import SkeletonData

# So that saved clips load with ``weights_only=True``: ours, and what PyG's hold.
add_safe_globals([SkeletonData, DataEdgeAttr, DataTensorAttr, GlobalStorage])

__all__ = [
    'CheckpointError',
    'Metadata',
    'SkeletonData',
    'SkeletonDataError',
    'SkeletonDataWarning',
]
