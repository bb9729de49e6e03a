from pyg_msg3d.models.architecture import Architecture
from pyg_msg3d.models.msg3d import MSG3D

__all__ = ['MSG3D', 'Architecture']
