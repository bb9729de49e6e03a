"""Checkpoints that survive crashes, full disks and damage."""

import io
import random
import sys
import zipfile
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyg_msg3d.data.atomic import write_atomically

_FORMAT = 1


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message says which and why."""


class Checkpoints:
    r"""The checkpoints in the folder of a run: :obj:`last.pt`, the one before it,
    :obj:`previous.pt`, and that of the best test, :obj:`best.pt`.

    Each is written beside its place and moved there once it is complete and on the
    disk, so a crash leaves the former one. A checkpoint is checked before it is used;
    where the last is damaged, the previous serves.

    Args:
        folder (path): The folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last = folder / 'last.pt'
        self.previous = folder / 'previous.pt'
        self.best = folder / 'best.pt'

    def exist(self) -> bool:
        """Whether there is anything to go on from."""
        return self.last.exists() or self.previous.exists()

    def save(self, state: dict[str, Any], best: bool) -> None:
        """Writes the last checkpoint, and the best if it is.

        Raises:
            OSError: If it cannot be written, such as on a full disk; what was there
                stays.
        """
        # First into memory, where only memory can be lacking.
        buffer = io.BytesIO()
        torch.save({'pyg_msg3d': _FORMAT, **state}, buffer)
        with write_atomically(self.last, keep=self.previous) as file:
            file.write(buffer.getbuffer())
        if best:
            with write_atomically(self.best) as file:
                file.write(buffer.getbuffer())

    def load(self) -> tuple[dict[str, Any], str]:
        """The last checkpoint, or the previous one if the last is damaged; and what
        to say of it.

        Raises:
            CheckpointError: If both are.
        """
        problems = []
        for path in (self.last, self.previous):
            try:
                state = load_checkpoint(path)
            except (CheckpointError, FileNotFoundError) as error:
                problems.append(str(error))
                continue
            said = ''.join(f'{problem}. ' for problem in problems)
            return state, f"{said}Going on from '{path}'"
        raise CheckpointError(
            f"There is no checkpoint to go on from in '{self.folder}': "
            f'{"; ".join(problems)}'
        )


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint of ours; no code in it is run.

    Raises:
        FileNotFoundError: If there is none.
        CheckpointError: If it is damaged, or none of ours.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no '{path}'")
    try:
        # torch.load does not look at the checksums that torch.save writes.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f'{damaged!r} has a wrong checksum')
        state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # Whatever damaged bytes trip over.
        first_line = (str(error).splitlines() or [''])[0]
        raise CheckpointError(
            f"'{path}' ({path.stat().st_size:,} bytes) is damaged or incomplete "
            f'({type(error).__name__}: {first_line})'
        ) from error
    if not isinstance(state, dict) or state.get('pyg_msg3d') != _FORMAT:
        raise CheckpointError(
            f"'{path}' is no checkpoint of a training, or one of another version"
        )
    return state


def read_notes(path: str | PathLike | None) -> dict[str, Any]:
    """What a checkpoint of ours keeps of the data that it was trained on; of other
    checkpoints nothing is known."""
    if path is None:
        return {}
    try:
        return load_checkpoint(Path(path))['notes']
    except CheckpointError:
        return {}


def random_state(device: torch.device) -> dict[str, Any]:
    """The random numbers that this process would draw next."""
    name, keys, *rest = np.random.get_state()
    state: dict[str, Any] = {
        'torch': torch.get_rng_state(),
        'numpy': (name, torch.from_numpy(np.asarray(keys, np.int64)), *rest),
        'python': random.getstate(),
    }
    if device.type == 'cuda':
        state['cuda'] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Lets this process draw the random numbers of :func:`random_state` next."""
    torch.set_rng_state(state['torch'])
    name, keys, *rest = state['numpy']
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    random.setstate(state['python'])
    if device.type == 'cuda' and 'cuda' in state:
        torch.cuda.set_rng_state(state['cuda'], device)


def versions() -> dict[str, str]:
    """What computes, for checkpoints and records."""
    import torch_geometric

    from pyg_msg3d import __version__

    return {
        'pyg_msg3d': __version__,
        'python': sys.version.split()[0],
        'torch': str(torch.__version__),
        'torch_geometric': torch_geometric.__version__,
        'numpy': np.__version__,
        'cuda': torch.version.cuda or '',
    }
