from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.data.errors import printable, say_assumed
from pyg_msg3d.datasets.division import divide
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
    ``score`` and ``image_size``; or any other that is known. Or there is a folder for
    each class.

    Args:
        root (str or path): The folder. What is processed goes to ``root/processed``,
            and is processed again when recordings, labels or splits have changed.
        split (str, optional): A split that the recordings tell: of ``labels.csv``, or
            ``'xsub_train'`` of a pickle; :obj:`None` for all recordings, whatever their
            split. Where they tell no splits at all, ``'train'`` is all of them too.
            Recordings that a table puts into no split are left out of all, which is
            said. (default: :obj:`"train"`)
        skeleton (str or Skeleton, optional): The skeleton; by default that of the
            format, or of so many joints, where there is only one. Of files that hold
            more joints, those of this one are taken, by name.
        recipe (str, optional): ``'mmaction2'``, ``'official'`` or none, see
            :func:`pyg_msg3d.transforms.recipe`; they know NTU RGB+D's joints in 3D, and
            any in 2D. (default: :obj:`None`)
        transform (callable, optional): Applied to a clip whenever it is read.
        test_share (float, optional): Where the recordings tell no splits, the share
            that is to be the split ``'test'``, the rest being ``'train'``: all
            recordings of some subjects, where their names tell subjects, or else some
            of each class by chance; which is said.
        split_by (str, optional): ``'subject'``, ``'chance'`` or ``'auto'``, see there.
            (default: ``'auto'``)
        split_seed (int, optional): The seed of that choice. (default: :obj:`0`)
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
        test_share: float | None = None,
        split_by: str = 'auto',
        split_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        self.split = split
        self._division = test_share, split_by, split_seed
        self._skeleton = None if skeleton is None else look_up(skeleton)
        super().__init__(
            root, recipe=recipe, transform=transform, joints_of=self._skeleton, **kwargs
        )
        joints = self.store.shape[0]
        if self._skeleton is not None and self._skeleton.num_joints != joints:
            raise SkeletonDataError(
                f"The recordings of '{printable(root)}' have {joints} joints, but "
                f'skeleton {self._skeleton.name!r} has {self._skeleton.num_joints}'
            )

        told = self.store.skeleton
        if self._skeleton is not None and told is not None:
            theirs = look_up(told)
            if theirs.joints != self._skeleton.joints:
                say_assumed(
                    f"The joints of '{printable(root)}', those of {told!r}, are taken "
                    f'for those of {self._skeleton.name!r} by their places'
                )

    def select(self) -> np.ndarray:
        """The clips of the store that are in the split."""
        splits = self.store.splits
        share, by, seed = self._division
        if not splits and share is not None and self.split is not None:
            return self._divided(share, by, seed)
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

    def _divided(self, share: float, by: str, seed: int) -> np.ndarray:
        names, labels = self.store.names.tolist(), self.store.labels
        tests, how = divide(names, labels, share, by, seed)
        known = labels >= 0
        if self.split not in ('train', 'test'):
            raise SkeletonDataError(
                f"The recordings of '{self.root}' tell no splits, so that they are "
                f"divided into 'train' and 'test' (got split={self.split!r})"
            )
        if self.split == 'train':
            left = (~known).sum()
            say_assumed(
                f"The recordings of '{printable(self.root)}' tell no splits: "
                f'{tests.sum():,} of {known.sum():,} test, chosen {how}'
                + (f'; {left:,} without a label are left out' if left else '')
            )
        return np.flatnonzero(tests if self.split == 'test' else known & ~tests)

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the clips."""
        return self._skeleton or super().skeleton
