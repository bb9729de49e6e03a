"""Several real processes, started by torchrun."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import worker
from actions import ROOT, same_weights, synthetic, torchrun

from pyg_msg3d import MSG3D
from pyg_msg3d.evaluation import measure, read_scores
from pyg_msg3d.training import World, join, predict
from pyg_msg3d.training.world import _place

WORKER = Path(worker.__file__)


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')


def result(folder):
    return torch.load(folder / 'result.pt', weights_only=True)


@pytest.mark.slow
def test_two_processes_train_like_one_that_takes_turns(tmp_path):
    """In float64, batch norm per half: the losses of all steps, and all weights."""
    (tmp_path / 'one').mkdir()
    (tmp_path / 'two').mkdir()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    settings = replace(worker.SETTINGS, accumulate=2)
    one = worker.train(World(), tmp_path / 'one', settings)
    torch.set_num_threads(threads)
    torchrun(2, WORKER, 'train', tmp_path / 'two')
    two = result(tmp_path / 'two')
    assert len(one['losses']) == len(two['losses']) == 24
    np.testing.assert_allclose(two['losses'], one['losses'], rtol=1e-9)
    for key, expected in one['weights'].items():
        # Of a model on several processes, running statistics are the first one's.
        if 'running' not in key and 'tracked' not in key:
            # A bias before a norm gets no gradient: it stays zero.
            error = (two['weights'][key] - expected).norm()
            assert error <= 1e-9 * expected.norm(), key


@pytest.mark.slow
@pytest.mark.parametrize('average', [None, 0.9])
def test_what_is_tested_is_what_is_saved(tmp_path, average):
    """Running statistics are each process's own; all test with those of the first."""
    torchrun(2, WORKER, 'average' if average else 'train', tmp_path)
    saved = MSG3D.from_checkpoint(tmp_path / 'last.pt').double()
    history = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').open()]
    metrics = measure(predict(saved, synthetic(subjects=4)))
    assert history[-1]['test_loss'] == pytest.approx(metrics.loss, rel=1e-6)


@pytest.mark.slow
def test_three_kills_change_no_bit(tmp_path):
    """SIGKILL in a step, while writing a checkpoint and while testing, on either
    process; torchrun starts all again, and the run goes on by itself."""
    (tmp_path / 'whole').mkdir()
    (tmp_path / 'killed').mkdir()
    torchrun(2, WORKER, 'train', tmp_path / 'whole')
    done = torchrun(
        2, WORKER, 'disturbed', tmp_path / 'killed', options=['--max-restarts=3']
    )
    assert sorted(p.name for p in (tmp_path / 'killed').glob('killed_*')) == [
        'killed_0',
        'killed_1',
        'killed_2',
    ]
    assert done.stdout.count('Going on from') == 3
    whole, killed = result(tmp_path / 'whole'), result(tmp_path / 'killed')
    assert same_weights(whole['weights'], killed['weights'])
    assert killed['losses'] == whole['losses'][-len(killed['losses']) :]


@pytest.mark.slow
def test_sigterm_to_torchrun_saves(tmp_path):
    command = [
        sys.executable, '-m', 'torch.distributed.run', '--standalone',
        '--nproc-per-node=2', str(WORKER), 'endless', str(tmp_path),
    ]  # fmt: skip
    log = (tmp_path / 'log').open('w+')
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    end = time.monotonic() + 120
    while not (tmp_path / 'last.pt').exists():
        assert process.poll() is None, log.name
        assert time.monotonic() < end
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    printed = Path(log.name).read_text()
    assert 'Asked to stop after step' in printed
    state = torch.load(tmp_path / 'last.pt', weights_only=True)
    step = f'step {state["epoch_step"]} of epoch {state["epoch"] + 1};'
    assert f'Asked to stop after {step}' in printed


@pytest.mark.slow
def test_every_sample_is_tested_once(tmp_path):
    """464 clips, which do not divide by three, on one, two and three processes."""
    for processes in (1, 2, 3):
        torchrun(processes, WORKER, 'evaluate', tmp_path)
    expected = read_scores(tmp_path / '1.npz')
    names = tuple(clip.name for clip in synthetic(subjects=36)[:464])
    assert len(names) == len(set(names)) == 464
    for processes in (1, 2, 3):
        scores = read_scores(tmp_path / f'{processes}.npz')
        assert scores.names == names
        np.testing.assert_allclose(scores.values, expected.values, atol=1e-6, rtol=0)
        np.testing.assert_array_equal(scores.labels, expected.labels)
        one, other = (
            torch.load(tmp_path / f'{n}.pt', weights_only=True) for n in (1, processes)
        )
        assert abs(one.pop('loss') - other.pop('loss')) < 1e-6
        assert one == other


@pytest.mark.slow
def test_a_bad_sample_of_one_process_stops_all(tmp_path):
    done = torchrun(2, WORKER, 'bad_sample', tmp_path, check=False)
    assert done.returncode != 0
    name = synthetic().clips[5].name
    assert done.stderr.count('FloatingPointError: Epoch 1, step 1: The loss') >= 1
    assert repr(name) in done.stderr


# Launchers ---------------------------------------------------------------------------


def test_places():
    assert _place({}) is None
    torchrun = {
        'RANK': '3', 'WORLD_SIZE': '4', 'LOCAL_RANK': '1', 'MASTER_ADDR': 'a',
        'MASTER_PORT': '1', 'SLURM_PROCID': '0', 'SLURM_STEP_NUM_TASKS': '2',
    }  # fmt: skip
    assert _place(torchrun) == (3, 4, 1)
    srun = {
        'SLURM_PROCID': '5', 'SLURM_STEP_NUM_TASKS': '8', 'SLURM_LOCALID': '1',
        'MASTER_ADDR': 'a', 'MASTER_PORT': '1',
    }  # fmt: skip
    assert _place(srun) == (5, 8, 1)
    # A batch script's own shell is no task of many.
    assert _place({'SLURM_PROCID': '0', 'SLURM_NTASKS': '8'}) is None
    with pytest.raises(ValueError, match='RANK is set, but WORLD_SIZE, LOCAL_RANK'):
        _place({'RANK': '0'})
    with pytest.raises(ValueError, match='MASTER_ADDR and MASTER_PORT are not set'):
        _place({'SLURM_PROCID': '5', 'SLURM_STEP_NUM_TASKS': '8'})


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_devices():
    with join() as world:
        assert (world.rank, world.size, world.device.type) == (0, 1, 'cpu')
    with (
        pytest.raises(ValueError, match="device='cuda', but torch sees no GPU"),
        join('cuda'),
    ):
        pass
    with pytest.raises(ValueError, match="must be cpu or cuda .got 'mps'"), join('mps'):
        pass
    assert 'RANK' not in os.environ
