"""How a model is trained; and the recipes of published results."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from math import cos, pi
from typing import Any, Literal

from pyg_msg3d.described import described

Precision = Literal['auto', 'float32', 'bf16', 'fp16']
Schedule = Literal['cosine', 'steps', 'constant']


@dataclass(frozen=True)
class Settings:
    """How a model is trained. Whatever is a number of clips, steps or epochs counts
    all processes together: the same settings give the same training on any number."""

    epochs: int = described(80, 'passes over the training data, repeated or not')
    repeat: int = described(1, 'how often an epoch goes through the training data')
    batch_size: int = described(
        32, 'clips of a step of the optimiser, all processes and parts together'
    )
    lr: float | None = described(
        None, "learning rate; by default the recipe's, scaled with the batch size"
    )
    base_lr: float = described(0.05, 'learning rate for a batch of --base-batch')
    base_batch: int = described(32, 'the batch size that --base-lr is meant for')
    momentum: float = described(0.9, "Nesterov's momentum")
    weight_decay: float = described(5e-4, 'weight decay')
    schedule: Schedule = described('cosine', 'how the learning rate falls')
    milestones: tuple[int, ...] = described(
        (), "epochs after which schedule 'steps' lowers the learning rate"
    )
    gamma: float = described(0.1, "what 'steps' multiplies it with")
    warm_up: float = described(0.0, 'epochs in which it rises linearly first')
    label_smoothing: float = described(0.0, 'of the cross entropy')

    precision: Precision = described(
        'auto', 'of activations and products; auto: bf16 on GPUs that have it, else '
        'float32',
    )  # fmt: skip
    accumulate: int = described(
        1, 'parts that a batch is computed in, one after the other, to save memory'
    )
    clip_norm: float | None = described(None, 'largest norm of the gradient')
    ema: float | None = described(
        None, 'test an exponential moving average of the weights, of this decay'
    )
    compile: bool = described(False, 'compile the model (torch.compile)')
    cuda_graphs: bool = described(
        False, 'capture a step once and replay it; one process and one GPU only'
    )
    sync_batch_norm: bool = described(
        False, 'batch norm over the clips of all processes; GPUs only'
    )
    checkpoint_activations: bool = described(
        False, 'compute activations again in the backward pass, to save memory'
    )
    deterministic: bool = described(
        False, 'the same numbers in every run, bit for bit; may be slower'
    )
    seed: int = described(0, 'of weights, order and augmentation')

    test_batch_size: int = described(64, 'clips of a batch in testing')
    average: Literal['probabilities', 'logits'] = described(
        'logits', 'what is averaged over several test clips of a sample'
    )
    test_every: int = described(1, 'epochs from one test to the next')
    save_every: int = described(
        0,
        'steps from one checkpoint to the next; 0: each epoch, and in between so often '
        'that a tenth of the time, or ten minutes, are lost at most',
    )
    num_workers: int = described(0, 'processes that load data, for each that trains')
    tensorboard: bool = described(True, 'write TensorBoard event files')

    def __post_init__(self) -> None:
        for name in (
            'epochs', 'repeat', 'batch_size', 'base_batch', 'accumulate',
            'test_batch_size', 'test_every',
        ):  # fmt: skip
            _check(getattr(self, name) >= 1, name, 'at least 1', self)
        for name in ('weight_decay', 'warm_up', 'save_every', 'num_workers', 'seed'):
            _check(getattr(self, name) >= 0, name, 'at least 0', self)
        for name in ('lr', 'base_lr', 'gamma', 'clip_norm'):
            value = getattr(self, name)
            _check(value is None or value > 0, name, 'above 0', self)
        for name in ('momentum', 'label_smoothing', 'ema'):
            value = getattr(self, name)
            _check(value is None or 0 <= value < 1, name, 'in [0, 1)', self)
        _check(self.warm_up < self.epochs, 'warm_up', 'below epochs', self)
        ordered = all(a < b for a, b in pairwise((0, *self.milestones)))
        _check(ordered, 'milestones', 'ascending epochs', self)
        if self.schedule == 'steps' and not self.milestones:
            raise ValueError("Schedule 'steps' needs 'milestones', such as (30, 40)")
        if self.schedule != 'steps' and self.milestones:
            raise ValueError(
                f"'milestones' are for schedule 'steps' (got {self.milestones} and "
                f'schedule {self.schedule!r})'
            )
        if self.compile and self.checkpoint_activations:
            raise ValueError(
                "'compile' and 'checkpoint_activations' exclude each other: a compiled "
                'model decides itself what to keep'
            )
        if self.cuda_graphs and (self.compile or self.accumulate > 1):
            raise ValueError(
                "'cuda_graphs' excludes 'compile' and 'accumulate': a step is captured "
                'as it is, and whole'
            )
        for name, known in (
            ('precision', ('auto', 'float32', 'bf16', 'fp16')),
            ('schedule', ('cosine', 'steps', 'constant')),
            ('average', ('probabilities', 'logits')),
        ):
            _check(getattr(self, name) in known, name, f'one of {known}', self)

    @property
    def learning_rate(self) -> float:
        """The peak of the learning rate: that of the recipe, scaled with the batch
        size, unless it is given."""
        if self.lr is not None:
            return self.lr
        return self.base_lr * self.batch_size / self.base_batch

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate at a step of the optimiser, counted from 0."""
        return self.learning_rate * self._factor(step, steps_per_epoch)

    def _factor(self, step: int, steps_per_epoch: int) -> float:
        warm_up = round(self.warm_up * steps_per_epoch)
        if step < warm_up:
            return (step + 1) / (warm_up + 1)
        if self.schedule == 'constant':
            return 1.0
        if self.schedule == 'steps':
            passed = sum(step >= m * steps_per_epoch for m in self.milestones)
            return self.gamma**passed
        total = self.epochs * steps_per_epoch
        return (1 + cos(pi * (step - warm_up) / max(1, total - warm_up))) / 2

    def difference(self, other: Mapping[str, Any]) -> list[str]:
        """What of these settings would give another training than others."""
        return [
            f'{f.name}: {other[f.name]} then, {getattr(self, f.name)} now'
            for f in fields(self)
            if f.name not in _FREE
            and f.name in other
            and _plain(other[f.name]) != _plain(getattr(self, f.name))
        ]


