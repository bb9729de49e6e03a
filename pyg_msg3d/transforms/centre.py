from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_centre')
class Centre(BaseTransform):
    r"""Moves a clip so that one joint of the first person's first frame lies in the
    origin; the way that the person goes is kept (functional name:
    :obj:`skeleton_centre`).

    Args:
        joint (int): The joint.
        keep_zeros (bool, optional): Leave joints of zeros, which were not seen, and
            absent persons where they are. (default: :obj:`True`)
    """

    def __init__(self, joint: int, keep_zeros: bool = True) -> None:
        self.joint = joint
        self.keep_zeros = keep_zeros

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, moved."""
        moved = data.x - data.x[0, 0, self.joint]
        if self.keep_zeros:
            moved = moved * (data.x != 0).any(-1, keepdim=True)
        data.x = moved
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.joint}, keep_zeros={self.keep_zeros})'
