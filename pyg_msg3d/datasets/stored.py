import hashlib
import shutil
import sys
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch_geometric.data import Dataset

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.data.errors import printable, say_assumed
from pyg_msg3d.datasets.processing import Maker, how_made, make_clips
from pyg_msg3d.datasets.sources import describe, differences, fingerprint
from pyg_msg3d.datasets.store import INDEX, ClipStore, OtherVersionError
from pyg_msg3d.io import JoinedReader, Reader, read
from pyg_msg3d.io.files import is_junk
from pyg_msg3d.io.reader import check_unique
from pyg_msg3d.skeletons import Skeleton, guess_skeleton, skeleton
from pyg_msg3d.transforms import recipe as look_up

_ARCHIVES = ('.zip', '.pkl', '.npz')
_SHOWN = 10


# How often clips are made anew that change while they are read.
_TRIES = 3


class StoredSkeletonDataset(Dataset):
    r"""Base of data sets that are processed once and then read clip by clip.

    Recordings are looked for in ``root/raw`` or, without it, in ``root``; the processed
    clips, 300 bytes for a body of 25 joints in a frame, lie in ``root/processed``. All
    splits share them. They are made anew, which is said, once recordings, labels or
    splits have been written anew, or another version of the library, other arguments
    or another :obj:`pre_transform` would make others; where the recordings are not at
    hand any more, the clips serve without them. Each clip is compared with its checksum
    when it is read.

    Processing runs in parallel, goes on where it was interrupted, and skips recordings
    that cannot be read, which it names in the end and in :attr:`report`.

    Args:
        root (str or path): The folder of the data set.
        raw (path or sequence of paths, optional): Where the recordings are, if not
            there: anything that :func:`pyg_msg3d.io.read` knows.
        layout (str, optional): What the dimensions of arrays are, see
            :func:`pyg_msg3d.io.read`.
        coordinates (str, optional): What the numbers of a joint are, see there.
        first_label (int, optional): The number of the first class, see there.
        joints_of (Skeleton, optional): Whose joints are taken of files that hold more,
            see there.
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
        layout: str | None = None,
        coordinates: str | None = None,
        first_label: int | None = None,
        joints_of: Skeleton | None = None,
        num_workers: int | None = None,
        strict: bool = False,
        force_reload: bool = False,
    ) -> None:
        self._raw = raw
        options = {
            'layout': layout, 'coordinates': coordinates, 'first_label': first_label,
        }  # fmt: skip
        self._options: dict[str, Any] = {
            k: v for k, v in options.items() if v is not None
        }
        self._joints_of = joints_of
        self.persons = persons
        self.recipe = None if recipe is None else look_up(recipe)
        self._num_workers = num_workers
        self._strict = strict
        self.pre_transform = pre_transform
        self._place = Path(root)
        self.store = self._open(force_reload)
        if strict and self.report['skipped']:
            raise SkeletonDataError(
                'strict=True, and of the recordings were skipped: '
                + '; '.join([*self.report['skipped'].values()][:_SHOWN])
            )
        super().__init__(str(root), transform, pre_transform)
        self._selected = self.select()

    # What a data set says of itself --------------------------------------------

    def exclude(self, names: Sequence[str]) -> Sequence[str | None]:
        """For each recording why it is no part of the data set, or None if it is."""
        return [None] * len(names)

    @abstractmethod
    def select(self) -> np.ndarray:
        """The clips of the store that are in the split."""

    def told(self, split: str) -> np.ndarray:
        """The clips of a split that the recordings tell; and says how many they put
        into no split at all, which no split brings back.

        Args:
            split (str): One of the store's splits.
        """
        splits = self.store.splits
        outside = np.ones(len(self.store), bool)
        for clips in splits.values():
            outside[clips] = False
        if outside.any():
            name = self.store.names[int(outside.argmax())]
            say_assumed(
                f"Of the recordings of '{printable(self._place)}', {outside.sum():,} "
                f'are in no split and left out, such as {printable(name)!r}; '
                f'split=None takes all'
            )
        return splits[split]

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the clips: that of their format, or one with as many joints
        where there is only one.

        Raises:
            SkeletonDataError: If it may be one of several.
        """
        if self.store.skeleton is not None:
            return skeleton(self.store.skeleton)
        return guess_skeleton(*self.store.shape)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of labels."""
        if self.store.classes:
            return tuple(self.store.classes)
        return tuple(str(label) for label in range(int(self.store.labels.max()) + 1))

    # Where the clips are ----------------------------------------------------------

    def _folder(self) -> Path:
        persons = self.persons or 'default'
        name = 'unchanged' if self.recipe is None else self.recipe.name
        folder = f'{type(self).__name__}-{name}-{persons}'
        joints = () if self._joints_of is None else self._joints_of.joints
        if self.pre_transform is not None or self._options or joints:
            parts: list[Any] = [describe(self.pre_transform), self._options]
            more = repr([*parts, joints] if joints else parts)
            folder += f'-{hashlib.sha256(more.encode()).hexdigest()[:8]}'
        return self._place / 'processed' / folder

    def _key(self, paths: Sequence[Path] | None) -> dict[str, Any]:
        """What the clips should be made of, and how."""
        key = {
            **how_made(self.persons, self.recipe, self.pre_transform),
            **self._options,
        }
        if self._joints_of is not None:
            key['joints'] = [*self._joints_of.joints]
        return key if paths is None else {**key, 'sources': fingerprint(paths)}

    def _open(self, force_reload: bool) -> ClipStore:
        """The clips as they should be now, made anew if they are not."""
        folder = self._folder()
        try:
            paths: list[Path] | None = self._paths()
        except FileNotFoundError:
            if self._raw is not None or not folder.exists():
                raise
            paths = None  # The clips serve without their recordings.
        maker = None
        if paths is not None and not folder.parent.exists():
            maker = self._maker(paths)  # Of what is no recording, nothing is left.
        with _locked(folder):
            for _ in range(_TRIES):
                key = self._key(paths)
                store = None if force_reload else self._what_is_there(folder, key)
                if store is not None:
                    return store
                if paths is None:
                    raise FileNotFoundError(
                        f"The clips in '{printable(folder)}' cannot be made anew, as "
                        f"there are no recordings in '{printable(self._place)}'"
                    )
                self._make(folder, key, maker or self._maker(paths))
                force_reload, maker = False, None
        raise SkeletonDataError(
            f"The recordings of '{printable(self._place)}' change while they are read"
        )

    def _what_is_there(self, folder: Path, key: dict[str, Any]) -> ClipStore | None:
        """The clips, if they are what the key says."""
        unfinished, old = _beside(folder)
        if old.exists() and not folder.exists():
            # Killed when the new ones took their place.
            (unfinished if (unfinished / INDEX).exists() else old).replace(folder)
        shutil.rmtree(old, ignore_errors=True)
        if not (folder / INDEX).exists():
            return None
        try:
            store = ClipStore(folder)
        except OtherVersionError as error:
            self._say(f'{error}')
            return None
        changed = differences(store.key, key)
        if changed:
            self._say('; '.join(changed))
            return None
        return store

    def _say(self, reason: str) -> None:
        name = printable(self._place)
        print(f"The clips of '{name}' are made anew: {reason}", file=sys.stderr)

    def _make(
        self, folder: Path, key: dict[str, Any], made_by: tuple[Maker, dict[str, int]]
    ) -> None:
        """Makes the clips beside those that are there, and puts them in their place."""
        maker, excluded = made_by
        unfinished, old = _beside(folder)
        try:
            if not (unfinished / INDEX).exists():
                make_clips(maker, unfinished, key, excluded, self._num_workers)
            if not _is_whole(unfinished, key):  # Of before.
                shutil.rmtree(unfinished)
                return
            shutil.rmtree(old, ignore_errors=True)
            if folder.exists():
                folder.replace(old)
            unfinished.replace(folder)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise OSError(
                error.errno,
                f"The clips cannot be written to '{printable(folder)}' "
                f'({error.strerror}). What is done is kept: free the disk, or make it '
                f'writable, and run the same again',
            ) from error
        print(self.summary(ClipStore(folder)), file=sys.stderr)

    # PyG's data set ------------------------------------------------------------

    @property
    def processed_dir(self) -> str:
        """The folder of the processed clips."""
        return str(self._folder())

    @property
    def processed_file_names(self) -> list[str]:
        """The file that is written last."""
        return [INDEX]

    def summary(self, store: ClipStore) -> str:
        """What is said once clips are made."""
        return _summary(store.report)

    def _maker(self, paths: Sequence[Path]) -> tuple[Maker, dict[str, int]]:
        """What makes the clips; and how many recordings are excluded, by reason."""
        reader = self._reader(paths)
        check_unique(reader.names, lambda index: f'recording {index} of {reader.path}')
        reasons = self.exclude(reader.names)
        excluded = Counter(reason for reason in reasons if reason is not None)
        indices = [index for index, reason in enumerate(reasons) if reason is None]
        maker = Maker(
            reader, indices, self.persons, self.recipe, self.pre_transform, self._strict
        )
        return maker, excluded

    def _paths(self) -> list[Path]:
        """Where the recordings are.

        Raises:
            FileNotFoundError: If they are not there.
        """
        raw = find_recordings(self._place) if self._raw is None else self._raw
        paths = [raw] if isinstance(raw, str | PathLike) else list(raw)
        for path in map(Path, paths):
            if not path.exists():
                raise FileNotFoundError(f"There is no '{printable(path)}'")
        return [Path(path) for path in paths]

    def _reader(self, paths: Sequence[Path]) -> Reader:
        options = {**self._options, 'skeleton': self._joints_of}
        return (
            read(paths[0], **options)
            if len(paths) == 1
            else JoinedReader(paths, **options)
        )

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
        """The labels, without reading the clips; -1 where they are not known."""
        return self.store.labels[self._selected[list(self.indices())]]

    @property
    def names(self) -> list[str]:
        """The names, without reading the clips."""
        return self.store.names[self._selected[list(self.indices())]].tolist()

    @property
    def checksums(self) -> np.ndarray:
        """The checksums of the stored clips, without reading them."""
        return self.store.checksums[self._selected[list(self.indices())]]

    def len(self) -> int:
        """The number of clips in the split."""
        return len(self._selected)

    def get(self, idx: int) -> SkeletonData:
        """The clip, before any transform."""
        clip = self.store[int(self._selected[idx])]
        label = -1 if clip.label is None else clip.label
        data = SkeletonData(torch.from_numpy(clip.keypoints), label, clip.name)
        if clip.score is not None:
            data.score = torch.from_numpy(clip.score)
        if clip.image_size is not None:
            data.image_size = clip.image_size
        return data


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lets one process at a time look at a store and make it: no other puts another in
    its place meanwhile. On a disk that nobody can write to, nobody will."""
    lock = None
    with suppress(OSError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f'.{folder.name}.lock')
        lock.acquire()
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _is_whole(folder: Path, key: dict[str, Any]) -> bool:
    try:
        return ClipStore(folder).key == key
    except SkeletonDataError:
        return False


