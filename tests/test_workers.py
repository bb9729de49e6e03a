"""Processes that load data, however Python starts them."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
import multiprocessing, os, sys, time
from torch.utils.data import DataLoader
from pyg_msg3d.data.workers import as_helper

class Numbers:
    def __len__(self):
        return 8

    def __getitem__(self, number):
        return number, os.getpid()

if __name__ == '__main__':
    multiprocessing.set_start_method(sys.argv[1])
    loader = DataLoader(Numbers(), 2, num_workers=2, worker_init_fn=as_helper(),
                        persistent_workers=True)
    batches = list(loader)
    print(sum(numbers.sum().item() for numbers, _ in batches), flush=True)
    print(*{pid for _, pids in batches for pid in pids.tolist()}, flush=True)
    time.sleep(600)
"""


def start(tmp_path, method):
    script = tmp_path / 'loads.py'
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, script, method],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )


def running(pid):
    """Whether a process is there and not a zombie that nobody has asked for."""
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except OSError:
        return False
    return state != 'Z'


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('method', multiprocessing.get_all_start_methods())
def test_workers_load_and_end_with_who_started_them(tmp_path, method):
    process = start(tmp_path, method)
    try:
        assert process.stdout.readline().strip() == str(sum(range(8)))
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 2
        assert all(running(pid) for pid in workers)
    finally:
        process.kill()
        process.wait()
    end = time.monotonic() + 30
    while any(running(pid) for pid in workers) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(running(pid) for pid in workers)
