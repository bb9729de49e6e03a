"""What the processes of test_processes.py do; run by torchrun, or called."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from actions import small_model, synthetic

from pyg_msg3d.data import atomic
from pyg_msg3d.evaluation import measure
from pyg_msg3d.training import Settings, Trainer, join, predict

# Steps of 4 clips of each process, 6 an epoch.
SETTINGS = Settings(
    epochs=4, batch_size=8, lr=0.05, deterministic=True, tensorboard=False
)


def train(world, folder, settings=SETTINGS, disturb=None):
    """Trains in float64 on augmented clips; leaves losses and weights."""
    clips = synthetic(subjects=4, augment=True)
    model = small_model(clips, dropout=0.0).double()
    trainer = Trainer(
        model, clips, synthetic(subjects=4), settings, folder, world, 'auto'
    )
    if disturb is not None:
        disturb(trainer)
    losses = []
    step = trainer.engine.step

    def watched(*args):
        done = step(*args)
        losses.append(done.loss)
        return done

    trainer.engine.step = watched
    trainer.fit()
    result = {'losses': losses, 'weights': trainer.engine.model.state_dict()}
    if world.is_first:
        torch.save(result, folder / 'result.pt')
    return result


def disturbed(world, folder, settings):
    """Every attempt but the last is killed: one in a step, one in the middle of
    writing a checkpoint, one while testing."""
    attempt = int(os.environ['TORCHELASTIC_RESTART_COUNT'])

    def die():
        (folder / f'killed_{attempt}').touch()
        os.kill(os.getpid(), signal.SIGKILL)

    def disturb(trainer):
        step, save, test = trainer.engine.step, os.fsync, trainer._test
        if attempt == 0 and world.rank == 1:
            trainer.engine.step = lambda *a: die() if trainer.steps == 4 else step(*a)
        if attempt == 1 and world.rank == 0:
            atomic.os.fsync = lambda file: die() if trainer.steps == 8 else save(file)
        if attempt == 2 and world.rank == 0:
            trainer._test = lambda: die() if trainer.epoch == 2 else test()

    train(world, folder, settings, disturb)


def evaluate(world, folder):
    """Scores of 464 clips."""
    clips = synthetic(subjects=36)[:464]
    scores = predict(small_model(clips), clips, batch_size=50, world=world)
    if world.is_first:
        scores.save(folder / f'{world.size}.npz')
        torch.save(measure(scores).numbers(), folder / f'{world.size}.pt')


def bad_sample(world, folder):
    """One of the processes meets a sample that is not finite."""
    clips = synthetic()
    clips.clips[5].x[:] = float('inf')
    settings = Settings(epochs=1, batch_size=12, lr=0.05)
    Trainer(small_model(clips), clips, clips, settings, world=world).fit()


def main():
    what, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    settings = Settings(**{**vars(SETTINGS), 'save_every': 2, 'num_workers': 1})
    with join() as world:
        if what == 'train':
            train(world, folder, settings)
        elif what == 'average':
            train(world, folder, Settings(**{**vars(settings), 'ema': 0.9}))
        elif what == 'disturbed':
            disturbed(world, folder, settings)
        elif what == 'endless':
            train(world, folder, Settings(**{**vars(settings), 'epochs': 10**4}))
        else:
            {'evaluate': evaluate, 'bad_sample': bad_sample}[what](world, folder)


if __name__ == '__main__':
    main()
