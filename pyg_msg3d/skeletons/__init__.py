from pyg_msg3d.skeletons.catalogue import guess_skeleton, skeleton, skeleton_names
from pyg_msg3d.skeletons.skeleton import Skeleton

__all__ = ['Skeleton', 'guess_skeleton', 'skeleton', 'skeleton_names']
