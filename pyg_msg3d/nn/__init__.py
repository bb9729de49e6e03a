from pyg_msg3d.nn.adjacency import ScaleAdjacency
from pyg_msg3d.nn.batch_norm import BatchNorm
from pyg_msg3d.nn.blocks import G3DBlock, MSGCNBlock, STGCBlock
from pyg_msg3d.nn.fused import fuse
from pyg_msg3d.nn.g3d_conv import G3DConv
from pyg_msg3d.nn.msgcn_conv import MSGCNConv
from pyg_msg3d.nn.mstcn import MSTCN
from pyg_msg3d.nn.scale_linear import ScaleLinear

__all__ = [
    'MSGCNConv',
    'G3DConv',
    'MSTCN',
    'MSGCNBlock',
    'G3DBlock',
    'STGCBlock',
    'BatchNorm',
    'ScaleAdjacency',
    'ScaleLinear',
    'fuse',
]