# What may change from one part of a training to the next.
_FREE = {
    'accumulate', 'checkpoint_activations', 'compile', 'cuda_graphs', 'num_workers',
    'save_every', 'deterministic', 'tensorboard', 'test_batch_size', 'test_every',
}  # fmt: skip


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _check(holds: bool, name: str, expected: str, settings: Settings) -> None:
    if not holds:
        raise ValueError(
            f"'{name}' must be {expected} (got {getattr(settings, name)!r}); on a "
            f'command line, --{name.replace("_", "-")}'
        )


_OFFICIAL = Settings(
    epochs=50, batch_size=32, base_lr=0.05, base_batch=32, schedule='steps',
    milestones=(30, 40), test_batch_size=32,
)  # fmt: skip

RECIPES: dict[str, Settings] = {
    # MMAction2's and PYSKL's: 16 passes over the data, five times repeated each.
    'mmaction2': Settings(
        epochs=16, repeat=5, batch_size=128, base_lr=0.1, base_batch=128,
        schedule='cosine', average='probabilities',
    ),
    'official': _OFFICIAL,
    'official-ntu120': replace(_OFFICIAL, epochs=60, milestones=(30, 50)),
    'official-kinetics': replace(
        _OFFICIAL, epochs=65, milestones=(45, 55), batch_size=128, base_lr=0.1,
        base_batch=128, weight_decay=3e-4,
    ),
    # CTR-GCN's for NW-UCLA.
    'ctrgcn': Settings(
        epochs=65, repeat=5, batch_size=16, base_lr=0.1, base_batch=16,
        weight_decay=1e-4, schedule='steps', milestones=(50,), warm_up=5,
    ),
}  # fmt: skip
