"""Training under a real Slurm: a cluster of two nodes on this machine."""

import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from actions import ROOT
from skeleton_files import annotation

from pyg_msg3d.evaluation import read_scores
from pyg_msg3d.io import SampleName

START = Path(__file__).with_name('start.sh')
NEEDED = ('munged', 'slurmctld', 'slurmd', 'sbatch')
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    """The environment in which jobs are submitted."""
    path = os.pathsep.join([os.environ['PATH'], '/usr/sbin', '/sbin'])
    lacking = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if lacking:
        pytest.skip(
            f"{', '.join(lacking)} not found; install Debian's slurm-wlm and munge"
        )
    folder = tmp_path_factory.mktemp('slurm')
    # Its daemons hold on to what they print to.
    with (folder / 'start.log').open('w') as log:
        started = subprocess.run(
            [START, folder], stdout=log, stderr=log, check=False, timeout=60
        )
    assert started.returncode == 0, (folder / 'start.log').read_text()
    python = Path(sys.executable).parent
    yield {
        **os.environ,
        'PATH': f'{python}{os.pathsep}{path}',
        'SLURM_CONF': str(folder / 'slurm.conf'),
        'PYTHONPATH': str(ROOT),
        'OMP_NUM_THREADS': '1',
    }
    subprocess.run([START, folder, 'stop'], check=True)


@pytest.fixture
def workplace(tmp_path):
    """A folder to work in: the examples, and a small data set of 2D key points."""
    (tmp_path / 'examples').symlink_to(ROOT / 'examples')
    rng = np.random.default_rng(0)
    records = []
    for performer in (1, 2, 3, 6, 7):
        for camera in (1, 2):
            for action in (1, 7, 50):
                name = str(SampleName(1, camera, performer, 1, action))
                records.append({**annotation(rng, 2, name), 'label': action - 1})
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/ntu60_2d.pkl').write_bytes(pickle.dumps(records))
    return tmp_path


def submit(cluster, workplace, *options, epochs):
    command = [
        'sbatch', '--parsable', '--gres=none', '--cpus-per-task=1', '--time=10',
        '--output=log', *options, 'examples/train_ntu60.sbatch', '--data', 'data',
        '--channels', '6,12', '--gcn-scales', '2', '--g3d-scales', '2',
        '--window-sizes', '3', '--repeat', '1', '--batch-size', '4', '--epochs',
        str(epochs), '--num-workers', '1', '--test-every', '20', '--no-tensorboard',
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=workplace, env=cluster, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def wait_for(file, cluster, job, seconds=120):
    """Until a file is there, or the job has failed."""
    end = time.monotonic() + seconds
    while not file.exists():
        state = subprocess.run(
            ['squeue', '--noheader', '--format=%T', '--jobs', job],
            env=cluster, capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        log = file.parents[2] / 'log'
        said = log.read_text() if log.exists() else 'no output'
        assert 'FAILED' not in state, said
        assert time.monotonic() < end, f'{state}\n{said}'
        time.sleep(0.5)


def test_one_node(cluster, workplace):
    job = submit(cluster, workplace, '--ntasks-per-node=2', '--job-name=one', epochs=2)
    run = workplace / 'runs/one'
    wait_for(run / 'result.json', cluster, job)
    log = (workplace / 'log').read_text()
    assert '12 clips train, 18 test, on 2 x cpu' in log
    assert log.count('Training from the start') == 1
    assert len(read_scores(run)) == 18


def test_two_nodes_a_warning_and_the_rest(cluster, workplace):
    """Slurm's warning comes midway: the run is saved, queues again and ends."""
    job = submit(
        cluster, workplace, '--nodes=2', '--ntasks-per-node=1', '--job-name=two',
        epochs=80,
    )  # fmt: skip
    run = workplace / 'runs/two'
    wait_for(run / 'previous.pt', cluster, job)
    subprocess.run(['scancel', '--signal=USR1', job], env=cluster, check=True)
    wait_for(run / 'result.json', cluster, job)
    log = (workplace / 'log').read_text()
    assert 'on 2 x cpu' in log
    assert log.count('everything is saved') == 1
    assert log.count("Going on from 'runs/two/last.pt'") == 1
    ends = re.compile(r'^epoch +(\d+) .* train ', re.MULTILINE)
    epochs = ends.findall(log)
    assert epochs == [str(number) for number in range(1, 81)]
