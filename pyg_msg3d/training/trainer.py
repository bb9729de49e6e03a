import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch.utils.data import Dataset
from torch_geometric import seed_everything

from pyg_msg3d.data import Metadata
from pyg_msg3d.datasets import match_classes, metadata_of
from pyg_msg3d.datasets.classes import class_names_of
from pyg_msg3d.evaluation import Scores, measure
from pyg_msg3d.models import MSG3D
from pyg_msg3d.training.ahead import ahead
from pyg_msg3d.training.checkpoints import (
    CheckpointError,
    Checkpoints,
    load_checkpoint,
    random_state,
    set_random_state,
    versions,
)
from pyg_msg3d.training.checks import check_fit
from pyg_msg3d.training.data_facts import data_facts, facts_differ
from pyg_msg3d.training.engine import Engine
from pyg_msg3d.training.interrupts import Interrupts
from pyg_msg3d.training.precision import resolved, tf32
from pyg_msg3d.training.predict import Stopped, predict
from pyg_msg3d.training.progress import Progress
from pyg_msg3d.training.record import Epoch, Record, clear
from pyg_msg3d.training.run_lock import run_lock
from pyg_msg3d.training.sampling import TrainSampler, train_loader
from pyg_msg3d.training.saver import Saver
from pyg_msg3d.training.settings import Settings
from pyg_msg3d.training.world import World


class Interrupted(Exception):  # noqa: N818
    """The training was asked to stop, and is saved; the message says how to go on."""


