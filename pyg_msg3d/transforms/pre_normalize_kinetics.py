import torch
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData
from pyg_msg3d.transforms.units import are_shares


@functional_transform('skeleton_pre_normalize_kinetics')
class PreNormalizeKinetics(BaseTransform):
    r"""The normalisation of MS-G3D's authors for Kinetics-skeleton, whose coordinates
    are shares of the image: the middle becomes the origin, :math:`y` points up, and
    joints with a score of zero are zero (functional name:
    :obj:`skeleton_pre_normalize_kinetics`). Pixels are made shares first, by the
    clip's :obj:`image_size`.

    Raises:
        SkeletonDataError: If a clip is in pixels and does not say how large its image
            is; or neither in pixels nor in shares.
    """

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, normalised."""
        size = data.get('image_size')
        x = data.x
        if not are_shares(data, size is not None):
            height, width = size
            x = x / x.new_tensor([width, height])
        x = (x - 0.5) * data.x.new_tensor([1, -1])
        seen = data.score != 0 if 'score' in data else (data.x != 0).any(-1)
        data.x = torch.where(seen.unsqueeze(-1), x, 0)
        return data
