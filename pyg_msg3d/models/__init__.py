from pyg_msg3d.models.architecture import Architecture
from pyg_msg3d.models.msg3d import MSG3D
from pyg_msg3d.models.node_view import NodeView

__all__ = ['MSG3D', 'Architecture', 'NodeView']
