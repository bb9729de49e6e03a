from pyg_msg3d.models import MSG3D
from pyg_msg3d.skeletons import Skeleton, skeleton, skeleton_names

__version__ = '0.1.0'

__all__ = ['MSG3D', 'Skeleton', 'skeleton', 'skeleton_names']
