from collections.abc import Callable, Sequence

import numpy as np
import xxhash
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
        """The labels; -1 where they are not known."""
        labels = (self.clips[i].y for i in self.indices())
        return np.array([-1 if label is None else int(label) for label in labels])

    @property
    def names(self) -> list[str]:
        """The names."""
        return [self.clips[i].name for i in self.indices()]

    @property
    def checksums(self) -> np.ndarray:
        """A checksum of each clip, before any transform."""
        clips = (self.clips[i].x.numpy().tobytes() for i in self.indices())
        return np.array([*map(xxhash.xxh3_64_intdigest, clips)], np.uint64)

    def len(self) -> int:
        """The number of clips."""
        return len(self.clips)

    def get(self, idx: int) -> SkeletonData:
        """The clip, before any transform."""
        return self.clips[idx]
