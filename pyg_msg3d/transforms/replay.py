import torch
from torch import Tensor
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_drop_null_frames')
class DropNullFrames(BaseTransform):
    r"""Moves each person who is not there in the first frame to the front, without the
    frames that lack it, as MS-G3D's ``data_gen/preprocess.py`` does (functional name:
    :obj:`skeleton_drop_null_frames`). Persons then may be out of step with each other.
    """

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, its persons moved."""
        data.check_one_clip()
        there = data.x.flatten(2).any(-1)  # [persons, frames]
        late = there.any(1) & ~there[:, 0] if there.numel() else there.any(1)

        def move(value: Tensor, _: int) -> Tensor:
            moved = value.clone()
            for m in late.nonzero()[:, 0].tolist():
                moved[m] = 0
                moved[m, : int(there[m].sum())] = value[m, there[m]]
            return moved

        return data.at_joints(move) if late.any() else data


@functional_transform('skeleton_replay')
class Replay(BaseTransform):
    r"""Makes clips equally long: each person's frames up to the last in which it is
    there are played over and over again (functional name: :obj:`skeleton_replay`).
    Longer clips are cut.

    Args:
        num_frames (int): The number of frames.
    """

    def __init__(self, num_frames: int) -> None:
        self.num_frames = num_frames

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip with :obj:`num_frames` frames."""
        data.check_one_clip()
        there = data.x.flatten(2).any(-1)
        lengths = [int(f.nonzero()[-1]) + 1 if f.any() else 0 for f in there]

        def replay(value: Tensor, _: int) -> Tensor:
            replayed = value.new_zeros(len(value), self.num_frames, *value.shape[2:])
            for m, length in enumerate(lengths):
                if length:
                    replayed[m] = value[m, torch.arange(self.num_frames) % length]
            return replayed

        return data.at_joints(replay)

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.num_frames})'
