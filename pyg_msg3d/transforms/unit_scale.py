from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_unit_scale')
class UnitScale(BaseTransform):
    r"""Scales a clip by one factor, so that the median distance of the joints that were
    seen from their middle in the same body and frame is 1 (functional name:
    :obj:`skeleton_unit_scale`): metres, millimetres and pixels become the same, and a
    person near the camera as large as one far from it. What is far smaller in one
    dimension stays so."""

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, scaled."""
        seen = data.seen.unsqueeze(-1)
        count = seen.sum(-2, keepdim=True).clamp(min=1)
        middle = (data.x * seen).sum(-2, keepdim=True) / count
        away = (data.x - middle).norm(dim=-1)[data.seen]
        if len(away):
            size = away.median()
            if size > 0:
                data.x = data.x / size
        return data
