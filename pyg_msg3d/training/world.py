"""The processes that train together."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from pyg_msg3d.training.rendezvous import meet

_VARIABLES = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')


class World(NamedTuple):
    """This process among those that train together: its :obj:`rank` of :obj:`size`,
    and the device that it computes on."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device('cpu')

    @property
    def is_first(self) -> bool:
        """Whether this process speaks and writes files."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Adds a tensor up over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def copy(self, values: Tensor) -> None:
        """Makes a tensor that of the first process, in place."""
        if self.size > 1:
            dist.broadcast(values, src=0)

    def gather(self, value: Any) -> list[Any]:
        """What all processes have, in their order, on all of them."""
        if self.size == 1:
            return [value]
        values = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def share(self, value: Any) -> Any:
        """What the first process has."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def join(device: str | None = None) -> Iterator[World]:
    r"""Joins the other processes, if there are: those that ``torchrun`` or Slurm's
    ``srun`` started, or else this process is alone.

    Each process computes on the GPU of its number on its machine, and they talk by
    NCCL; without GPUs they compute on the CPU and talk by gloo.

    .. code-block:: python

        with join() as world:
            Trainer(model, train_set, test_set, settings, world=world).fit()

    Args:
        device (str, optional): ``'cpu'``, or ``'cuda'``, or one GPU such as
            ``'cuda:1'``; by default GPUs where there are any.

    Raises:
        ValueError: If the device is not there, or what a launcher tells is incomplete.
    """
    place = _place(os.environ)
    if place is None:
        yield World(device=_device(device, 0))
        return
    rank, size, local_rank = place
    where = _device(device, local_rank)
    if where.type == 'cuda':
        torch.cuda.set_device(where)
    port = int(os.environ['MASTER_PORT'])
    # Under torchrun, its agent holds the store; otherwise the first process does.
    held = os.environ.get('TORCHELASTIC_USE_AGENT_STORE') == 'True'
    store = dist.TCPStore(
        os.environ['MASTER_ADDR'], port, is_master=rank == 0 and not held
    )
    dist.init_process_group(
        'nccl' if where.type == 'cuda' else 'gloo',
        store=meet(store, rank, size),
        rank=rank,
        world_size=size,
        device_id=where if where.type == 'cuda' else None,
    )
    try:
        yield World(rank, size, where)
    finally:
        dist.destroy_process_group()


def _place(environment: Mapping[str, str]) -> tuple[int, int, int] | None:
    """Rank, number of processes and rank on this machine, as the launcher tells."""
    given = [name for name in _VARIABLES if name in environment]
    if 'RANK' in given:
        lacking = [name for name in _VARIABLES if name not in given]
        if lacking:
            raise ValueError(
                f'RANK is set, but {", ".join(lacking)} is not. Start several '
                f'processes with torchrun, which sets all of {", ".join(_VARIABLES)}'
            )
        return tuple(int(environment[name]) for name in _VARIABLES[:3])  # type: ignore[return-value]
    # Only srun sets this one; SLURM_PROCID also stands in a batch script's shell.
    if int(environment.get('SLURM_STEP_NUM_TASKS', 1)) > 1:
        if 'MASTER_ADDR' not in environment or 'MASTER_PORT' not in environment:
            raise ValueError(
                'srun started several processes, but MASTER_ADDR and MASTER_PORT are '
                'not set; export them before srun as examples/train_ntu60.sbatch does'
            )
        names = ('SLURM_PROCID', 'SLURM_STEP_NUM_TASKS', 'SLURM_LOCALID')
        return tuple(int(environment[name]) for name in names)  # type: ignore[return-value]
    return None


def _device(name: str | None, local_rank: int) -> torch.device:
    if name is None:
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    device = torch.device(name)
    if device.type == 'cpu':
        return device
    if device.type != 'cuda':
        raise ValueError(f"'device' must be cpu or cuda (got {name!r})")
    if not torch.cuda.is_available():
        raise ValueError(
            f'device={name!r}, but torch sees no GPU: it was built '
            f'{"for CUDA " + torch.version.cuda if torch.version.cuda else "for CPUs"}'
        )
    if device.index is not None:
        return device
    # Launchers may show each process all GPUs of the machine, or its own alone.
    return torch.device('cuda', local_rank % torch.cuda.device_count())
