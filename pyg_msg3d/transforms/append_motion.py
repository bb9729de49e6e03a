import torch
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_append_motion')
class AppendMotion(BaseTransform):
    r"""Gives each joint its motion as further channels, :math:`(x_t, m_t)` with
    :math:`m_t = a (x_{t+1} - x_t)`, so that one model sees both (functional name:
    :obj:`skeleton_append_motion`). Where a joint was not seen in both frames, and at
    the last, its motion is zero.

    Args:
        scale (float, optional): The factor :math:`a`, since joints move little from
            one frame to the next. (default: :obj:`5.0`)
    """

    def __init__(self, scale: float = 5.0) -> None:
        self.scale = scale

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip with twice the channels."""
        x, seen = data.x, data.seen
        motion = torch.zeros_like(x)
        both = (seen[..., 1:, :] & seen[..., :-1, :]).unsqueeze(-1)
        step = x[..., 1:, :, :] - x[..., :-1, :, :]
        motion[..., :-1, :, :] = self.scale * step * both
        data.x = torch.cat([x, motion], dim=-1)
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.scale})'
