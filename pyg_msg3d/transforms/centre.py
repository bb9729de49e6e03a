from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_centre')
class Centre(BaseTransform):
    r"""Moves a clip so that one joint of the first person lies in the origin: in its
    first frame, so that the way that the person goes is kept, or in every frame
    (functional name: :obj:`skeleton_centre`).

    Args:
        joint (int): The joint.
        keep_zeros (bool, optional): Leave joints of zeros, which were not seen, and
            absent persons where they are. (default: :obj:`True`)
        per_frame (bool, optional): Move every frame by itself, as MS-G3D's authors do.
            (default: :obj:`False`)
    """

    def __init__(
        self, joint: int, keep_zeros: bool = True, per_frame: bool = False
    ) -> None:
        self.joint = joint
        self.keep_zeros = keep_zeros
        self.per_frame = per_frame

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, moved."""
        frames = slice(None) if self.per_frame else slice(1)
        moved = data.x - data.x[:1, frames, self.joint : self.joint + 1]
        if self.keep_zeros:
            moved = moved * (data.x != 0).any(-1, keepdim=True)
        data.x = moved
        return data

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}({self.joint}, keep_zeros={self.keep_zeros}, '
            f'per_frame={self.per_frame})'
        )
