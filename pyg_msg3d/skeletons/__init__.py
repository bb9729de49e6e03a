from pyg_msg3d.skeletons.catalogue import skeleton, skeleton_names
from pyg_msg3d.skeletons.skeleton import Skeleton

__all__ = ['Skeleton', 'skeleton', 'skeleton_names']
