from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_pad_frames')
class PadFrames(BaseTransform):
    r"""Makes clips equally long: zeros follow shorter ones, longer ones are cut
    (functional name: :obj:`skeleton_pad_frames`).

    Args:
        num_frames (int): The number of frames.
    """

    def __init__(self, num_frames: int) -> None:
        self.num_frames = num_frames

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip with :obj:`num_frames` frames."""
        for key in ('x', 'score'):
            if key in data:
                value = data[key][:, : self.num_frames]
                shape = (len(value), self.num_frames, *value.shape[2:])
                data[key] = value.new_zeros(shape)
                data[key][:, : value.size(1)] = value
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.num_frames})'
