from collections.abc import Callable, Sequence

import numpy as np
from torch_geometric.data import Dataset

from pyg_msg3d.data import SkeletonData
from pyg_msg3d.skeletons import Skeleton


class InMemorySkeletonDataset(Dataset):
    r"""Clips held in memory, of any length each; a PyG dataset, so that it can be
    indexed, sliced, shuffled and given to a
    :class:`~torch_geometric.loader.DataLoader`.

    Args:
        clips (sequence of SkeletonData): The clips.
        skeleton (Skeleton): Their skeleton.
        classes (sequence of str): The names of the classes, in the order of labels.
        transform (callable, optional): Applied to a clip whenever it is read.
    """

    def __init__(
        self,
        clips: Sequence[SkeletonData],
        skeleton: Skeleton,
        classes: Sequence[str],
        transform: Callable[[SkeletonData], SkeletonData] | None = None,
    ) -> None:
        super().__init__(transform=transform)
        self.clips = list(clips)
        self.skeleton = skeleton
        self.classes = tuple(classes)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def labels(self) -> np.ndarray:
        """The labels."""
        return np.array([int(self.clips[i].y) for i in self.indices()])

    def len(self) -> int:
        """The number of clips."""
        return len(self.clips)

    def get(self, idx: int) -> SkeletonData:
        """The clip, before any transform."""
        return self.clips[idx]
