"""Runs that are killed for real, whenever it comes, and two runs in one folder."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from actions import ROOT, same_weights, small_model, synthetic

from pyg_msg3d import Predictor
from pyg_msg3d.data import CheckpointError, SkeletonDataError
from pyg_msg3d.datasets import InMemorySkeletonDataset, SyntheticActions
from pyg_msg3d.io import SkeletonSequence
from pyg_msg3d.training import Interrupted, Settings, Trainer

SETTINGS = Settings(
    epochs=6, batch_size=4, lr=0.05, deterministic=True, tensorboard=False, ema=0.9
)
# Slow steps and slow tests, so that lives can be shorter than either.
SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from actions import small_model, synthetic
from pyg_msg3d.training import Interrupted, Settings, Trainer, plain_errors
from test_killed_runs import SETTINGS, slowly

folder, pause = sys.argv[1], float(sys.argv[2])
clips = synthetic(augment=True)
with plain_errors():
    trainer = Trainer(small_model(clips, dropout=0.5), clips, clips, SETTINGS, folder,
                      resume='auto')
    slowly(trainer, pause)
    print('begin', flush=True)
    trainer.fit()
    torch.save(trainer.engine.state_dict(), folder + '/result.pt')
""".format(tests=str(ROOT / 'tests'))


def slowly(trainer, pause):
    step, test, save = trainer.engine.step, trainer._test, trainer.checkpoints.save

    def waits(function, share):
        def run(*args):
            time.sleep(share * pause / 2)
            result = function(*args)
            time.sleep(share * pause / 2)
            return result

        return run

    trainer.engine.step = waits(step, 1)
    trainer._test = waits(test, 2)
    trainer.checkpoints.save = waits(save, 0.3)


@pytest.fixture
def start(tmp_path):
    script = tmp_path / 'run.py'
    script.write_text(SCRIPT)
    environment = {
        **os.environ, 'OMP_NUM_THREADS': '1',
        'PYTHONPATH': f'{ROOT}:{ROOT / "tests/training"}',
    }  # fmt: skip

    def start(folder, pause=0.0):
        return subprocess.Popen(
            [sys.executable, script, folder, str(pause)], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
        )  # fmt: skip

    return start


def progress(folder):
    """The steps of the last checkpoint that can be read."""
    for name in ('last.pt', 'previous.pt'):
        try:
            state = torch.load(folder / name, weights_only=True)
        except (OSError, RuntimeError, EOFError):
            continue
        return 3 * state['epoch'] + state['epoch_step'], len(state['history'])
    return 0, 0


def all_predict(folder):
    """Asks every checkpoint that a kill has left what a recording shows."""
    clip = SkeletonSequence(np.ones((2, 8, 25, 3), 'f4'), 'clip')
    files = [*folder.glob('*.pt')]
    for file in files:
        if file.name != 'result.pt':
            (answer,) = Predictor(file)(clip)
            assert answer.label in SyntheticActions('test', 1, 1).classes
    return len(files)


def train_slowly(folder):
    """What each life does, until it is killed."""
    os.setpgrp()
    log = (folder.parent / 'log').open('a')
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    clips = synthetic(augment=True)
    model = small_model(clips, dropout=0.5)
    trainer = Trainer(model, clips, clips, SETTINGS, folder, resume='auto')
    if folder.name != 'whole':
        slowly(trainer, 0.1)
    trainer.fit()
    torch.save(trainer.engine.state_dict(), folder / 'result.pt')


