from torch import Tensor
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_centre')
class Centre(BaseTransform):
    r"""Moves a clip so that one joint of the first person lies in the origin: in the
    first frame in which the person is there and the joint was seen, so that the way
    that the person goes is kept, or in every frame (functional name:
    :obj:`skeleton_centre`). The first person is the first who is there at all; if its
    joint was never seen, the middle of its other joints stands for it.

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
        data.check_one_clip()
        if self.per_frame:
            origin = data.x[:1, :, self.joint : self.joint + 1]
        else:
            origin = self._origin(data)
        moved = data.x - origin
        if self.keep_zeros:
            moved = moved * data.seen.unsqueeze(-1)
        data.x = moved
        return data

    def _origin(self, data: SkeletonData) -> Tensor:
        """Where the joint is first seen ``[C]``."""
        x, seen = data.x, data.seen
        there = seen.any(-1)  # [persons, frames]
        if not there.any():
            return x.new_zeros(x.size(-1))
        person = int(there.any(1).int().argmax())
        with_joint = seen[person, :, self.joint]
        if with_joint.any():
            return x[person, int(with_joint.int().argmax()), self.joint]
        frame = int(there[person].int().argmax())
        return x[person, frame, seen[person, frame]].mean(0)

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}({self.joint}, keep_zeros={self.keep_zeros}, '
            f'per_frame={self.per_frame})'
        )
