import torch
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_score_channel')
class ScoreChannel(BaseTransform):
    r"""Makes the scores of a 2D clip its third channel, as MMAction2 and PYSKL do
    (functional name: :obj:`skeleton_score_channel`). A clip without scores stays as it
    is; of a clip in three dimensions, scores are dropped, since models see none."""

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip with its scores in :obj:`x`."""
        if 'score' in data:
            if data.x.size(-1) == 2:
                data.x = torch.cat([data.x, data.score.unsqueeze(-1)], dim=-1)
            del data.score
        return data
