"""The transcript of the README, as a user runs it."""

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_transcript_of_the_readme_runs(tmp_path):
    """With default options, and on recordings that nobody has trained on."""
    (block,) = re.findall(
        r'^```console\n(.*?)^```', (ROOT / 'README.md').read_text(), re.M | re.S
    )
    commands = [line[2:] for line in block.splitlines() if line.startswith('$ ')]
    subprocess.run(
        [sys.executable, ROOT / 'examples/make_clips.py', 'my_clips'],
        cwd=tmp_path, check=True,
    )  # fmt: skip
    aside = tmp_path / 'my_clips/wave/wave_19.npy'
    aside.replace(tmp_path / 'wave_19.npy')
    begin, ran, out = time.perf_counter(), 0, ''
    for command in commands:
        program, *words = shlex.split(command)
        if program != 'pyg-msg3d':
            continue
        ran += 1
        done = subprocess.run(
            [sys.executable, '-m', 'pyg_msg3d', *words], cwd=tmp_path,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        out += done.stdout
    print(out, f'{time.perf_counter() - begin:.0f} s')
    assert ran == 2
    accuracy = float(re.search(r'tested: top-1 ([\d.]+)%', out)[1])
    assert accuracy >= 95
    assert re.search(r'^wave_19: wave [\d.]+%', out, re.M)
    assert (tmp_path / 'seen/wave_19.gif').stat().st_size > 10_000
    for line in block.splitlines():  # What it prints is what stands there.
        shown = re.sub(r'[\d.,]+', '', line)
        if line.startswith(('Seed', 'To predict', 'A small', 'Before', 'Picture')):
            assert shown in re.sub(r'[\d.,]+', '', out), line
