import sys
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Dataset

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.datasets.processing import Maker, process
from pyg_msg3d.datasets.store import INDEX, ClipStore
from pyg_msg3d.io import JoinedReader, Reader, read
from pyg_msg3d.skeletons import Skeleton, skeleton, skeleton_names
from pyg_msg3d.transforms import recipe as look_up

_ARCHIVES = ('.zip', '.pkl', '.npz')
_SHOWN = 10


class StoredSkeletonDataset(Dataset):
    r"""Base of data sets that are processed once and then mapped into memory.

    Recordings are looked for in ``root/raw`` or, without it, in ``root``; the processed
    clips, 300 bytes for a body of 25 joints in a frame, lie in ``root/processed``. All
    splits share them.

    Processing runs in parallel, goes on where it was interrupted, and skips recordings
    that cannot be read, which it names in the end and in :attr:`report`.

    Args:
        root (str or path): The folder of the data set.
        raw (path or sequence of paths, optional): Where the recordings are, if not
            there: anything that :func:`pyg_msg3d.io.read` knows.
        persons (str, optional): Who is in a clip, see :func:`select_persons`; by
            default as the recipe has it, or all.
        recipe (str, optional): What is done to a clip when it is processed, see
            :func:`pyg_msg3d.transforms.recipe`; :obj:`None` leaves coordinates as they
            are.
        transform (callable, optional): Applied to a clip whenever it is read.
        pre_transform (callable, optional): Applied to a clip when it is processed,
            instead of what the recipe has.
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
        raw: str | PathLike | Sequence[str | PathLike] | None = None,
        persons: str | None = None,
        recipe: str | None = None,
        transform: Callable[[SkeletonData], SkeletonData] | None = None,
        pre_transform: Callable[[SkeletonData], SkeletonData] | None = None,
        num_workers: int | None = None,
        strict: bool = False,
        force_reload: bool = False,
    ) -> None:
        self._raw = raw
        self.persons = persons
        self.recipe = None if recipe is None else look_up(recipe)
        self._num_workers = num_workers
        self._strict = strict
        self.pre_transform = pre_transform
        if force_reload or self.has_changed(Path(root)):
            (self._folder(Path(root)) / INDEX).unlink(missing_ok=True)
        super().__init__(str(root), transform, pre_transform)
        self.store = ClipStore(Path(self.processed_dir))
        self._selected = self.select()

    # What a data set says of itself --------------------------------------------

    def exclude(self, names: Sequence[str]) -> Sequence[str | None]:
        """For each recording why it is no part of the data set, or None if it is."""
        return [None] * len(names)

    def has_changed(self, root: Path) -> bool:
        """Whether the recordings are others than those that were processed. Data sets
        that are published once and for all do not look."""
        return False

    @abstractmethod
    def select(self) -> np.ndarray:
        """The clips of the store that are in the split."""

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the clips."""
        return skeleton_of(self.store.shape[0])

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of labels."""
        if self.store.classes:
            return tuple(self.store.classes)
        return tuple(str(label) for label in range(int(self.store.labels.max()) + 1))

    # PyG's data set ------------------------------------------------------------

    def _folder(self, root: Path) -> Path:
        persons = self.persons or 'default'
        name = 'unchanged' if self.recipe is None else self.recipe.name
        return root / 'processed' / f'{type(self).__name__}-{name}-{persons}'

    @property
    def processed_dir(self) -> str:
        """The folder of the processed clips."""
        return str(self._folder(Path(self.root)))

    @property
    def processed_file_names(self) -> list[str]:
        """The file that is written last."""
        return [INDEX]

    def process(self) -> None:
        """Makes clips of the recordings; see :class:`StoredSkeletonDataset`."""
        maker, excluded = self._maker(Path(self.root))
        if process(maker, Path(self.processed_dir), excluded, self._num_workers):
            store = ClipStore(Path(self.processed_dir))
            print(self.summary(store), file=sys.stderr)

    def summary(self, store: ClipStore) -> str:
        """What is said once clips are made."""
        return _summary(store.report)

    def _maker(self, root: Path) -> tuple[Maker, dict[str, int]]:
        """What makes the clips; and how many recordings are excluded, by reason."""
        reader = self._reader(root)
        reasons = self.exclude(reader.names)
        excluded = Counter(reason for reason in reasons if reason is not None)
        indices = [index for index, reason in enumerate(reasons) if reason is None]
        maker = Maker(
            reader, indices, self.persons, self.recipe, self.pre_transform, self._strict
        )
        return maker, excluded

    def _reader(self, root: Path) -> Reader:
        raw = self._raw
        if raw is None:
            raw = find_recordings(root)
        if isinstance(raw, str | PathLike):
            return read(raw)
        paths = list(raw)
        return read(paths[0]) if len(paths) == 1 else JoinedReader(paths)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def report(self) -> dict[str, Any]:
        """How many clips were stored, and which recordings were skipped and why."""
        return self.store.report

    @property
    def labels(self) -> np.ndarray:
        """The labels, without reading the clips."""
        return self.store.labels[self._selected[list(self.indices())]]

    def len(self) -> int:
        """The number of clips in the split."""
        return len(self._selected)

    def get(self, idx: int) -> SkeletonData:
        """The clip, before any transform."""
        clip = self.store[int(self._selected[idx])]
        data = SkeletonData(torch.from_numpy(clip.keypoints), clip.label, clip.name)
        if clip.score is not None:
            data.score = torch.from_numpy(clip.score)
        if clip.image_size is not None:
            data.image_size = clip.image_size
        return data


def find_recordings(root: Path) -> Path | list[Path]:
    """Where a data set's recordings are: the archives in ``root/raw`` or ``root``, or
    else that folder itself."""
    folder = root / 'raw' if (root / 'raw').is_dir() else root
    files = [file for file in sorted(folder.iterdir()) if file.name != 'processed']
    if not files:
        raise FileNotFoundError(
            f"There is nothing in '{folder}'. Put the recordings into "
            f"'{root / 'raw'}', or say where they are with raw=..."
        )
    archives = [
        file
        for file in files
        if file.suffix.lower() in _ARCHIVES and not file.name.endswith('_label.pkl')
    ]
    if (folder / 'labels.csv').exists() or not archives:
        return folder
    if len({archive.suffix for archive in archives}) > 1:
        raise SkeletonDataError(
            f"'{folder}' holds several kinds of archives, "
            f'{", ".join(archive.name for archive in archives[:_SHOWN])}; say which '
            f'to read with raw=...'
        )
    return archives


def skeleton_of(num_joints: int) -> Skeleton:
    """The first skeleton of the catalogue that has so many joints."""
    for name in skeleton_names():
        if skeleton(name).num_joints == num_joints:
            return skeleton(name)
    raise SkeletonDataError(
        f'No skeleton of the catalogue has {num_joints} joints; pass yours as '
        f'skeleton=...'
    )


def _summary(report: dict[str, Any]) -> str:
    lines = [f'Stored {report["stored"]:,} clips.']
    for reason, count in report['excluded'].items():
        lines.append(f'Left out {count:,}: {reason}.')
    skipped = report['skipped']
    if skipped:
        lines.append(f'Skipped {len(skipped):,}:')
        lines += [f'    {reason}' for reason in list(skipped.values())[:_SHOWN]]
        if len(skipped) > _SHOWN:
            lines.append(f'    ... and {len(skipped) - _SHOWN:,} more, in report.json')
    return '\n'.join(lines)
