"""The streams beside joints: bones and motion, made when a clip is read."""

import torch
from torch import Tensor
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.skeletons import Skeleton
from pyg_msg3d.skeletons import skeleton as look_up


@functional_transform('skeleton_joint_to_bone')
class JointToBone(BaseTransform):
    r"""The bone stream, :math:`b_v = x_v - x_{\mathrm{parent}(v)}`, zero at the root;
    a bone's score is the mean of its ends' (functional name:
    :obj:`skeleton_joint_to_bone`).

    Args:
        skeleton (str or Skeleton): Whose :obj:`parents` make the bones.
    """

    def __init__(self, skeleton: str | Skeleton) -> None:
        self.skeleton = look_up(skeleton)
        self._parents = torch.as_tensor(self.skeleton.parents)

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip's bones."""
        if data.x.size(-2) != len(self._parents):
            raise SkeletonDataError(
                f"'{data.name}' has {data.x.size(-2)} joints, but skeleton "
                f'{self.skeleton.name!r} has {len(self._parents)}'
            )
        data.x = data.x - data.x.index_select(-2, self._parents)
        if 'score' in data:
            data.score = (data.score + data.score[..., self._parents]) / 2
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.skeleton.name!r})'


@functional_transform('skeleton_to_motion')
class ToMotion(BaseTransform):
    r"""The motion stream, :math:`m_t = x_{t+1} - x_t`, zero at the last frame; a
    motion's score is the mean of both frames' (functional name:
    :obj:`skeleton_to_motion`)."""

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip's motion."""
        before = data.x
        data.x = torch.zeros_like(before)
        data.x[..., :-1, :, :] = before[..., 1:, :, :] - before[..., :-1, :, :]
        if 'score' in data:
            score: Tensor = data.score
            data.score = torch.zeros_like(score)
            data.score[..., :-1, :] = (score[..., 1:, :] + score[..., :-1, :]) / 2
        return data
