import torch
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_pre_normalize_kinetics')
class PreNormalizeKinetics(BaseTransform):
    r"""The normalisation of MS-G3D's authors for Kinetics-skeleton, whose coordinates
    are shares of the image: the middle becomes the origin, :math:`y` points up, and
    joints with a score of zero are zero (functional name:
    :obj:`skeleton_pre_normalize_kinetics`)."""

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, normalised."""
        x = (data.x - 0.5) * data.x.new_tensor([1, -1])
        seen = data.score != 0 if 'score' in data else (data.x != 0).any(-1)
        data.x = torch.where(seen.unsqueeze(-1), x, 0)
        return data
