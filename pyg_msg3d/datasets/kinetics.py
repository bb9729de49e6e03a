from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.datasets.splits import check_split
from pyg_msg3d.datasets.stored import StoredSkeletonDataset

# Which of the files' splits: there, the test split is called val.
_SPLITS = {'train': 'train', 'test': 'val'}


class KineticsSkeleton(StoredSkeletonDataset):
    r"""Kinetics-skeleton, of the `"Spatial Temporal Graph Convolutional Networks for
    Skeleton-Based Action Recognition" <https://arxiv.org/abs/1801.07455>`_ paper:
    OpenPose's 18 joints with scores in ten-second videos of 400 actions, some 240,000
    for training and 20,000 for testing.

    The skeletons are not downloaded: put ``kinetics_train``, ``kinetics_val`` and their
    ``_label.json``, as ST-GCN's authors distribute them, into ``root/raw``. The
    ``*_data_joint.npy`` with ``*_label.pkl`` of MS-G3D's authors will do as well.

    Clips without any skeleton are skipped and counted, as the authors do.

    Args:
        root (str or path): The folder of the data set.
        split (str, optional): :obj:`"train"` or :obj:`"test"`; :obj:`None` for the
            clips of all splits. (default: :obj:`"train"`)
        recipe (str, optional): ``'official'``, ``'mmaction2'`` or none, see
            :func:`pyg_msg3d.transforms.recipe`. (default: ``'official'``)
        transform (callable, optional): Applied to a clip whenever it is read;
            ``recipe(...).transform(dataset.skeleton, dims=2)`` makes what models take.
        **kwargs (optional): Other arguments of :class:`StoredSkeletonDataset`: where
            the recordings are, who is in a clip, how to process.

    Raises:
        FileNotFoundError: If there are no recordings.
        SkeletonDataError: If none could be read, or, with :obj:`strict`, one.
    """

    def __init__(
        self,
        root: str | PathLike,
        split: str | None = 'train',
        recipe: str | None = 'official',
        transform: Callable[[SkeletonData], SkeletonData] | None = None,
        **kwargs: Any,
    ) -> None:
        check_split(split, [*_SPLITS])
        self.split = split
        super().__init__(root, recipe=recipe, transform=transform, **kwargs)

    def select(self) -> np.ndarray:
        """The clips of the store that are in the split."""
        if self.split is None:
            return np.arange(len(self.store))
        name = _SPLITS[self.split]
        if name not in self.store.splits:
            raise SkeletonDataError(
                f"The recordings of '{self.root}' do not tell which are for "
                f'{self.split}: expected kinetics_{name}_label.json or '
                f'{name}_label.pkl beside them'
            )
        return self.told(name)
