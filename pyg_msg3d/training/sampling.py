"""Which clips each process reads, in which order, and with which random numbers."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from torch_geometric.loader import DataLoader

from pyg_msg3d.data.workers import as_helper, num_cores
from pyg_msg3d.training.world import World

Draw = tuple[int, int]  # A sample's index, and the seed of its augmentation.


class TrainSampler(Sampler[list[Draw]]):
    r"""Draws the batches of a process. The order of an epoch, and what augmentation
    does to each clip of it, follow from the seed and the epoch alone: they are the same
    for any number of processes, parts and workers, and after a restart.

    An epoch goes through a permutation of the data, repeated; what is left at its end
    and fills no batch is dropped.

    Args:
        num_samples (int): The number of samples.
        batch_size (int): The clips of a step, over all processes and parts.
        parts (int): In how many parts each process computes its share of a batch.
        repeat (int): How often an epoch goes through the data.
        seed (int): The seed.
        world (World): The processes.

    Raises:
        ValueError: If a batch does not divide by processes and parts, or there are
            fewer samples than it takes.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        parts: int,
        repeat: int,
        seed: int,
        world: World,
    ) -> None:
        if batch_size % (world.size * parts):
            raise ValueError(
                f"'batch_size' (--batch-size) counts the clips of all processes and "
                f'parts, so it must divide by {world.size} processes x {parts} parts '
                f'(got {batch_size})'
            )
        if num_samples * repeat < batch_size:
            raise ValueError(
                f'Nothing to train: there are {num_samples} clips x {repeat}, fewer '
                f'than a batch of {batch_size}; choose a smaller batch_size '
                f'(--batch-size)'
            )
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.parts = parts
        self.repeat = repeat
        self.seed = seed
        self.world = world
        self.epoch, self.first_step = 0, 0

    @property
    def num_steps(self) -> int:
        """The steps of an epoch."""
        return self.num_samples * self.repeat // self.batch_size

    def start(self, epoch: int, step: int) -> None:
        """Goes to a step of an epoch, both counted from 0."""
        self.epoch, self.first_step = epoch, step

    def __len__(self) -> int:
        return (self.num_steps - self.first_step) * self.parts

    def __iter__(self) -> Iterator[list[Draw]]:
        generator = torch.Generator().manual_seed(_mix(self.seed, self.epoch))
        order = torch.randperm(self.num_samples * self.repeat, generator=generator)
        # [steps, parts, processes, clips of a process in a part]
        shape = (self.num_steps, self.parts, self.world.size, -1)
        places = torch.arange(self.num_steps * self.batch_size).view(shape)
        mine = places[self.first_step :, :, self.world.rank].flatten(0, 1)
        for batch in mine.tolist():
            yield [
                (int(order[p]) % self.num_samples, _mix(self.seed, self.epoch, p + 1))
                for p in batch
            ]


def _mix(*numbers: int) -> int:
    """A seed that follows from numbers, and tells little of them."""
    # Of Python's integers: numpy 1 shifts none of its own unsigned ones.
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1


class _Seeded(Dataset):
    """A data set that is asked for draws: transforms find torch's generator seeded."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, draw: Draw) -> Any:
        index, seed = draw
        # Of the CPU alone: torch.manual_seed would reset those of GPUs, too.
        generator = torch.default_generator
        before = generator.get_state()
        generator.manual_seed(seed)
        try:
            return self.dataset[index]
        finally:
            generator.set_state(before)


def shared_workers(num_workers: int, batches: int) -> int:
    """How many processes load data for this one, of so many that were asked for: the
    cores of a machine are shared out over the processes that train on it."""
    beside = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    share = max(1, num_cores() // beside)
    return min(num_workers, share, batches)


def train_loader(
    dataset: Any, sampler: TrainSampler, num_workers: int, pin_memory: bool
) -> DataLoader:
    """What the sampler draws, as batches."""
    return DataLoader(
        _Seeded(dataset),
        batch_sampler=sampler,
        generator=torch.Generator(),  # Dropout's own stays as it is.
        num_workers=shared_workers(num_workers, len(sampler)),
        pin_memory=pin_memory,
        worker_init_fn=as_helper(),
    )


def test_loader(
    dataset: Any, batch_size: int, num_workers: int, world: World, pin_memory: bool
) -> DataLoader:
    """Batches of every sample that is this process's to test: each once, by one
    process, however many there are."""
    share = range(world.rank, len(dataset), world.size)
    batches = -(-len(share) // batch_size)
    return DataLoader(
        torch.utils.data.Subset(dataset, share),
        batch_size=batch_size,
        generator=torch.Generator(),
        num_workers=shared_workers(num_workers, batches) if batches > 1 else 0,
        pin_memory=pin_memory,
        worker_init_fn=as_helper(),
    )
