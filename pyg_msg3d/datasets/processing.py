"""From recordings to stored clips, in parallel and safe to interrupt."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from pyg_msg3d.data import SkeletonData, SkeletonDataError, SkeletonDataWarning
from pyg_msg3d.data.errors import printable, say_assumed
from pyg_msg3d.data.workers import as_helper, num_cores
from pyg_msg3d.datasets.persons import select_persons
from pyg_msg3d.datasets.preprocessing import clip_of
from pyg_msg3d.datasets.sources import describe
from pyg_msg3d.datasets.store import Clip, Skipped, StoreWriter
from pyg_msg3d.io import Reader, SkeletonSequence
from pyg_msg3d.transforms import Recipe

# Bump whenever the same recordings would give other clips or other files.
_VERSION = 2
_CHUNK = 32


def how_made(
    persons: str | None,
    recipe: Recipe | None,
    pre_transform: Callable[[SkeletonData], SkeletonData] | None,
) -> dict[str, Any]:
    """What differs once the same recordings would give other clips."""
    return {
        'version': _VERSION,
        'persons': persons,
        'recipe': recipe.name if recipe else None,
        'pre_transform': describe(pre_transform),
    }


class Maker(Dataset):
    r"""Makes clips of recordings, :obj:`index` by index; can be sent to workers.

    Args:
        reader (Reader): The recordings.
        indices (sequence of int): Which of them.
        persons (str, optional): Who is in a clip; by default as the recipe has it, or
            all.
        recipe (Recipe, optional): What is done to a clip.
        pre_transform (callable, optional): What is done instead.
        strict (bool): Raise errors instead of skipping the recording.
    """

    def __init__(
        self,
        reader: Reader,
        indices: Sequence[int],
        persons: str | None,
        recipe: Recipe | None,
        pre_transform: Callable[[SkeletonData], SkeletonData] | None,
        strict: bool,
    ) -> None:
        self.reader = reader
        self.indices = indices
        self.persons = persons
        self.recipe = recipe
        self.pre_transform = pre_transform
        self.strict = strict

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Clip | Skipped:
        index = self.indices[index]
        try:
            return self._make(index)
        except SkeletonDataError as error:
            if self.strict:
                raise
            return Skipped(self.reader.names[index], str(error))

    def _make(self, index: int) -> Clip:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter('ignore')
            warnings.simplefilter('always', SkeletonDataWarning)
            sequence = self.reader[index]
            try:
                # Of coordinates beyond all bounds, nothing is to be stored.
                with np.errstate(over='raise', invalid='raise'):
                    clip = self._process(sequence)
            except FloatingPointError as error:
                raise _overflow(sequence) from error
        for array in (clip.keypoints, clip.score):
            if array is not None and not np.isfinite(array).all():
                raise _overflow(sequence)
        return replace(clip, assumed=tuple(str(warning.message) for warning in said))

    def _process(self, sequence: SkeletonSequence) -> Clip:
        dims = sequence.keypoints.shape[3]
        rule = self.persons or (self.recipe.persons(dims) if self.recipe else 'all')
        sequence = select_persons(sequence, rule)
        data = clip_of(sequence, self.recipe.name if self.recipe else '')
        pre_transform = self.pre_transform
        if pre_transform is None and self.recipe is not None:
            pre_transform = self.recipe.pre_transform(dims)
        if pre_transform is not None:
            data = pre_transform(data)
        if data.x.dim() != 4 or not data.x.size(0) * data.x.size(1):
            raise SkeletonDataError(
                f"'{_where(sequence)}': expected what 'pre_transform' makes of a clip "
                f'as [persons, frames, joints, channels] (got {list(data.x.shape)})'
            )
        score = data.get('score')
        with np.errstate(over='ignore'):  # Looked for by who asked.
            return Clip(
                sequence.name,
                sequence.label,
                data.x.numpy().astype(np.float32, copy=False),
                None if score is None else score.numpy().astype(np.float32, copy=False),
                data.get('image_size'),
            )


def _where(sequence: SkeletonSequence) -> str:
    return sequence.path or printable(sequence.name)


def _overflow(sequence: SkeletonSequence) -> SkeletonDataError:
    largest = float(np.abs(sequence.keypoints).max(initial=0))
    return SkeletonDataError(
        f"'{_where(sequence)}': its coordinates, up to {largest:.3g}, overflow in "
        f'processing. Look for a broken number, or another unit'
    )


def make_clips(
    maker: Maker,
    folder: Path,
    key: Mapping[str, Any],
    excluded: Mapping[str, int],
    num_workers: int | None = None,
) -> None:
    r"""Makes all clips and stores them in order, whatever the number of workers. A
    process that was killed before is continued.

    Args:
        maker (Maker): Makes the clips.
        folder (path): The folder of the store.
        key (mapping): What the clips are made of, and how.
        excluded (mapping): For the report: reasons, and of how many recordings.
        num_workers (int, optional): The processes, by default one for each core.
    """
    writer = StoreWriter(folder, key)
    rest = torch.utils.data.Subset(maker, range(writer.num_done, len(maker)))
    if num_workers is None:
        num_workers = num_cores()
    loader = DataLoader(
        rest,
        batch_size=_CHUNK,
        num_workers=num_workers if num_workers > 1 and len(rest) > _CHUNK else 0,
        collate_fn=list,
        worker_init_fn=as_helper(),
    )
    reader = maker.reader
    assumed: dict[str, str] = {}  # What, and of which recording first.
    try:
        with tqdm(
            total=len(maker),
            initial=writer.num_done,
            desc=f'Processing {printable(reader.path.name, 40)}',
            unit='clips',
            disable=None,
        ) as bar:
            for results in loader:
                for result in results:
                    for text in getattr(result, 'assumed', ()):
                        assumed.setdefault(text, result.name)
                writer.add(results)
                bar.update(len(results))
        for text, name in assumed.items():
            say_assumed(f"{text} (first in '{printable(name, 100)}')")
        writer.finish(
            excluded, reader.splits, reader.classes, reader.skeleton, [*assumed]
        )
    finally:
        writer.close()
