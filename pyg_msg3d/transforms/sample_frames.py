import torch
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.transforms.renamed import renamed


@functional_transform('skeleton_sample_frames')
class SampleFrames(BaseTransform):
    r"""Samples a fixed number of frames, one from each of as many equal parts of the
    clip (functional name: :obj:`skeleton_sample_frames`). Short clips repeat frames.

    Args:
        num_frames (int): The number of frames.
        train (bool, optional): Take a random frame of each part, for training,
            instead of the middle one. (default: :obj:`False`)
    """

    @renamed('random', 'train')
    def __init__(self, num_frames: int, train: bool = False) -> None:
        self.num_frames = num_frames
        self.train = train

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip with :obj:`num_frames` frames."""
        data.check_one_clip()
        n, length = self.num_frames, data.x.size(1)
        within = torch.rand(n) if self.train else torch.full((n,), 0.5)
        if length < 1:
            raise SkeletonDataError(f"'{data.name}' has no frames to sample")
        frames = ((torch.arange(n) + within) * length / n).long().clamp(max=length - 1)
        return data.at_joints(lambda value, _: value[:, frames])

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.num_frames}, train={self.train})'
