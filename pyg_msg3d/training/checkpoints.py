"""Checkpoints that survive crashes, full disks and damage."""

import io
import random
import sys
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyg_msg3d.data import CheckpointError
from pyg_msg3d.data.atomic import write_atomically
from pyg_msg3d.data.errors import printable
from pyg_msg3d.models.checkpoint import check_weights
from pyg_msg3d.models.weights_file import load_weights_file

_FORMAT = 1


class Checkpoints:
    r"""The checkpoints in the folder of a run: :obj:`last.pt`, the one before it,
    :obj:`previous.pt`, and that of the best test, :obj:`best.pt`.

    Each is written beside its place and moved there once it is complete and on the
    disk, so a crash leaves the former one. A checkpoint is checked before it is used;
    where the last is damaged, the previous serves, and else the best.

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
        return any(path.exists() for path in self._all())

    def _all(self) -> tuple[Path, ...]:
        return self.last, self.previous, self.best

    def seen(self) -> dict[str, tuple[int, int] | None]:
        """What tells the checkpoints that are there now from later ones."""
        found: dict[str, tuple[int, int] | None] = {}
        for path in self._all():
            entry = path.stat() if path.exists() else None
            found[path.name] = (entry.st_ino, entry.st_mtime_ns) if entry else None
        return found

    def check_unchanged(self, before: dict[str, tuple[int, int] | None]) -> None:
        """Refuses to go on if another run has written checkpoints in the meantime.

        Raises:
            CheckpointError: If so.
        """
        if before != self.seen():
            raise CheckpointError(
                f"Another run has trained in '{printable(self.folder)}' since this one "
                f'looked there. Start again'
            )

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
        """The last checkpoint, or one before it if it is damaged; and what to say of
        it.

        Raises:
            CheckpointError: If all are.
        """
        problems = []
        for path in self._all():
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
    state = load_weights_file(path)
    if not _is_ours(state):
        raise CheckpointError(
            f"'{printable(path)}' is no checkpoint of a training, or one of another "
            f'version'
        )
    check_weights(state['model'], f"'{printable(path)}'")
    return state


def _is_ours(state: Any) -> bool:
    return isinstance(state, dict) and state.get('pyg_msg3d') == _FORMAT


def read_notes(path: str | PathLike | None) -> dict[str, Any]:
    """What a checkpoint of ours keeps of the data that it was trained on; of other
    checkpoints nothing is known.

    Raises:
        FileNotFoundError: If there is none.
        CheckpointError: If it is damaged.
    """
    if path is None:
        return {}
    state = load_weights_file(path)
    return state['notes'] if _is_ours(state) else {}


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
