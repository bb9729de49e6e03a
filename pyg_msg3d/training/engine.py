"""One step of training, on one process or several."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module, SyncBatchNorm
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pyg_msg3d.models import MSG3D
from pyg_msg3d.training.activations import checkpoint_activations
from pyg_msg3d.training.captured import CapturedPass
from pyg_msg3d.training.precision import Precision, widened
from pyg_msg3d.training.predict import as_input
from pyg_msg3d.training.settings import Settings
from pyg_msg3d.training.world import World


class Step(NamedTuple):
    """What a step came to, over all processes: the mean loss, how many of how many
    clips were right, whether some process was asked to stop, and whether one finds it
    time to save."""

    loss: float
    correct: int
    clips: int
    stop: bool
    save: bool = False


class Engine:
    r"""A model with its optimiser, and what the settings put around them.

    Args:
        model (MSG3D): The model; it is moved to the device.
        settings (Settings): How it is trained.
        world (World): The processes that train together.

    Raises:
        ValueError: If settings do not fit the device.
    """

    def __init__(self, model: MSG3D, settings: Settings, world: World) -> None:
        self.settings = settings
        self.world = world
        self.precision = Precision(settings.precision, world.device)
        if settings.sync_batch_norm:
            if world.device.type != 'cuda':
                raise ValueError(
                    'sync_batch_norm is for GPUs: torch.nn.SyncBatchNorm does not run '
                    'on the CPU. Leave it out, or train with device=cuda'
                )
            model = SyncBatchNorm.convert_sync_batchnorm(model)
        self.model = model.to(world.device)
        # Copied before anything is wrapped around the model.
        self.ema: AveragedModel | None = None
        if settings.ema is not None:
            average = get_ema_multi_avg_fn(settings.ema)
            self.ema = AveragedModel(self.model, multi_avg_fn=average, use_buffers=True)
        if settings.checkpoint_activations:
            checkpoint_activations(self.model)
        if settings.compile:
            self.model.compile()
        self.parallel: Module = self.model
        if world.size > 1:
            gpu = world.device.type == 'cuda'
            self.parallel = DistributedDataParallel(
                self.model,
                device_ids=[world.device.index] if gpu else None,
                gradient_as_bucket_view=True,
            )
        if settings.cuda_graphs and (world.device.type != 'cuda' or world.size > 1):
            raise ValueError(
                f'cuda_graphs is for one process on a GPU (got {world.size} on '
                f'{world.device.type}). Leave it out, or train with device=cuda'
            )
        self._captured: CapturedPass | None = None
        self.optimizer = SGD(
            self.model.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            nesterov=settings.momentum > 0,
            weight_decay=settings.weight_decay,
            fused=world.device.type == 'cuda' or None,
        )

    @property
    def tested_model(self) -> Module:
        """The model that is tested: the average of weights, if one is kept."""
        return self.model if self.ema is None else self.ema.module

    def step(
        self, parts: Sequence[Any], lr: float, stop: bool = False, save: bool = False
    ) -> Step:
        r"""One step of the optimiser, with the mean gradient over the parts of a batch
        and all processes.

        Args:
            parts (sequence of Batch): The parts of this process, equally large.
            lr (float): The learning rate.
            stop (bool, optional): Tell all processes that one was asked to stop.
            save (bool, optional): Tell all processes that it is time to save.

        Raises:
            FloatingPointError: If a loss is not finite; the weights stay.
        """
        for group in self.optimizer.param_groups:
            group['lr'] = lr
        if self._captured is None:
            self.optimizer.zero_grad(set_to_none=True)
        losses, correct = [], torch.zeros((), device=self.world.device)
        for number, batch in enumerate(parts):
            # Processes exchange gradients once, with the last part.
            last = number == len(parts) - 1
            wait = self.world.size > 1 and not last
            with self.parallel.no_sync() if wait else nullcontext():  # type: ignore[operator]
                loss, right = self._backward(batch, len(parts))
            losses.append(loss.double())  # A copy: replays write over the other.
            correct += right

        each = torch.stack(losses)
        clips = sum(batch.y.numel() for batch in parts)
        bad = (~each.isfinite()).sum()
        numbers = [each.mean(), correct, bad]
        flags = (clips, stop, save)
        numbers += [torch.tensor(n, device=self.world.device) for n in flags]
        sums = self.world.sum(torch.stack([n.double() for n in numbers])).tolist()
        if sums[2]:
            self._refuse(parts, each)
        self._update()
        return Step(
            sums[0] / self.world.size,
            int(sums[1]),
            int(sums[3]),
            bool(sums[4]),
            bool(sums[5]),
        )

    def _backward(self, batch: Any, num_parts: int) -> tuple[Tensor, ...]:
        x = as_input(batch.x, self.model)
        target = batch.y.to(self.world.device, non_blocking=True)

        def run(x: Tensor, target: Tensor) -> tuple[Tensor, ...]:
            with self.precision.autocast():
                logits = self.parallel(x)
            logits = widened(logits)
            loss = cross_entropy(
                logits, target, label_smoothing=self.settings.label_smoothing
            )
            self.precision.scaler.scale(loss / num_parts).backward()
            return loss.detach(), (logits.argmax(1) == target).sum()

        if not self.settings.cuda_graphs:
            return run(x, target)
        if self._captured is None:
            self._captured = CapturedPass(run, self.model, x, target)
        return self._captured(x, target)

    def _update(self) -> None:
        scaler = self.precision.scaler
        if self.settings.clip_norm is not None:
            scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(
                self.model.parameters(), self.settings.clip_norm
            )
        scaler.step(self.optimizer)
        scaler.update()
        if self.ema is not None:
            self.ema.update_parameters(self.model)

    def _refuse(self, parts: Sequence[Any], losses: Tensor) -> None:
        mine = [
            f'{name!r}'
            for batch, loss in zip(parts, losses, strict=True)
            if not torch.isfinite(loss)
            for name in batch.name
        ]
        names = [name for share in self.world.gather(mine) for name in share]
        raise FloatingPointError(
            f'The loss is not finite in the batch of the samples {", ".join(names)}. '
            f'Look for bad coordinates, or lower the learning rate'
        )

    def agree(self) -> None:
        """Gives all processes the first one's running statistics, which differ as
        their clips do, so that they test one model, and the one that is saved."""
        models = [self.model] if self.ema is None else [self.model, self.ema]
        for model in models:
            for buffer in model.buffers():
                self.world.copy(buffer)

    def state_dict(self) -> dict[str, Any]:
        """All that steps change."""
        return {
            'model': self.model.state_dict(),
            'optimizer': self.optimizer.state_dict(),
            'scaler': self.precision.scaler.state_dict(),
            'ema': None if self.ema is None else self.ema.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to what :meth:`state_dict` gave."""
        self.model.load_state_dict(state['model'])
        self.optimizer.load_state_dict(state['optimizer'])
        self.precision.scaler.load_state_dict(state['scaler'])
        if self.ema is not None:
            self.ema.load_state_dict(state['ema'])
