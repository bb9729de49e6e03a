from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.skeletons import Skeleton
from pyg_msg3d.skeletons import skeleton as look_up


@functional_transform('skeleton_add_bones')
class AddBones(BaseTransform):
    r"""Gives a clip the bones of its skeleton as :obj:`edge_index`, in both
    directions, where PyG's transforms and functions look for a graph (functional name:
    :obj:`skeleton_add_bones`).

    The nodes are the joints: :obj:`num_nodes` is :math:`V`, of a batch of :math:`N`
    clips :math:`N V`. Models of one static graph need no bones in each clip, and
    batches are made faster without.

    Args:
        skeleton (str or Skeleton): The skeleton.

    Raises:
        SkeletonDataError: If the clip has another number of joints.
    """

    def __init__(self, skeleton: str | Skeleton) -> None:
        self.skeleton = look_up(skeleton)
        self._edge_index = self.skeleton.edge_index

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip with its bones."""
        joints = data.x.size(-2)
        if joints != self.skeleton.num_joints:
            raise SkeletonDataError(
                f"'{printable(data.name)}' has {joints} joints, but skeleton "
                f'{self.skeleton.name!r} has {self.skeleton.num_joints}'
            )
        data.edge_index = self._edge_index
        data.num_nodes = joints
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.skeleton.name!r})'
