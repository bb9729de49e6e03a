import torch
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_channel_dropout')
class ChannelDropout(BaseTransform):
    r"""Sets the first channels of a clip to zero, of all joints or of none (functional
    name: :obj:`skeleton_channel_dropout`). After
    :class:`~pyg_msg3d.transforms.AppendMotion`, a model that sees positions in a part
    of the clips alone must learn how joints move as well, and not only who stands
    where: with few clips, people are learned by heart.

    Args:
        channels (int): How many channels.
        p (float, optional): The probability. (default: :obj:`0.5`)
    """

    def __init__(self, channels: int, p: float = 0.5) -> None:
        self.channels = channels
        self.p = p

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, with or without those channels."""
        if torch.rand(()) < self.p:
            data.x = data.x.clone()
            data.x[..., : self.channels] = 0
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.channels}, {self.p})'
