from collections.abc import Callable, Sequence
from os import PathLike

import numpy as np

from pyg_msg3d.data import SkeletonData, SkeletonDataError
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
        root (str or path): The folder. What is processed goes to ``root/processed``.
        split (str, optional): A split that the recordings tell: of ``labels.csv``, or
            ``'xsub_train'`` of a pickle. (default: all recordings)
        skeleton (str or Skeleton, optional): The skeleton; by default one of the
            catalogue with as many joints.
        recipe (str, optional): ``'mmaction2'``, ``'official'`` or none, see
            :func:`pyg_msg3d.transforms.recipe`; they know NTU RGB+D's joints in 3D, and
            any in 2D. (default: :obj:`None`)
        persons (str, optional): Who is in a clip, see :func:`select_persons`; by
            default all, or as the recipe has it.
        transform (callable, optional): Applied to a clip whenever it is read.
        pre_transform (callable, optional): Applied to a clip when it is processed,
            instead of what the recipe has.
        raw (path or sequence of paths, optional): Where the recordings are, if not in
            ``root`` or ``root/raw``.
        num_workers (int, optional): The processes that process, by default one for each
            core.
        strict (bool, optional): Stop at the first recording that cannot be read.
            (default: :obj:`False`)
        force_reload (bool, optional): Process again. (default: :obj:`False`)

    Raises:
        FileNotFoundError: If there are no recordings.
        SkeletonDataError: If none could be read, or, with :obj:`strict`, one; or if the
            skeleton has another number of joints.
    """

    def __init__(
        self,
        root: str | PathLike,
        split: str | None = None,
        skeleton: str | Skeleton | None = None,
        recipe: str | None = None,
        persons: str | None = None,
        transform: Callable[[SkeletonData], SkeletonData] | None = None,
        pre_transform: Callable[[SkeletonData], SkeletonData] | None = None,
        raw: str | PathLike | Sequence[str | PathLike] | None = None,
        num_workers: int | None = None,
        strict: bool = False,
        force_reload: bool = False,
    ) -> None:
        self.split = split
        self._skeleton = None if skeleton is None else look_up(skeleton)
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
        joints = self.store.shape[0]
        if self._skeleton is not None and self._skeleton.num_joints != joints:
            raise SkeletonDataError(
                f"The recordings of '{root}' have {joints} joints, but skeleton "
                f'{self._skeleton.name!r} has {self._skeleton.num_joints}'
            )

    def select(self) -> np.ndarray:
        """The clips of the store that are in the split."""
        if self.split is None:
            return np.arange(len(self.store))
        if self.split not in self.store.splits:
            raise SkeletonDataError(
                f"The recordings of '{self.root}' have no split {self.split!r}; they "
                f'have {", ".join(map(repr, self.store.splits)) or "none"}'
            )
        return self.store.splits[self.split]

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the clips."""
        return self._skeleton or super().skeleton
