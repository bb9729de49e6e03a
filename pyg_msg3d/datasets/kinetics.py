from collections.abc import Callable, Sequence
from os import PathLike

import numpy as np

from pyg_msg3d.data import SkeletonData, SkeletonDataError
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
        split (str, optional): :obj:`"train"` or :obj:`"test"`.
            (default: :obj:`"train"`)
        recipe (str, optional): ``'official'``, ``'mmaction2'`` or none, see
            :func:`pyg_msg3d.transforms.recipe`. (default: ``'official'``)
        persons (str, optional): Who is in a clip, see :func:`select_persons`; by
            default as the recipe has it, ``'score'`` with ``'official'``.
        transform (callable, optional): Applied to a clip whenever it is read;
            ``recipe(...).transform(dataset.skeleton, dims=2)`` makes what models take.
        pre_transform (callable, optional): Applied to a clip when it is processed,
            instead of what the recipe has.
        raw (path or sequence of paths, optional): Where the recordings are, if not in
            ``root/raw``.
        num_workers (int, optional): The processes that process, by default one for each
            core.
        strict (bool, optional): Stop at the first recording that cannot be read.
            (default: :obj:`False`)
        force_reload (bool, optional): Process again. (default: :obj:`False`)

    Raises:
        FileNotFoundError: If there are no recordings.
        SkeletonDataError: If none could be read, or, with :obj:`strict`, one.
    """

    def __init__(
        self,
        root: str | PathLike,
        split: str = 'train',
        recipe: str | None = 'official',
        persons: str | None = None,
        transform: Callable[[SkeletonData], SkeletonData] | None = None,
        pre_transform: Callable[[SkeletonData], SkeletonData] | None = None,
        raw: str | PathLike | Sequence[str | PathLike] | None = None,
        num_workers: int | None = None,
        strict: bool = False,
        force_reload: bool = False,
    ) -> None:
        if split not in _SPLITS:
            raise ValueError(f"'split' must be 'train' or 'test' (got {split!r})")
        self.split = split
        super().__init__(
            root,
            raw=raw,
            persons=persons,
            recipe=recipe,
            transform=transform,
            pre_transform=pre_transform,
            num_workers=num_workers,
            strict=strict,
            force_reload=force_reload,
        )

    def select(self) -> np.ndarray:
        """The clips of the store that are in the split."""
        name = _SPLITS[self.split]
        if name not in self.store.splits:
            raise SkeletonDataError(
                f"The recordings of '{self.root}' do not tell which are for "
                f'{self.split}: expected kinetics_{name}_label.json or '
                f'{name}_label.pkl beside them'
            )
        return self.store.splits[name]
