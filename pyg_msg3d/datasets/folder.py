from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.datasets.stored import StoredSkeletonDataset
from pyg_msg3d.skeletons import Skeleton
from pyg_msg3d.skeletons import skeleton as look_up


class SkeletonFolder(StoredSkeletonDataset):
    r"""Your own recordings, or those of any file that :func:`pyg_msg3d.io.read` knows.

    The plainest is a folder with ``labels.csv``::

        file,label,split
        walk/clip1.npz,walk,train
        fall/clip2.npy,fall,test

    and, beside it, those files: ``.npy`` with key points :math:`(T, V, C)` or
    :math:`(M, T, V, C)`; ``.npz`` or ``.json`` with ``keypoints`` and, where known,
    ``score`` and ``image_size``; or ``.skeleton``.

    Args:
        root (str or path): The folder. What is processed goes to ``root/processed``,
            and is processed again when recordings, labels or splits have changed.
        split (str, optional): A split that the recordings tell: of ``labels.csv``, or
            ``'xsub_train'`` of a pickle; :obj:`None` for all recordings, whatever their
            split. Where they tell no splits at all, ``'train'`` is all of them too.
            Recordings that a table puts into no split are left out of all, which is
            said. (default: :obj:`"train"`)
        skeleton (str or Skeleton, optional): The skeleton; by default that of the
            format, or of so many joints, where there is only one.
        recipe (str, optional): ``'mmaction2'``, ``'official'`` or none, see
            :func:`pyg_msg3d.transforms.recipe`; they know NTU RGB+D's joints in 3D, and
            any in 2D. (default: :obj:`None`)
        transform (callable, optional): Applied to a clip whenever it is read.
        **kwargs (optional): Other arguments of :class:`StoredSkeletonDataset`: where
            the recordings are, who is in a clip, how to process.

    Raises:
        FileNotFoundError: If there are no recordings.
        SkeletonDataError: If none could be read, or, with :obj:`strict`, one; if the
            skeleton has another number of joints; or if there is no such split.
    """

    def __init__(
        self,
        root: str | PathLike,
        split: str | None = 'train',
        skeleton: str | Skeleton | None = None,
        recipe: str | None = None,
        transform: Callable[[SkeletonData], SkeletonData] | None = None,
        **kwargs: Any,
    ) -> None:
        self.split = split
        self._skeleton = None if skeleton is None else look_up(skeleton)
        super().__init__(root, recipe=recipe, transform=transform, **kwargs)
        joints = self.store.shape[0]
        if self._skeleton is not None and self._skeleton.num_joints != joints:
            raise SkeletonDataError(
                f"The recordings of '{printable(root)}' have {joints} joints, but "
                f'skeleton {self._skeleton.name!r} has {self._skeleton.num_joints}'
            )

    def select(self) -> np.ndarray:
        """The clips of the store that are in the split."""
        splits = self.store.splits
        # Without any splits, all there is is what a model may learn from; to test on it
        # is refused, so that nobody tests on what was trained on without a word.
        if self.split is None or (self.split == 'train' and not splits):
            return np.arange(len(self.store))
        if self.split not in splits:
            raise SkeletonDataError(
                f"The recordings of '{self.root}' have no split {self.split!r}; they "
                f'have {", ".join(map(repr, splits)) or "none"}. Say one of them, or '
                f'split=None for all recordings'
            )
        return self.told(self.split)

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the clips."""
        return self._skeleton or super().skeleton