def _beside(folder: Path) -> tuple[Path, Path]:
    """Where clips are until they are finished, and old ones until these have gone."""
    return tuple(folder.with_name(f'{folder.name}.{x}') for x in ('unfinished', 'old'))  # type: ignore[return-value]


def find_recordings(root: Path) -> Path | list[Path]:
    """Where a data set's recordings are: the archives in ``root/raw`` or ``root``, or
    else that folder itself."""
    folder = root / 'raw' if (root / 'raw').is_dir() else root
    files = []
    if folder.is_dir():
        files = [
            file
            for file in sorted(folder.iterdir())
            if file.name != 'processed' and not is_junk(file.name)
        ]
    if not files:
        raise FileNotFoundError(
            f"There is nothing in '{printable(folder)}'. Put the recordings into "
            f"'{printable(root / 'raw')}', or say where they are with raw=..."
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
            f"'{printable(folder)}' holds several kinds of archives, "
            f'{", ".join(printable(archive.name) for archive in archives[:_SHOWN])}; '
            f'say which to read with raw=...'
        )
    return archives


def skeleton_of(num_joints: int, dims: int | None = None) -> Skeleton:
    """The skeleton of the catalogue that has so many joints; see
    :func:`pyg_msg3d.skeletons.guess_skeleton`."""
    return guess_skeleton(num_joints, dims)


def _summary(report: dict[str, Any]) -> str:
    lines = [f'Stored {report["stored"]:,} clips.']
    for reason, count in report['excluded'].items():
        lines.append(f'Left out {count:,}: {reason}.')
    for split, count in report['absent'].items():
        lines.append(f'Of split {split!r}, {count:,} are not among the recordings.')
    skipped = report['skipped']
    if skipped:
        lines.append(f'Skipped {len(skipped):,}:')
        lines += [f'    {printable(r)}' for r in list(skipped.values())[:_SHOWN]]
        if len(skipped) > _SHOWN:
            lines.append(f'    ... and {len(skipped) - _SHOWN:,} more, in report.json')
    return '\n'.join(lines)
