"""The Triton kernels without a GPU: interpreted on the CPU, and compiled ahead."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


pytestmark = pytest.mark.usefixtures('triton')


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get('TRITON_INTERPRET') == '1', reason='this is that process'
)
def test_interpreted():
    """All tests of backends, with this one, in a process that interprets."""
    command = [sys.executable, '-m', 'pytest', '-q', '-k', 'triton', str(HERE)]
    command += [
        str(HERE.parent / 'nn' / 'test_msgcn_conv.py'),
        '-p',
        'no:cacheprovider',
    ]
    told = subprocess.run(
        command,
        env=os.environ | {'TRITON_INTERPRET': '1'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout[-3000:]
    summary = told.stdout.strip().splitlines()[-1]
    assert int(summary.split(' passed')[0].split()[-1]) >= 20, summary


@pytest.mark.skipif(
    os.environ.get('TRITON_INTERPRET') == '1', reason='interpreted, nothing compiles'
)
@pytest.mark.parametrize('arch', [80, 90])
def test_compiles_ahead(arch, tmp_path):
    """One size of each kernel: no register is spilled, and shared memory is there."""
    table = tmp_path / 'kernels.csv'
    command = [sys.executable, str(HERE.parents[1] / 'benchmarks' / 'kernels.py')]
    command += ['--archs', str(arch), '--brief', '--output', str(table)]
    told = subprocess.run(
        command, cwd=HERE.parents[1], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-3000:]
    with table.open(newline='') as file:
        kernels = {(row['kernel'], row['features']) for row in csv.DictReader(file)}
    assert len(kernels) == 2 * 20


def test_without_a_gpu_it_says_so(monkeypatch):
    import torch

    from pyg_msg3d.ops import aggregate

    x, edge = torch.randn(2, 3, 4), torch.zeros(1, dtype=torch.long)
    monkeypatch.delenv('TRITON_INTERPRET', raising=False)
    with pytest.raises(RuntimeError, match="'triton' cannot run here.*on cpu"):
        aggregate(x, edge, edge, None, 3, backend='triton')