def kill_fifty(root):
    """Runs that are killed at random moments of 18 steps and 6 tests, until there were
    fifty kills; most lives are of one to five steps, shorter than an epoch and its
    test, some over before anything is done."""
    context = multiprocessing.get_context(
        'fork'
    )  # Of a process that only starts others.
    whole = context.Process(target=train_slowly, args=[root / 'whole'])
    whole.start()
    whole.join()
    rng, kills, runs, stuck, checkpoints = random.Random(0), 0, 0, 0, 0
    by = {'training': 0, 'testing or saving': 0}
    while kills < 50:
        runs += 1
        folder, done, ended = root / f'killed{runs}', (0, 0), False
        while not ended:
            life = context.Process(target=train_slowly, args=[folder])
            life.start()
            short = rng.random() < 0.7
            life.join(rng.uniform(0.1, 0.8) if short else rng.uniform(0.8, 5))
            ended = life.exitcode is not None
            if not ended:
                life.kill()
                life.join()
                kills += 1
            else:
                assert life.exitcode == 0, (root / 'log').read_text()[-2000:]
            checkpoints += all_predict(folder)
            now = progress(folder)
            by['training' if now[0] % 3 else 'testing or saving'] += not ended
            assert now >= done  # Nothing that was saved is lost.
            stuck = stuck + 1 if now == done else 0
            assert stuck < 15, 'the run does not get ahead'
            done = now
        one, other = (
            torch.load(f / 'result.pt', weights_only=True)
            for f in (root / 'whole', folder)
        )
        assert same_weights(one['model'], other['model'])
        assert same_weights(one['ema'], other['ema'])
        assert (folder / 'metrics.jsonl').read_text().count('\n') == 6
    print(f'{kills} kills of {runs} runs, all to the same bits; last saved while {by}')
    print(f'{checkpoints} checkpoints that kills left answered')


@pytest.mark.slow
def test_fifty_kills_change_no_bit(tmp_path):
    code = 'import pathlib, sys, torch; torch.set_num_threads(1)\n'
    code += 'from test_killed_runs import kill_fifty\n'
    code += 'kill_fifty(pathlib.Path(sys.argv[1]))'
    paths = [ROOT, ROOT / 'tests', ROOT / 'tests/training']
    done = subprocess.run(
        [sys.executable, '-c', code, tmp_path], capture_output=True, text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1',
             'PYTHONPATH': ':'.join(map(str, paths))}, timeout=500, check=False,
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert 'all to the same bits' in done.stdout


def test_a_kill_in_the_first_test_loses_no_training(tmp_path):
    clips = synthetic()

    class Killed(BaseException):
        pass

    def dies():
        raise Killed

    first = Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path)
    first._test = dies
    with pytest.raises(Killed):
        first.fit()
    again = Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path, resume='auto')
    assert again.steps == 3
    assert again.history == []
    again._train_epoch(None, None)  # There is nothing left of it.
    assert len(again.fit()) == 6


def test_the_second_run_in_a_folder_is_refused(tmp_path, start):
    running = start(tmp_path / 'run', 0.3)
    while 'begin' not in running.stdout.readline():
        assert running.poll() is None
    clips = synthetic(augment=True)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / 'run/.run.owner').exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        second = start(tmp_path / 'run')
        out, _ = second.communicate(timeout=120)
        assert second.returncode == 2
        assert 'A run is going on in' in out
        assert f'process {running.pid} on' in out
        with pytest.raises(FileExistsError, match='is going on|There is a run'):
            Trainer(
                small_model(clips), clips, clips, SETTINGS, tmp_path / 'run',
                overwrite=True,
            ).fit()  # fmt: skip
    finally:
        running.kill()
        running.communicate()
    third = start(tmp_path / 'run')
    out, _ = third.communicate(timeout=120)
    assert third.returncode == 0, out
    assert not [p for p in (tmp_path / 'run').iterdir() if p.name.endswith('.partial')]


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(tmp_path, start, number):
    process = start(tmp_path / 'run', 0.2)
    while 'begin' not in process.stdout.readline():
        assert process.poll() is None
    time.sleep(0.3)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert out.count('--resume auto goes on') == 1
    assert 'Traceback' not in out
    assert progress(tmp_path / 'run')[0] > 0