class Trainer:
    r"""Trains MS-G3D by stochastic gradient descent with Nesterov momentum, alone or
    together with other processes, tests it and saves it.

    .. code-block:: python

        trainer = Trainer(model, train_set, test_set, Settings(epochs=20), 'runs/mine')
        history = trainer.fit()

    Args:
        model (MSG3D): The model; it is moved to the device.
        train_set (Dataset): Training clips, of one length.
        test_set (Dataset): Test clips.
        settings (Settings): How it is trained.
        run_dir (path, optional): The folder of the run: checkpoints, arguments,
            metrics, curves. By default nothing is written.
        world (World, optional): The processes that train together, see :func:`join`;
            by default this one alone, on the device of the model.
        resume (str or path, optional): A checkpoint to go on from, or :obj:`"auto"`:
            from the last in :obj:`run_dir` if there is one.
        overwrite (bool, optional): Remove the run that is in :obj:`run_dir`.
            (default: :obj:`False`)
        notes (mapping, optional): What checkpoints and records are to keep of the
            data: plain values. A run goes on with the same alone.

        metadata (Metadata, optional): What checkpoints are to say of how clips are
            made; by default that of :obj:`test_set`. The names of the classes are those
            of the model, or else of the data.

    Raises:
        SkeletonDataError: If the data does not fit the model, or has a class that the
            model, or the training data, does not know.
        ValueError: If settings do not fit each other, the processes or the device.
        FileExistsError: If there is a run in :obj:`run_dir` already, or one is going
            on there.
        CheckpointError: If there is nothing usable to resume from, or it was trained
            with other settings, or other clips, labels or another order of them; or if
            a checkpoint of the model could not be opened again.
    """

    def __init__(
        self,
        model: MSG3D,
        train_set: Dataset,
        test_set: Dataset,
        settings: Settings,
        run_dir: str | PathLike | None = None,
        world: World | None = None,
        resume: str | PathLike | None = None,
        overwrite: bool = False,
        notes: Mapping[str, Any] | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        self.notes = dict(notes or {})
        self.world = world or World(device=next(model.parameters()).device)
        # What is kept says how it was trained, not that it was left open.
        precision: Any = resolved(settings.precision, self.world.device)
        self.settings = settings = replace(settings, precision=precision)
        known = model.metadata.classes
        train_set = match_classes(train_set, known, 'training')
        known = known or class_names_of(train_set)
        test_set = match_classes(test_set, known, 'test')
        check_fit(model, train_set, 'training')
        check_fit(model, test_set, 'test')
        if run_dir is not None:
            model.check_restorable()
        if metadata is None:
            metadata = metadata_of(test_set, average=settings.average)
        # Who has more classes than the data names has no names.
        known = known if len(known) == model.num_classes else ()
        model.metadata = replace(metadata, classes=known)
        self.test_set = test_set
        self.data = {'train': data_facts(train_set), 'test': data_facts(test_set)}
        self.sampler = TrainSampler(
            len(train_set),  # type: ignore[arg-type]
            settings.batch_size,
            settings.accumulate,
            settings.repeat,
            settings.seed,
            self.world,
        )
        self.loader = train_loader(
            train_set,
            self.sampler,
            settings.num_workers,
            pin_memory=self.world.device.type == 'cuda',
        )
        self.engine = Engine(model, settings, self.world)

        self.epoch, self.epoch_step = 0, 0  # Those that are done.
        self.history: list[Epoch] = []
        self._totals = [0.0, 0.0, 0.0]  # Of this epoch: loss, right ones, seconds.
        self._best = -1.0
        self._saver = Saver(settings.save_every)
        self._interrupts = Interrupts()
        self._open(None if run_dir is None else Path(run_dir), resume, overwrite)

    @property
    def steps(self) -> int:
        """The steps of the optimiser that are done."""
        return self.epoch * self.sampler.num_steps + self.epoch_step

    # Training -----------------------------------------------------------------

    def fit(self) -> list[Epoch]:
        r"""Trains what is left to train, and tests.

        Returns:
            What each epoch came to.

        Raises:
            FloatingPointError: If a loss is NaN or infinite; the message names the
                samples of the batch. The checkpoints before stay.
            Interrupted: If SIGINT, SIGTERM or SIGUSR1 came; everything is saved.
            OSError: If the end of the training could not be saved.
            FileExistsError: If another run is going on in the folder.
        """
        batch, left = self.settings.batch_size, self.settings.epochs - self.epoch
        clips = self.sampler.num_steps * batch
        with ExitStack() as stack:
            stack.enter_context(_determinism(self.settings.deterministic))
            stack.enter_context(self._folder_alone())
            self._interrupts = stack.enter_context(Interrupts())
            record = stack.enter_context(closing(self._record()))
            progress = stack.enter_context(
                closing(
                    Progress(
                        clips * self.settings.epochs,
                        self.steps * batch,
                        self.world.is_first,
                    )
                )
            )
            if left > 0:
                progress.say(self._opening + self._bits())
                progress.say(self._steps())
            while self.epoch < self.settings.epochs:
                self._train_epoch(record, progress)
                self._end_epoch(record, progress)
            record.catch_up(self.history)
        return self.history

    def _steps(self) -> str:
        """How many steps an epoch has, and what of the clips it leaves out."""
        sampler = self.sampler
        clips = sampler.num_samples * sampler.repeat
        left = clips - sampler.num_steps * sampler.batch_size
        text = f'{sampler.num_steps:,} steps an epoch, of {sampler.batch_size} clips'
        if left:
            text += f'; {left} of {clips:,} clips, others each time, fill no batch'
        return text

    def _bits(self) -> str:
        """In what a GPU computes, since it may not be what was asked for."""
        allowed = tf32(self.world.device)
        if allowed is None:
            return ''
        return f'; {self.settings.precision}, of float32 in TF32: {allowed}'

    @contextmanager
    def _folder_alone(self) -> Iterator[None]:
        """Keeps other runs out of the folder, of all processes by the first."""
        with ExitStack() as stack:
            problem = None
            if self.checkpoints is not None and self.world.is_first:
                try:
                    stack.enter_context(run_lock(self.checkpoints.folder))
                    self.checkpoints.check_unchanged(self._found)
                except (OSError, CheckpointError) as error:
                    problem = error
            problem = self.world.share(problem)
            if problem is not None:
                raise problem
            yield

    def _train_epoch(self, record: Record, progress: Progress) -> None:
        if self.epoch_step == self.sampler.num_steps:
            return  # It was trained before, and is to be tested.
        self.sampler.start(self.epoch, self.epoch_step)
        batches = ahead(self.loader, self.world.device)
        self.engine.model.train()
        while self.epoch_step < self.sampler.num_steps:
            start = perf_counter()
            parts = [next(batches) for _ in range(self.settings.accumulate)]
            lr = self.settings.rate(self.steps, self.sampler.num_steps)
            try:
                done = self.engine.step(
                    parts, lr, self._interrupts.came, self._saver.due(self.steps + 1)
                )
            except FloatingPointError as error:
                raise FloatingPointError(
                    f'Epoch {self.epoch + 1}, step {self.epoch_step + 1}: {error}'
                ) from None
            self.epoch_step += 1
            for i, value in enumerate(
                (done.loss * done.clips, done.correct, perf_counter() - start)
            ):
                self._totals[i] += value
            mean = self._totals[0] / (self.epoch_step * self.settings.batch_size)
            progress.advance(done.clips, self.epoch + 1, mean)
            record.step(self.steps, loss=done.loss, lr=lr)
            if done.stop:
                self._stop(progress)
            if done.save and self.epoch_step < self.sampler.num_steps:
                self._save(progress)

    def _stop(self, progress: Progress) -> None:
        """Ends the training as it was asked to."""
        self._save(progress, must=True)
        said = (
            f'Asked to stop after step {self.epoch_step} of epoch {self.epoch + 1}; '
            f'everything is saved. The same command with --resume auto goes on'
        )
        progress.say(said)
        raise Interrupted(said)

    # The end of an epoch --------------------------------------------------------

    def _end_epoch(self, record: Record, progress: Progress) -> None:
        settings = self.settings
        clips = self.sampler.num_steps * settings.batch_size
        loss, correct, seconds = self._totals
        last = self.epoch + 1 == settings.epochs
        test: dict[str, float] = {}
        if last or (self.epoch + 1) % settings.test_every == 0:
            # What was trained is not lost, however the test ends.
            self._save(progress)
            drawn = random_state(self.world.device)
            try:
                test = self._test()
            except Stopped:
                # The test begins anew then, with the same random numbers.
                set_random_state(drawn, self.world.device)
                self._stop(progress)
        self.history.append(
            Epoch(
                epoch=self.epoch + 1,
                train_loss=loss / clips,
                train_accuracy=correct / clips,
                lr=self.settings.rate(self.steps - 1, self.sampler.num_steps),
                # The rest of a resumed epoch counts, but not what was waited before.
                clips_per_second=clips / max(seconds, 1e-9),
                seconds=seconds,
                **test,
            )
        )
        self.epoch, self.epoch_step = self.epoch + 1, 0
        self._totals = [0.0, 0.0, 0.0]
        # Of epochs that are equally good, the last has learned for longest.
        best = bool(test) and test['test_accuracy'] >= self._best
        if best:
            self._best = test['test_accuracy']
        # Pictures take longer than some lives: first what must not be lost.
        self._save(progress, best, must=last)
        progress.say(str(self.history[-1]))
        record.epochs(self.history)

    def _test(self) -> dict[str, float]:
        scores = self._predict(self.test_set, lambda: self._interrupts.came)
        metrics = measure(scores)
        return {
            'test_loss': metrics.loss,
            'test_accuracy': metrics.top1,
            'test_top5': metrics.top5,
            'test_mean_class': metrics.mean_class,
        }

    def predict(self, dataset: Dataset) -> Scores:
        """The scores of the model that is tested, as the settings have it; see
        :func:`predict`."""
        return self._predict(dataset)

    def _predict(
        self, dataset: Dataset, stop: Callable[[], bool] | None = None
    ) -> Scores:
        settings = self.settings
        self.engine.agree()
        return predict(
            self.engine.tested_model,
            dataset,
            settings.test_batch_size,
            settings.average,
            settings.precision,
            settings.num_workers,
            self.world,
            stop,
        )

    # Saving and going on --------------------------------------------------------

    def _open(
        self, run_dir: Path | None, resume: str | PathLike | None, overwrite: bool
    ) -> None:
        """Finds where to begin."""
        self.checkpoints = None if run_dir is None else Checkpoints(run_dir)
        self._found: dict[str, Any] = {}
        if resume == 'auto' and run_dir is None:
            raise ValueError("resume='auto' needs the folder of the run, 'run_dir'")
        self._opening = 'Training from the start'
        # The first process looks, so that all find the same.
        found, problem = None, None
        if self.world.is_first:
            try:
                found = self._find(resume, overwrite)
            except (CheckpointError, OSError) as error:
                problem = error
        problem = self.world.share(problem)
        if problem is not None:
            raise problem
        found = self.world.share(found)
        # Weights are the same everywhere; what dropout draws is not.
        seed_everything(self.settings.seed + 1000 * self.world.rank)
        if found is not None:
            self._load(*found)
        if self.checkpoints is not None:
            self._found = self.checkpoints.seen()

    def _find(
        self, resume: str | PathLike | None, overwrite: bool
    ) -> tuple[dict[str, Any], str] | None:
        if resume is not None and resume != 'auto':
            return load_checkpoint(Path(resume)), f"Going on from '{resume}'"
        if self.checkpoints is None or not self.checkpoints.exist():
            return None
        if resume == 'auto':
            return self.checkpoints.load()
        if not overwrite:
            raise FileExistsError(
                f"There is a run in '{self.checkpoints.folder}' already. Go on with "
                f'it (--resume auto), remove it (--overwrite), or choose another '
                f'folder (--run-dir)'
            )
        with run_lock(self.checkpoints.folder):
            clear(self.checkpoints.folder)
        return None

    def _load(self, state: dict[str, Any], said: str) -> None:
        differ = self.settings.difference(state['settings'])
        now = self.engine.model.arguments
        differ += [
            f'model {name}: {value} then, {now.get(name)} now'
            for name, value in state['model_arguments'].items()
            if value != now.get(name)
        ]
        differ += [
            f'{name}: {value} then, {self.notes.get(name)} now'
            for name, value in state['notes'].items()
            if value != self.notes.get(name)
        ]
        if 'data' in state:
            differ += facts_differ(state['data'], self.data)
        else:
            said += ', which does not tell what clips it was trained on'
        if differ:
            raise CheckpointError(
                f'{said}, but it was trained otherwise ({"; ".join(differ)}). Go on '
                f'with the same arguments, or start anew in another folder'
            )
        self.engine.load_state_dict(state)
        self.epoch, self.epoch_step = state['epoch'], state['epoch_step']
        self.history = [Epoch(**epoch) for epoch in state['history']]
        self._totals, self._best = state['totals'], state['best']
        if len(state['random']) == self.world.size:
            set_random_state(state['random'][self.world.rank], self.world.device)
        else:
            said += (
                f', of {len(state["random"])} processes by {self.world.size}: dropout '
                f'draws other numbers'
            )
        place = f'epoch {self.epoch + 1}, step {self.epoch_step + 1}'
        if self.epoch_step == self.sampler.num_steps:
            place = f'the test of epoch {self.epoch + 1}'
        self._opening = f'{said}: {place}'

    def _save(self, progress: Progress, best: bool = False, must: bool = False) -> None:
        if self.checkpoints is None:
            return
        start = perf_counter()
        states = self.world.gather(random_state(self.world.device))
        problem = None
        if self.world.is_first:
            try:
                self.checkpoints.save(self._state(states), best)
            except OSError as error:
                problem = str(error)
        if must:
            problem = self.world.share(problem)
        if problem is not None:
            text = (
                f'The checkpoint of epoch {self.epoch + 1}, step {self.epoch_step} '
                f"could not be saved to '{self.checkpoints.folder}': {problem}. The "
                f'one before stays'
            )
            if must:
                raise OSError(text)
            progress.say(f'{text}, and training goes on')
        self._found = self.checkpoints.seen()
        self._saver.saved(perf_counter() - start)

    def _state(self, random_states: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            **self.engine.state_dict(),
            'model_arguments': self.engine.model.arguments,
            'metadata': self.engine.model.metadata.arguments(),
            'epoch': self.epoch,
            'epoch_step': self.epoch_step,
            'history': [asdict(epoch) for epoch in self.history],
            'totals': self._totals,
            'best': self._best,
            'random': random_states,
            'settings': asdict(self.settings),
            'notes': self.notes,
            'data': self.data,
            'versions': versions(),
        }

    def _record(self) -> Record:
        if self.checkpoints is None:
            return Record(None, self.world, {}, False)
        arguments = {
            **asdict(self.settings),
            'learning_rate': self.settings.learning_rate,
            **self.notes,
            'model': self.engine.model.arguments,
        }
        return Record(
            self.checkpoints.folder,
            self.world,
            arguments,
            self.settings.tensorboard,
            self.steps,
        )


@contextmanager
def _determinism(wanted: bool) -> Iterator[None]:
    """Torch's own choice of kernels, or only those that always add up in one order."""
    before = torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    if wanted:  # What CUDA's matrix products ask for.
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    torch.use_deterministic_algorithms(wanted or before)
    # Clips are equally long, so the fastest kernels are worth looking for.
    torch.backends.cudnn.benchmark = not wanted
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = benchmark
