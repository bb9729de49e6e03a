from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_min_max_scale')
class MinMaxScale(BaseTransform):
    r"""Scales each coordinate over the whole clip to :math:`[-1, 1]` (functional
    name: :obj:`skeleton_min_max_scale`). A coordinate that never changes becomes
    zero."""

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, scaled."""
        low, high = data.x.amin(dim=(0, 1, 2)), data.x.amax(dim=(0, 1, 2))
        half = (high - low) / 2
        data.x = (data.x - (low + high) / 2) / half.where(half > 0, 1.0)
        return data
