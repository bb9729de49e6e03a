import numpy as np
import torch
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_fill_gaps')
class FillGaps(BaseTransform):
    r"""Fills gaps in the tracks of joints: where a joint was not seen for a few frames,
    it goes straight from where it was seen last to where it is seen next, and its score
    likewise (functional name: :obj:`skeleton_fill_gaps`). Before the first and after
    the last frame in which it was seen, nothing is filled.

    Args:
        most (int, optional): The longest gap that is filled, in frames.
            (default: :obj:`10`)
    """

    def __init__(self, most: int = 10) -> None:
        self.most = most

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, its gaps filled."""
        data.check_one_clip()
        seen = data.seen.numpy()
        filled = [data.x.numpy().copy()]
        if 'score' in data:
            filled.append(data.score.numpy().copy()[..., None])
        for person, joint in np.ndindex(seen.shape[0], seen.shape[2]):
            known = np.flatnonzero(seen[person, :, joint])
            gaps = np.diff(known) - 1
            for gap in np.flatnonzero((gaps > 0) & (gaps <= self.most)):
                begin, end = known[gap], known[gap + 1]
                share = np.arange(1, end - begin)[:, None] / (end - begin)
                for array in filled:
                    track = array[person, :, joint]
                    track[begin + 1 : end] = (1 - share) * track[begin] + share * track[
                        end
                    ]
        data.x = torch.from_numpy(filled[0])
        if 'score' in data:
            data.score = torch.from_numpy(filled[1][..., 0])
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.most})'
