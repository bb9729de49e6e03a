"""Small clips and models for tests of training."""

import subprocess
import sys
from pathlib import Path

import torch

import pyg_msg3d.transforms as T
from pyg_msg3d import MSG3D
from pyg_msg3d.datasets import SyntheticActions

ROOT = Path(__file__).parents[1]


def synthetic(subjects=1, frames=8, augment=False):
    """Thirteen clips of each subject; with augmentation, if wanted."""
    steps = [T.Centre(1), T.SampleFrames(frames, train=augment)]
    if augment:
        steps.append(T.RandomRotation(180, axes=(1,)))
    return SyntheticActions('test', subjects, 1, transform=T.Compose(steps))


def small_model(clips, seed=0, **kwargs):
    torch.manual_seed(seed)
    kwargs = {'channels': (6, 12), **kwargs}
    return MSG3D(clips.skeleton, clips.num_classes, 3, 2, 2, 2, (3,), **kwargs)


def same_weights(one, other):
    """Whether two state dicts agree bit for bit."""
    return one.keys() == other.keys() and all(one[k].equal(other[k]) for k in one)


def torchrun(processes, script, *arguments, options=(), check=True, **kwargs):
    """Runs a script on so many processes of this machine."""
    command = [
        sys.executable, '-m', 'torch.distributed.run', '--standalone',
        f'--nproc-per-node={processes}', *options, str(script), *map(str, arguments),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, **kwargs
    )
    if check:
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done
