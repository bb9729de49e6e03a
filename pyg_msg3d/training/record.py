"""What a run leaves behind: a folder to look at."""

import json
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from pyg_msg3d.data.atomic import write_atomically
from pyg_msg3d.training.checkpoints import versions
from pyg_msg3d.training.precision import tf32
from pyg_msg3d.training.world import World
from pyg_msg3d.visualize import pyplot


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to: mean losses, accuracies in [0, 1], the learning rate at
    its end, clips per second and seconds of training; of a test, if there was one."""

    epoch: int
    train_loss: float
    train_accuracy: float
    lr: float
    clips_per_second: float
    seconds: float
    test_loss: float | None = None
    test_accuracy: float | None = None
    test_top5: float | None = None
    test_mean_class: float | None = None

    def __str__(self) -> str:
        text = (
            f'epoch {self.epoch:3d}  loss {self.train_loss:.3f}  '
            f'train {self.train_accuracy:6.1%}  '
        )
        if self.test_accuracy is not None:
            text += f'test {self.test_accuracy:6.1%}  '
        return f'{text}{self.seconds:5.1f} s, {self.clips_per_second:.0f} clips/s'


class Record:
    r"""The folder of a run: ``arguments.json``, ``environment.json``, a line per epoch
    in ``metrics.jsonl``, ``curves.png`` and ``tensorboard/``. Only the first process
    writes.

    Args:
        folder (path, optional): The folder; without one, nothing is written.
        world (World): The processes.
        arguments (mapping): What the run was asked for.
        tensorboard (bool): Write TensorBoard event files.
        steps (int, optional): The steps that are done already. (default: :obj:`0`)
    """

    def __init__(
        self,
        folder: Path | None,
        world: World,
        arguments: Mapping[str, Any],
        tensorboard: bool,
        steps: int = 0,
    ) -> None:
        self._writes = folder is not None and world.is_first
        self._board: Any = None
        self._label_smoothing = float(arguments.get('label_smoothing', 0))
        if folder is None or not world.is_first:
            return
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / 'arguments.json', arguments)
        write_json(folder / 'environment.json', environment(world))
        if tensorboard:
            self._board = _tensorboard(folder / 'tensorboard', steps)

    def step(self, step: int, **values: float) -> None:
        """Takes note of a step."""
        self._plot('step', step, values)

    def epochs(self, history: Sequence[Epoch]) -> None:
        """Takes note of all epochs so far, the last of which is new."""
        if not self._writes or not history:
            return
        known = {k: v for k, v in asdict(history[-1]).items() if v is not None}
        self._plot('epoch', history[-1].epoch, known)
        self._write(history)

    def catch_up(self, history: Sequence[Epoch]) -> None:
        """Writes what the process before this one was killed too early to write."""
        if not self._writes or not history:
            return
        file = self.folder / 'metrics.jsonl'
        lines = file.read_bytes().count(b'\n') if file.exists() else 0
        if lines != len(history) or not (self.folder / 'curves.png').exists():
            self._write(history)

    def _write(self, history: Sequence[Epoch]) -> None:
        lines = ''.join(json.dumps(asdict(epoch)) + '\n' for epoch in history)
        with self._whatever_the_disk():
            with write_atomically(self.folder / 'metrics.jsonl') as file:
                file.write(lines.encode())
            with suppress(ImportError):  # Pictures are an extra.
                plot_history(history, self.folder / 'curves.png', self._label_smoothing)

    def _plot(self, group: str, step: int, values: Mapping[str, float]) -> None:
        if self._board is None:
            return
        board, self._board = self._board, None
        with self._whatever_the_disk():
            for name, value in values.items():
                board.add_scalar(f'{group}/{name}', value, step)
            self._board = board

    @contextmanager
    def _whatever_the_disk(self) -> Iterator[None]:
        """A record that cannot be written is no reason to end a training."""
        try:
            yield
        except OSError as error:
            print(f"Cannot write to '{self.folder}', training goes on: {error}")

    def close(self) -> None:
        """Ends it."""
        if self._board is not None:
            with self._whatever_the_disk():
                self._board.close()


def write_json(path: Path, content: Any) -> None:
    """Writes a file of JSON for people to read."""
    with write_atomically(path) as file:
        file.write((json.dumps(content, indent=2, default=str) + '\n').encode())


def clear(folder: Path) -> None:
    """Removes what an earlier run left in its folder, and nothing else."""
    for name in (
        'arguments.json', 'environment.json', 'metrics.jsonl', 'curves.png',
        'last.pt', 'previous.pt', 'best.pt', 'scores.npz', 'result.json',
        'confusion.png', 'classes.csv',
    ):  # fmt: skip
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / 'tensorboard', ignore_errors=True)


def environment(world: World) -> dict[str, Any]:
    """What a run ran on."""
    gpu = world.device.type == 'cuda'
    return {
        **versions(),
        'platform': platform.platform(),
        'processes': world.size,
        'device': torch.cuda.get_device_name(world.device) if gpu else 'cpu',
        'tf32': tf32(world.device),
        'threads': torch.get_num_threads(),
        'command': sys.argv,
    }


def plot_history(
    history: Sequence[Epoch], path: str | PathLike, label_smoothing: float = 0.0
) -> None:
    """Saves the curves of loss and accuracy over the epochs of a training run. Losses
    of training are those with label smoothing, where there is some, so that they stay
    above those of testing."""
    plt = pyplot()
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
    for part, colour in (('train', 'tab:blue'), ('test', 'tab:orange')):
        known = [e for e in history if getattr(e, f'{part}_loss') is not None]
        epochs = [epoch.epoch for epoch in known]
        loss = [getattr(epoch, f'{part}_loss') for epoch in known]
        accuracy = [100 * getattr(epoch, f'{part}_accuracy') for epoch in known]
        smoothed = part == 'train' and label_smoothing
        named = f'{part} (labels smoothed by {label_smoothing:g})' if smoothed else part
        left.plot(epochs, loss, color=colour, marker='.', label=named)
        right.plot(epochs, accuracy, color=colour, marker='.', label=part)
    left.set_ylabel('cross entropy')
    left.set_yscale('log')
    right.set_ylabel('accuracy [%]')
    right.set_ylim(0, 102)
    for ax in (left, right):
        ax.set_xlabel('epoch')
        ax.grid(alpha=0.3)
        ax.legend()
    fig.tight_layout()
    fig.savefig(path, dpi=120)
    plt.close(fig)


def _tensorboard(folder: Path, steps: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        print('No TensorBoard events: pip install tensorboard for them')
        return None
    # What a killed run plotted beyond its last checkpoint comes again.
    return SummaryWriter(str(folder), purge_step=steps + 1 if steps else None)
