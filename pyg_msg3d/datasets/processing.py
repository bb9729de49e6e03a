"""From recordings to stored clips, in parallel and safe to interrupt."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.data.workers import as_helper, num_cores
from pyg_msg3d.datasets.persons import select_persons
from pyg_msg3d.datasets.store import INDEX, Clip, Skipped, StoreWriter
from pyg_msg3d.io import Reader
from pyg_msg3d.transforms import Recipe

# Bump whenever the same recordings would give other clips or other files.
_VERSION = 1
_CHUNK = 32


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
        sequence = self.reader[index]
        dims = sequence.keypoints.shape[3]
        rule = self.persons or (self.recipe.persons(dims) if self.recipe else 'all')
        sequence = select_persons(sequence, rule)
        data = SkeletonData(torch.from_numpy(sequence.keypoints), name=sequence.name)
        # Of 3D skeletons, scores are no part of what models see.
        if sequence.score is not None and dims == 2:
            data.score = torch.from_numpy(sequence.score)
        if sequence.image_size is not None:
            data.image_size = sequence.image_size
        pre_transform = self.pre_transform
        if pre_transform is None and self.recipe is not None:
            pre_transform = self.recipe.pre_transform(dims)
        if pre_transform is not None:
            data = pre_transform(data)
        score = data.get('score')
        return Clip(
            sequence.name,
            sequence.label,
            data.x.numpy(),
            None if score is None else score.numpy(),
            sequence.image_size,
        )

    def key(self) -> dict[str, Any]:
        """What the clips are made of, and how."""
        files = hashlib.sha256()
        for index in self.indices:
            entry = f'{self.reader.names[index]}\0{self.reader.signature(index)}\n'
            files.update(entry.encode())
        splits = {split: list(names) for split, names in self.reader.splits.items()}
        files.update(json.dumps([splits, list(self.reader.classes)]).encode())
        return {
            'version': _VERSION,
            'files': files.hexdigest(),
            'persons': self.persons,
            'recipe': self.recipe.name if self.recipe else None,
            'pre_transform': repr(self.pre_transform),
        }


def process(
    maker: Maker,
    folder: Path,
    excluded: Mapping[str, int],
    num_workers: int | None = None,
) -> bool:
    r"""Makes all clips and stores them in order, whatever the number of workers. A
    process that was killed before is continued; of several at a time, one works and the
    others wait for it.

    Args:
        maker (Maker): Makes the clips.
        folder (path): The folder of the store.
        excluded (mapping): For the report: reasons, and of how many recordings.
        num_workers (int, optional): The processes, by default one for each core.

    Returns:
        Whether there was anything to make.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f'.{folder.name}.lock'):
        if (folder / INDEX).exists():
            return False
        writer = StoreWriter(folder, maker.key())
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
        try:
            with tqdm(
                total=len(maker),
                initial=writer.num_done,
                desc=f'Processing {maker.reader.path.name}',
                unit='clips',
                disable=None,
            ) as bar:
                for results in loader:
                    writer.add(results)
                    bar.update(len(results))
            reader = maker.reader
            writer.finish(excluded, reader.splits, reader.classes)
        finally:
            writer.close()
    return True
