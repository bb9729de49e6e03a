from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_min_max_scale')
class MinMaxScale(BaseTransform):
    r"""Scales each coordinate over the whole clip to :math:`[-1, 1]` (functional
    name: :obj:`skeleton_min_max_scale`). A coordinate that never changes becomes
    zero.

    Args:
        keep_zeros (bool, optional): Leave joints of zeros, which were not seen, where
            they are, and out of the scale. (default: :obj:`True`)
    """

    def __init__(self, keep_zeros: bool = True) -> None:
        self.keep_zeros = keep_zeros

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, scaled."""
        x = data.x
        seen = data.seen if self.keep_zeros else x.new_ones(x.shape[:-1]).bool()
        if not seen.any():
            return data
        low, high = x[seen].amin(0), x[seen].amax(0)
        half = (high - low) / 2
        scaled = (x - (low + high) / 2) / half.where(half > 0, 1.0)
        data.x = scaled.where(seen.unsqueeze(-1), x)
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(keep_zeros={self.keep_zeros})'
