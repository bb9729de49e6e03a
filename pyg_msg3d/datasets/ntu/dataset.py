from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.datasets.ntu.protocols import (
    PROTOCOLS,
    SPLITS,
    missing_samples,
    samples,
    split_of,
)
from pyg_msg3d.datasets.splits import check_split
from pyg_msg3d.datasets.store import ClipStore
from pyg_msg3d.datasets.stored import StoredSkeletonDataset
from pyg_msg3d.io import SampleName
from pyg_msg3d.io.ntu import class_names
from pyg_msg3d.skeletons import Skeleton, skeleton

# What other formats call their splits.
_SYNONYMS = {'train': ('train',), 'test': ('test', 'val')}


def _sample(name: str) -> SampleName | None:
    """The sample that a name, or the last part of a path, stands for."""
    return SampleName.parse(PurePosixPath(name).name)


class _NTU(StoredSkeletonDataset):
    benchmark: int

    def __init__(
        self,
        root: str | PathLike,
        split: str | None = 'train',
        protocol: str = 'xsub',
        recipe: str | None = 'mmaction2',
        transform: Callable[[SkeletonData], SkeletonData] | None = None,
        **kwargs: Any,
    ) -> None:
        known = PROTOCOLS[self.benchmark]
        if protocol not in known:
            raise ValueError(
                f"'protocol' must be one of {', '.join(known)} (got {protocol!r})"
            )
        check_split(split, SPLITS[protocol])
        self.split = split
        self.protocol = protocol
        super().__init__(root, recipe=recipe, transform=transform, **kwargs)

    def exclude(self, names: Sequence[str]) -> Sequence[str | None]:
        """For each recording why it is no part of the data set, or None if it is."""
        parsed = [_sample(name) for name in names]
        # Some formats have no names; otherwise other names are other files.
        named = any(parsed)

        def reason(name: str, sample: SampleName | None) -> str | None:
            if named and sample is None:
                return 'not named SsssCcccPpppRrrrAaaa'
            if str(sample) in missing_samples():
                return 'on the list of samples without a usable skeleton'
            if sample and not 1 <= sample.action <= self.benchmark:
                return f'not among the {self.benchmark} actions of the benchmark'
            return None

        return list(map(reason, names, parsed))

    def summary(self, store: ClipStore) -> str:
        """What is said once clips are made: also which are not there."""
        known = set(samples(self.benchmark))
        absent = known.difference(str(_sample(name)) for name in store.names)
        text = super().summary(store)
        if 0 < len(absent) < len(known):
            text += (
                f'\nOf the {len(known):,} samples of NTU RGB+D {self.benchmark}, '
                f'{len(absent):,} were not stored, such as '
                f'{", ".join(sorted(absent)[:3])}.'
            )
        return text

    def select(self) -> np.ndarray:
        """The clips of the store that are in the split."""
        if self.split is None:
            return np.arange(len(self.store))
        parsed = [_sample(name) for name in self.store.names]
        if any(sample is None for sample in parsed):
            return self._select_by_file(self.split)
        chosen = [
            sample is not None and split_of(sample, self.protocol) == self.split
            for sample in parsed
        ]
        return np.flatnonzero(chosen)

    def _select_by_file(self, of: str) -> np.ndarray:
        """Files whose clips have no names of NTU RGB+D tell their splits."""
        for name in _SYNONYMS.get(of, ()):
            for split in (f'{self.protocol}_{name}', name):
                if split in self.store.splits:
                    return self.told(split)
        raise SkeletonDataError(
            f"'{self.store.names[0]}' is no name of NTU RGB+D (SsssCcccPpppRrrrAaaa), "
            f'and its file does not tell which clips are for '
            f'{self.protocol}/{of}. It tells: '
            f'{", ".join(self.store.splits) or "nothing"}'
        )

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton: with the bones of whom the recipe is."""
        num_joints, _ = self.store.shape
        if num_joints != 25:
            return super().skeleton
        of_mmaction = self.recipe is not None and self.recipe.name == 'mmaction2'
        return skeleton('ntu-rgb+d-mmaction' if of_mmaction else 'ntu-rgb+d')

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the actions, in the order of labels."""
        return class_names()[: self.benchmark]


class NTU60(_NTU):
    r"""NTU RGB+D, of the `"NTU RGB+D: A Large Scale Dataset for 3D Human Activity
    Analysis" <https://arxiv.org/abs/1604.02808>`_ paper: 60 actions before three Kinect
    v2, one or two persons of 25 joints in metres.

    ======== ====== ====== =======
    protocol train  test   classes
    ======== ====== ====== =======
    xsub     40,091 16,487 60
    xview    37,646 18,932 60
    ======== ====== ====== =======

    The skeletons are not downloaded: ask for them at
    https://rose1.ntu.edu.sg/dataset/actionRecognition/ and put
    ``nturgbd_skeletons_s001_to_s017.zip`` into ``root/raw``, as it is or unpacked. Of
    other forms, PYSKL's and MMAction2's pickles, 2D or 3D, will do as well, and arrays
    of the authors or of CTR-GCN, whose files hold one protocol each and are normalised
    already (``recipe=None``).

    Processing takes a few minutes of a core, and 300 bytes for a body in a frame: some
    2 GB.

    Args:
        root (str or path): The folder of the data set.
        split (str, optional): :obj:`"train"` or :obj:`"test"`; :obj:`None` for the
            clips of all splits. (default: :obj:`"train"`)
        protocol (str, optional): :obj:`"xsub"` or :obj:`"xview"`.
            (default: :obj:`"xsub"`)
        recipe (str, optional): ``'mmaction2'``, ``'official'`` or none, see
            :func:`pyg_msg3d.transforms.recipe`. (default: ``'mmaction2'``)
        transform (callable, optional): Applied to a clip whenever it is read;
            ``recipe(...).transform(dataset.skeleton)`` makes what models take.
        **kwargs (optional): Other arguments of :class:`StoredSkeletonDataset`: where
            the recordings are, who is in a clip, how to process.

    Raises:
        FileNotFoundError: If there are no recordings.
        SkeletonDataError: If none could be read, or, with :obj:`strict`, one.
    """

    benchmark = 60


class NTU120(_NTU):
    r"""NTU RGB+D 120, of the `"NTU RGB+D 120: A Large-Scale Benchmark for 3D Human
    Activity Understanding" <https://arxiv.org/abs/1905.04757>`_ paper: 60 actions more
    than :class:`NTU60`, whose samples are part of it.

    ======== ====== ====== ======== =======
    protocol train  test   exemplar classes
    ======== ====== ====== ======== =======
    xsub     63,026 50,919          120
    xset     54,468 59,477          120
    oneshot  95,001 18,924 20       120
    ======== ====== ====== ======== =======

    ``'oneshot'``: 100 classes train; 20 others, of which the model sees one exemplar
    each, test. Labels are those of all 120.

    Put ``nturgbd_skeletons_s001_to_s017.zip`` and
    ``nturgbd_skeletons_s018_to_s032.zip`` into ``root/raw``. Arguments and errors are
    those of :class:`NTU60`; the protocols are :obj:`"xsub"`, :obj:`"xset"` and
    :obj:`"oneshot"`, whose splits are :obj:`"train"`, :obj:`"exemplar"` and
    :obj:`"test"`.
    """

    benchmark = 120
