from operator import not_

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData
from pyg_msg3d.transforms.renamed import renamed


@functional_transform('skeleton_uniform_sample_frames')
class UniformSampleFrames(BaseTransform):
    r"""MMAction2's and PYSKL's way to clips of :math:`L` frames (functional name:
    :obj:`skeleton_uniform_sample_frames`). Of :math:`T` frames,

    - :math:`T < L`: :math:`L` consecutive ones, from the first again after the last;
    - :math:`L \leq T < 2L`: all in order but :math:`T - L` that are skipped at random;
    - :math:`T \geq 2L`: one at random of each of :math:`L` equal parts.

    For testing, the same frames come for the same length every time: those that the
    generator of ``np.random.seed(255)`` draws in MMAction2's code, as in its published
    results.

    Args:
        num_frames (int): The number of frames, :math:`L`.
        num_clips (int, optional): How many clips; with more than one, :obj:`x` gets
            a leading dimension of clips. (default: :obj:`1`)
        train (bool, optional): Draw other frames every time, for training, instead of
            those of :obj:`seed`. (default: :obj:`True`)
        seed (int, optional): The seed for testing. (default: :obj:`255`)
    """

    # By keyword alone: the argument had been `test`, the opposite, in the same place.
    @renamed('test', 'train', convert=not_)
    def __init__(
        self,
        num_frames: int,
        num_clips: int = 1,
        *,
        train: bool = True,
        seed: int = 255,
    ) -> None:
        self.num_frames = num_frames
        self.num_clips = num_clips
        self.train = train
        self.seed = seed

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, or the clips, of :obj:`num_frames` frames."""
        data.check_one_clip()
        frames = self.frames(data.x.size(1))

        def sample(value: Tensor, _: int) -> Tensor:
            value = value[:, frames]
            if self.num_clips > 1:
                value = value.unflatten(1, (self.num_clips, -1)).transpose(0, 1)
            return value

        return data.at_joints(sample)

    def frames(self, length: int) -> Tensor:
        """The frames of all clips, one clip after the other, of so many."""
        if length < 1:
            raise ValueError('A clip without frames cannot be sampled')
        if not self.train:
            return torch.from_numpy(self._test_frames(length))
        return torch.cat([self._train_frames(length) for _ in range(self.num_clips)])

    def _train_frames(self, length: int) -> Tensor:
        n = self.num_frames
        steps = torch.arange(n)
        if length < n:
            return (torch.randint(length, ()) + steps) % length
        if length < 2 * n:
            skip = torch.randperm(n + 1)[: length - n]
            return steps + torch.from_numpy(_skips(n, skip.numpy()))
        bounds = torch.arange(n + 1) * length // n
        return bounds[:-1] + (torch.rand(n) * bounds.diff()).long()

    def _test_frames(self, length: int) -> np.ndarray:
        # The legacy generator, in a state of its own.
        rng = np.random.RandomState(self.seed)
        n, clips = self.num_frames, range(self.num_clips)
        if length < n:
            few = length < self.num_clips
            starts = [i if few else i * length // self.num_clips for i in clips]
            return (np.add.outer(starts, np.arange(n)) % length).ravel()
        if length < 2 * n:
            skips = [rng.choice(n + 1, length - n, replace=False) for _ in clips]
            return np.concatenate([np.arange(n) + _skips(n, skip) for skip in skips])
        bounds = np.arange(n + 1) * length // n
        sizes = np.diff(bounds)
        return np.concatenate([bounds[:-1] + rng.randint(sizes) for _ in clips])

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}({self.num_frames}, '
            f'num_clips={self.num_clips}, train={self.train}, seed={self.seed})'
        )


def _skips(num_frames: int, places: np.ndarray) -> np.ndarray:
    """How many frames were skipped before each that is taken."""
    skipped = np.zeros(num_frames + 1, np.int64)
    skipped[places] = 1
    return np.cumsum(skipped)[:-1]
