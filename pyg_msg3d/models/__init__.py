from pyg_msg3d.models.msg3d import MSG3D

__all__ = ['MSG3D']
