from torch.serialization import add_safe_globals

from pyg_msg3d.data.errors import SkeletonDataError
from pyg_msg3d.data.skeleton_data import SkeletonData, check_finite

# So that saved clips load with ``weights_only=True``.
add_safe_globals([SkeletonData])

__all__ = ['SkeletonData', 'SkeletonDataError', 'check_finite']
