from pyg_msg3d.skeletons.catalogue import guess_skeleton, skeleton, skeleton_names
from pyg_msg3d.skeletons.skeleton import Skeleton
from pyg_msg3d.skeletons.skeleton_file import read_skeleton

__all__ = ['Skeleton', 'guess_skeleton', 'read_skeleton', 'skeleton', 'skeleton_names']