def test_asked_to_stop_in_a_test_it_does_not_wait_for_its_end(tmp_path):
    clips = synthetic(augment=True)
    whole = Trainer(small_model(clips), clips, clips, SETTINGS)
    whole.fit()
    trainer = Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path)
    test, seen = trainer._test, []

    def asked():
        seen.append(trainer.epoch)
        if trainer.epoch == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return test()

    trainer._test = asked
    with pytest.raises(Interrupted, match='after step 3 of epoch 3'):
        trainer.fit()
    rest = Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path, resume='auto')
    assert (rest.epoch, rest.epoch_step) == (2, 3)
    rest.fit()
    assert same_weights(whole.engine.model.state_dict(), rest.engine.model.state_dict())
    kept = [(e.test_loss, e.train_loss) for e in whole.history]
    assert kept == [(e.test_loss, e.train_loss) for e in rest.history]


# Going on with the same clips alone ----------------------------------------------


def with_clips(dataset, clips):
    return InMemorySkeletonDataset(
        clips, dataset.skeleton, dataset.classes, dataset.transform
    )


def other_label(clip):
    clip = clip.clone()
    clip.y = (clip.y + 1) % 13
    return clip


def other_name(clip):
    clip = clip.clone()
    clip.name = 'other'
    return clip


def other_content(clip):
    clip = clip.clone()
    clip.x = clip.x * 1.5
    return clip


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda c: c[:-1], r'clips of the train data: 13 then, 12 now'),
        (lambda c: [other_name(c[0]), *c[1:]], 'names .*train data: .* then, .* now'),
        (lambda c: [other_label(c[0]), *c[1:]], 'labels .*train data: .* then, .* now'),
        (
            lambda c: [c[1], c[0], *c[2:]],
            'order of clips .*train data: .* then',
        ),
        (lambda c: [other_content(c[0]), *c[1:]], 'coordinates .*train data: .* then'),
    ],
)
def test_other_clips_are_refused(tmp_path, change, said):
    clips = synthetic()
    Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path).fit()
    other = with_clips(clips, change(clips.clips))
    with pytest.raises(CheckpointError, match=said):
        Trainer(small_model(clips), other, clips, SETTINGS, tmp_path, resume='auto')
    with pytest.raises(CheckpointError, match=said.replace('train', 'test')):
        Trainer(small_model(clips), clips, other, SETTINGS, tmp_path, resume='auto')
    Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path, resume='auto')


def test_the_best_alone_is_a_run(tmp_path):
    clips = synthetic()
    Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path).fit()
    for name in ('last.pt', 'previous.pt'):
        (tmp_path / name).unlink()
    with pytest.raises(FileExistsError, match='There is a run in'):
        Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path)
    trainer = Trainer(
        small_model(clips), clips, clips, SETTINGS, tmp_path, resume='auto'
    )
    assert trainer.steps > 0
    assert len(trainer.fit()) == 6


def test_a_trainer_can_go_on_itself(tmp_path):
    clips = synthetic()
    trainer = Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path)
    step = trainer.engine.step

    def asked(*args):
        if trainer.steps == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return step(*args)

    trainer.engine.step = asked
    with pytest.raises(Interrupted):
        trainer.fit()
    trainer.engine.step = step
    assert len(trainer.fit()) == 6
    assert len(trainer.fit()) == 6


def test_a_run_that_has_gone_on_meanwhile_is_not_overwritten(tmp_path):
    clips = synthetic()
    first, second = (
        Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path) for _ in 'ab'
    )
    first.fit()
    with pytest.raises(CheckpointError, match='Another run has trained'):
        second.fit()


def test_clips_without_labels_cannot_train():
    clips = synthetic()
    unknown = clips.clips[3].clone()
    unknown.y = None
    other = with_clips(clips, [*clips.clips[:3], unknown, *clips.clips[4:]])
    assert other.labels.tolist()[3] == -1
    with pytest.raises(SkeletonDataError, match='1 of 13 clips have no label'):
        Trainer(small_model(clips), other, clips, SETTINGS)
    assert np.array_equal(np.delete(other.labels, 3), np.delete(clips.labels, 3))
