from torch import Tensor
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_pad_frames')
class PadFrames(BaseTransform):
    r"""Makes clips equally long: zeros follow shorter ones, longer ones are cut
    (functional name: :obj:`skeleton_pad_frames`).

    Args:
        num_frames (int, optional): The number of frames; by default those that there
            are, and those before.
        before (int, optional): How many frames of zeros come first.
            (default: :obj:`0`)
    """

    def __init__(self, num_frames: int | None = None, before: int = 0) -> None:
        self.num_frames = num_frames
        self.before = before

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip with :obj:`num_frames` frames."""
        data.check_one_clip()

        def pad(value: Tensor, _: int) -> Tensor:
            total = self.num_frames or self.before + value.size(1)
            value = value[:, : max(0, total - self.before)]
            padded = value.new_zeros(len(value), total, *value.shape[2:])
            padded[:, self.before : self.before + value.size(1)] = value
            return padded

        return data.at_joints(pad)

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.num_frames}, before={self.before})'
