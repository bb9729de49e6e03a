"""A whole training: as many seeds as wanted, tested, recorded and summed up."""

import statistics
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from torch_geometric import seed_everything

from pyg_msg3d.datasets import metadata_of
from pyg_msg3d.described import described
from pyg_msg3d.evaluation import Metrics, Scores, measure, plot_confusion
from pyg_msg3d.models import MSG3D
from pyg_msg3d.training.record import write_json
from pyg_msg3d.training.settings import Settings
from pyg_msg3d.training.trainer import Trainer
from pyg_msg3d.training.world import World


@dataclass(frozen=True)
class Run:
    """Where a training leaves what it makes, and how it begins."""

    run_dir: Path = described(
        Path('runs'), 'folder of the run; of several seeds, of their folders'
    )
    seeds: tuple[int, ...] = described((0,), 'of each a training, such as 0,1,2')
    resume: str | None = described(
        None, "'auto': go on from the run's last checkpoint, if there is one"
    )
    overwrite: bool = described(False, 'remove the run that is in the folder')
    device: str | None = described(
        None, 'cpu or cuda; by default GPUs if there are any'
    )


def train_and_test(
    make_model: Callable[[], MSG3D],
    train_set: Any,
    test_set: Any,
    settings: Settings,
    run: Run,
    world: World,
    final_set: Any = None,
    notes: Mapping[str, Any] | None = None,
) -> list[Metrics]:
    r"""Trains a model for each seed and tests its last weights. Every run's folder gets
    the test's ``scores.npz``, ``result.json``, ``classes.csv`` and ``confusion.png``;
    of several seeds, mean and standard deviation are printed and written, too.

    Args:
        make_model (callable): Makes a model with new weights.
        train_set (Dataset): Training clips.
        test_set (Dataset): Clips to test on after epochs.
        settings (Settings): How to train.
        run (Run): Where to.
        world (World): The processes, see :func:`join`.
        final_set (Dataset, optional): Clips to test on in the end, where these are
            more: ten of a sample, say. By default :obj:`test_set`.
        notes (mapping, optional): See :class:`Trainer`.

    Returns:
        What each seed's test came to.
    """
    say = print if world.is_first else _be_quiet
    results = []
    if len(run.seeds) > 1 and world.is_first:  # Of an earlier run.
        (run.run_dir / 'result.json').unlink(missing_ok=True)
    for seed in run.seeds:
        folder = run.run_dir / f'seed_{seed}' if len(run.seeds) > 1 else run.run_dir
        seed_everything(seed)
        model = make_model().to(world.device)
        settings = replace(settings, seed=seed)
        trainer = Trainer(
            model,
            train_set,
            test_set,
            settings,
            folder,
            world,
            run.resume,
            run.overwrite,
            notes,
            metadata_of(final_set or test_set, average=settings.average),
        )
        parameters = sum(p.numel() for p in model.parameters())
        say(
            f'Seed {seed}: MS-G3D with {parameters:,} parameters, {len(train_set):,} '
            f'clips train, {len(final_set or test_set):,} test, on {_place(world)}'
        )
        start = perf_counter()
        history = trainer.fit()
        seconds = perf_counter() - start
        scores = trainer.predict(test_set if final_set is None else final_set)
        results.append(measure(scores))
        say(f'Seed {seed}, tested: {results[-1]}', flush=True)
        if world.is_first:
            best = max(e.test_accuracy or 0 for e in history)
            numbers = {
                **results[-1].numbers(),
                'best_epoch_top1': best,
                'seed': seed,
                'seconds': seconds,
            }
            record_result(folder, scores, numbers)
    if len(results) > 1:
        top1 = [100 * result.top1 for result in results]
        mean, deviation = statistics.mean(top1), statistics.stdev(top1)
        say(f'{len(top1)} seeds: top-1 {mean:.2f} ± {deviation:.2f} %')
        if world.is_first:
            summary = {'seeds': run.seeds, 'top1': top1, 'mean': mean, 'std': deviation}
            write_json(run.run_dir / 'result.json', summary)
    return results


def record_result(
    folder: Path,
    scores: Scores,
    numbers: dict[str, Any],
) -> None:
    """Writes a test's scores and, if there are labels, what they came to."""
    folder.mkdir(parents=True, exist_ok=True)
    scores.save(folder / 'scores.npz')
    if scores.labels is None:
        write_json(folder / 'result.json', numbers)
        return
    metrics = measure(scores)
    metrics.save_table(folder / 'classes.csv', scores.classes)
    with suppress(ImportError):  # Pictures are an extra.
        plot_confusion(metrics.confusion, folder / 'confusion.png', scores.classes)
    # Last: who finds it, finds all.
    write_json(folder / 'result.json', numbers)


def _place(world: World) -> str:
    device = world.device.type
    return f'{world.size} x {device}' if world.size > 1 else device


def _be_quiet(*_: Any, **__: Any) -> None:
    """What other processes than the first print."""
