"""The training loop that the examples share."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import cross_entropy
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader
from tqdm import tqdm


@dataclass
class Epoch:
    """What one epoch came to: mean losses, accuracies in [0, 1], seconds."""

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float


def fit(
    model: Module,
    train_loader: DataLoader,
    test_loader: DataLoader,
    epochs: int,
    lr: float,
    warm_up: float = 0.15,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    run_dir: str | Path | None = None,
) -> list[Epoch]:
    r"""Trains by stochastic gradient descent with Nesterov momentum and a one-cycle
    learning rate, tests after every epoch and shows progress.

    Args:
        model (Module): The model, from clips to logits, on its device.
        train_loader (DataLoader): Training batches of
            :class:`~pyg_msg3d.data.SkeletonData`.
        test_loader (DataLoader): Test batches.
        epochs (int): Passes over the training data.
        lr (float): The peak of the learning rate.
        warm_up (float, optional): The share of all steps in which it rises.
        momentum (float, optional): The momentum.
        weight_decay (float, optional): The weight decay.
        run_dir (path, optional): A folder for ``metrics.jsonl``, a line per epoch,
            and ``model.pt``, the last state dict.

    Returns:
        What each epoch came to.

    Raises:
        FloatingPointError: If a loss is NaN or infinite; the message names the
            samples of the batch.
    """
    steps = epochs * len(train_loader)
    if steps < 1:
        raise ValueError(
            f'Nothing to train: {epochs} epochs of {len(train_loader)} batches'
        )
    optimizer = SGD(
        model.parameters(),
        lr=lr,
        momentum=momentum,
        nesterov=True,
        weight_decay=weight_decay,
    )
    schedule = OneCycleLR(
        optimizer,
        max_lr=lr,
        total_steps=max(2, steps),
        pct_start=warm_up,
        cycle_momentum=False,
    )
    run = None if run_dir is None else Path(run_dir)
    if run is not None:
        run.mkdir(parents=True, exist_ok=True)
        (run / 'metrics.jsonl').unlink(missing_ok=True)

    history: list[Epoch] = []
    for number in range(1, epochs + 1):
        start = time.perf_counter()
        model.train()
        total, correct, seen = 0.0, 0, 0
        # disable=None: a bar on terminals, lines alone in logs.
        name = f'Epoch {number}/{epochs}'
        bar = tqdm(train_loader, name, leave=False, mininterval=1, disable=None)
        for batch in bar:
            logits, loss, target = _loss(model, batch)
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f'The loss is {loss.item()} in epoch {number}, in the batch of '
                    f'the samples {", ".join(batch.name)}. Look for bad coordinates, '
                    f'or lower the learning rate'
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * target.numel()
            correct += int((logits.argmax(1) == target).sum())
            seen += target.numel()
            bar.set_postfix(
                loss=f'{total / seen:.3f}', acc=f'{correct / seen:.1%}', refresh=False
            )
        test_loss, test_accuracy = evaluate(model, test_loader)
        history.append(
            Epoch(
                epoch=number,
                train_loss=total / seen,
                train_accuracy=correct / seen,
                test_loss=test_loss,
                test_accuracy=test_accuracy,
                seconds=time.perf_counter() - start,
            )
        )
        print(_line(history[-1], epochs), flush=True)
        if run is not None:
            with (run / 'metrics.jsonl').open('a') as file:
                file.write(json.dumps(asdict(history[-1])) + '\n')
            torch.save(model.state_dict(), run / 'model.pt')
    return history


@torch.no_grad()
def evaluate(model: Module, loader: Iterable[Batch]) -> tuple[float, float]:
    """The mean cross entropy and the accuracy in [0, 1] over all batches."""
    model.eval()
    total, correct, seen = 0.0, 0, 0
    for batch in loader:
        logits, loss, target = _loss(model, batch)
        total += loss.item() * target.numel()
        correct += int((logits.argmax(1) == target).sum())
        seen += target.numel()
    return total / seen, correct / seen


def _loss(model: Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    batch = batch.to(next(model.parameters()).device)
    logits = model(batch.x)
    return logits, cross_entropy(logits, batch.y), batch.y


def _line(epoch: Epoch, epochs: int) -> str:
    return (
        f'epoch {epoch.epoch:3d}/{epochs}  '
        f'loss {epoch.train_loss:.3f}  train {epoch.train_accuracy:6.1%}  '
        f'test {epoch.test_accuracy:6.1%}  {epoch.seconds:5.1f} s'
    )
