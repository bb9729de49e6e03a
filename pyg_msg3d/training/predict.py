from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from pyg_msg3d.data import Metadata
from pyg_msg3d.datasets.classes import class_names_of, match_classes
from pyg_msg3d.evaluation import Scores
from pyg_msg3d.training.precision import Precision, widened
from pyg_msg3d.training.sampling import test_loader
from pyg_msg3d.training.world import World


class Stopped(Exception):  # noqa: N818
    """A test was not finished, because a process was asked to stop."""


@torch.no_grad()
def predict(
    model: Module,
    dataset: Any,
    batch_size: int = 64,
    average: str = 'logits',
    precision: str = 'float32',
    num_workers: int = 0,
    world: World | None = None,
    stop: Callable[[], bool] | None = None,
) -> Scores:
    r"""The scores of every sample of a data set, each computed once by one of the
    processes, in the order of the data set, and the same on all of them.

    Of a sample with several clips, the mean: of their logits
    (:obj:`average="logits"`), or of their probabilities, as MMAction2 and PYSKL test.

    Where model and data both name their classes, labels are matched by name.

    Args:
        model (Module): From clips :math:`(N, M, T, V, C)` to logits, on its device.
        dataset (Dataset): The clips, or several of each sample as
            :class:`~pyg_msg3d.transforms.UniformSampleFrames` makes them.
        batch_size (int, optional): The clips of a batch. (default: :obj:`64`)
        average (str, optional): :obj:`"logits"` or :obj:`"probabilities"`.
            (default: :obj:`"logits"`)
        precision (str, optional): See :class:`Settings`. (default: :obj:`"float32"`)
        num_workers (int, optional): Processes that load data. (default: :obj:`0`)
        world (World, optional): The processes; by default this one alone.
        stop (callable, optional): Whether this process was asked to stop; looked at
            before every batch.

    Returns:
        The scores, with labels where some are known.

    Raises:
        SkeletonDataError: If a class of the data is none of the model's.
        Stopped: If one of the processes was asked to stop.
    """
    world = world or World(device=next(model.parameters()).device)
    known = getattr(model, 'metadata', Metadata()).classes
    dataset = match_classes(dataset, known, 'test')
    autocast = Precision(precision, world.device).autocast
    clips = dataset[0].x if len(dataset) else torch.empty(())
    clips_of_sample = clips.size(0) if clips.dim() == 5 else 1
    loader = test_loader(
        dataset,
        max(1, batch_size // clips_of_sample),
        num_workers,
        world,
        pin_memory=world.device.type == 'cuda',
    )
    was_training = model.training
    model.eval()
    values, labels, names = [], [], []
    stopped = False
    for batch in loader:
        if stop is not None and stop():
            stopped = True
            break
        with autocast():
            values.append(scores_of(model, as_input(batch.x, model), average).cpu())
        unknown = torch.full((len(batch.x),), -1)
        labels.append(unknown if batch.y is None else batch.y)
        names += batch.name
    model.train(was_training)

    mine = (torch.cat(values), torch.cat(labels), names) if values else None
    shares = world.gather('stopped' if stopped else mine)
    if 'stopped' in [share for share in shares if isinstance(share, str)]:
        raise Stopped
    found = [share for share in shares if share is not None]
    # Process r has samples r, r + processes, ...
    order = torch.cat(
        [torch.arange(r, len(dataset), world.size) for r in range(len(found))]
    ).argsort()
    all_names = [name for share in found for name in share[2]]
    all_names = [all_names[row] for row in order.tolist()]
    found_labels = torch.cat([share[1] for share in found])[order].numpy()
    scored = torch.cat([share[0] for share in found])[order].numpy()
    known = known or class_names_of(dataset)
    return Scores(
        scored,
        average,
        # Data sets of one's own may have no names, or the same for several samples.
        tuple(all_names) if len(set(all_names)) == len(all_names) else None,
        found_labels.astype(np.int64) if (found_labels >= 0).any() else None,
        'the test',
        known if len(known) == scored.shape[1] else (),
    )


def as_input(x: Tensor, model: Module) -> Tensor:
    """Clips on the model's device, in its type of numbers."""
    weight = next(model.parameters())
    return x.to(weight.device, weight.dtype, non_blocking=True)


def scores_of(model: Module, x: Tensor, average: str) -> Tensor:
    """The scores of samples, each of one clip or of several; see :func:`predict`."""
    several = x.dim() == 6  # [N, clips, M, T, V, C]
    logits = widened(model(x.flatten(0, 1) if several else x))
    if average == 'probabilities':
        logits = logits.softmax(1)
    return logits.view(*x.shape[:2], -1).mean(1) if several else logits
