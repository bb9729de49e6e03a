from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_centre')
class Centre(BaseTransform):
    r"""Moves a clip so that one joint of the first person's first frame lies in the
    origin; the way that the person goes is kept (functional name:
    :obj:`skeleton_centre`). Joints of zeros, which were not seen, stay zero.

    Args:
        joint (int): The joint.
    """

    def __init__(self, joint: int) -> None:
        self.joint = joint

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, moved."""
        seen = (data.x != 0).any(-1, keepdim=True)
        data.x = (data.x - data.x[0, 0, self.joint]) * seen
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.joint})'
