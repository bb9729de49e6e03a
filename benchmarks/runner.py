"""What all benchmarks share: sides run in turns, their ratios, and the machine."""

import argparse
import csv
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

import torch
import torch.nn.functional as F

HERE = Path(__file__).parent
DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
COLUMNS = (
    'case', 'side', 'seconds', 'seconds_q20', 'seconds_q80', 'baseline', 'speedup',
    'speedup_q20', 'speedup_q80', 'peak_mb', 'gflop_s', 'share_of_peak',
    'gb_s', 'share_of_bandwidth',
)  # fmt: skip


def in_turns(
    sides: dict[str, Callable[[], object]], repeats: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """The seconds of each side. All run once in every round, one after the other, so
    that what disturbs the machine disturbs them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(warm_up + repeats):
        for name, run in sides.items():
            synchronize()
            begin = time.perf_counter()
            run()
            synchronize()
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


class Process:
    """A side in a process of its own: ``script`` with these arguments, which ends in
    :func:`serve`. Running it is a call."""

    def __init__(self, script: str, arguments: Sequence[str]) -> None:
        self.command = [sys.executable, script, *arguments]

    def __enter__(self) -> 'Process':
        pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}
        self.process = subprocess.Popen(self.command, text=True, **pipes)
        self._wait()
        return self

    def __call__(self) -> None:
        self.process.stdin.write('\n')
        self.process.stdin.flush()
        self._wait()

    def __exit__(self, *error: object) -> None:
        self.process.communicate()

    def _wait(self) -> None:
        # Whatever else the script prints.
        while (line := self.process.stdout.readline()) != DONE:
            if not line:
                raise RuntimeError(f'{" ".join(self.command)} ended')


DONE = 'done\n'


def serve(run: Callable[[], object]) -> None:
    """Runs whenever a line comes in, until there are no more."""
    print(DONE, end='', flush=True)
    for _ in sys.stdin:
        run()
        synchronize()
        print(DONE, end='', flush=True)


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, and the 20 % and 80 % quantiles."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, *_, high = statistics.quantiles(values, n=5, method='inclusive')
    return statistics.median(values), low, high


def rows(
    case: str,
    seconds: dict[str, list[float]],
    baselines: Iterable[str],
    peaks: dict[str, float] | None = None,
    gflop: dict[str, float] | None = None,
    gigabytes: dict[str, float] | None = None,
    machine: dict[str, float] | None = None,
) -> list[dict[str, object]]:
    """The lines of a table. The baseline is the fastest of ``baselines``; speed-ups
    are ratios within one round.

    Args:
        case: What is measured.
        seconds: Those of each side, as :func:`in_turns` gives them.
        baselines: The sides that others are compared with.
        peaks: Memory of each side in MB.
        gflop: What each side multiplies and adds.
        gigabytes: What each side reads and writes at least.
        machine: What this machine can do, as :func:`peak` gives it.
    """
    base = min(
        (name for name in baselines if name in seconds),
        key=lambda name: statistics.median(seconds[name]),
    )
    best = None if machine is None else max(machine['matmul'], machine['conv'])
    width = None if machine is None else machine['bandwidth']
    table = []
    for name, mine in seconds.items():
        median, low, high = quantiles(mine)
        ratios = [a / b for a, b in zip(seconds[base], mine, strict=True)]
        speedup, slowest, fastest = quantiles(ratios)
        values = (
            case, name, median, low, high, base, speedup, slowest, fastest,
            (peaks or {}).get(name),
            *_rate(gflop, name, median, best), *_rate(gigabytes, name, median, width),
        )  # fmt: skip
        table.append(dict(zip(COLUMNS, values, strict=True)))
    return table


def _rate(
    amounts: dict[str, float] | None, name: str, seconds: float, best: float | None
) -> tuple[float | None, float | None]:
    """An amount per second, and its share of the best."""
    if amounts is None or name not in amounts:
        return None, None
    rate = amounts[name] / seconds
    return rate, None if best is None else rate / best


def show(table: Iterable[dict[str, object]]) -> None:
    """Prints the lines as they come, for people."""
    for row in table:
        text = (
            f'  {row["case"]:34} {row["side"]:22} {row["seconds"] * 1e3:9.1f} ms '
            f'{row["speedup"]:6.2f} x ({row["speedup_q20"]:.2f} to '
            f'{row["speedup_q80"]:.2f})'
        )
        if row['peak_mb'] is not None:
            text += f'{row["peak_mb"]:8.0f} MB'
        if row['share_of_peak'] is not None:
            text += f'  {row["share_of_peak"]:4.0%} of peak'
        if row['share_of_bandwidth'] is not None:
            text += f'  {row["share_of_bandwidth"]:4.0%} of bandwidth'
        print(text, flush=True)


def save(table: list[dict[str, object]], path: Path) -> None:
    """Writes a CSV file, with the machine, the versions and the commit in each line."""
    about = machine()
    lines = []
    for row in table:
        short = {
            key: f'{value:.4g}' if isinstance(value, float) else value
            for key, value in row.items()
        }
        lines.append(short | about)
    write(lines, path)


def write(lines: list[dict[str, object]], path: Path) -> None:
    """Writes lines that name the machine already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, list(lines[0]) if lines else COLUMNS)
        writer.writeheader()
        writer.writerows(lines)


def load(path: Path) -> list[dict[str, object]]:
    """The lines of a CSV file."""
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


# The machine ---------------------------------------------------------------------


def machine() -> dict[str, object]:
    """Where and with what this runs."""
    return {
        'device': device_name(),
        'threads': torch.get_num_threads(),
        'torch': torch.__version__,
        'python': platform.python_version(),
        'commit': commit(),
        'date': datetime.now(timezone.utc).date().isoformat(),
    }


def device_name() -> str:
    """The GPU, or else the CPU."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    if Path('/proc/cpuinfo').exists():
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.processor()


def commit() -> str:
    """The commit of this checkout, marked where files were changed since."""
    try:
        described = subprocess.run(
            ['git', 'describe', '--always', '--dirty', '--exclude=*'],
            cwd=HERE, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'
    return described.stdout.strip()


def peak(dtype: torch.dtype = torch.float32) -> dict[str, float]:
    """The machine's GFLOP/s at its best, as a matrix product and as a pointwise
    convolution, and its GB/s, each the median of some tries."""
    n = 8192 if DEVICE == 'cuda' else 2048
    a = torch.randn(n, n, dtype=dtype, device=DEVICE)
    image, kernel = a.t()[None, :, :, None], a[:, :, None, None]
    # Larger than caches are.
    source = torch.randn(1 << 26, device=DEVICE).to(dtype)
    target = torch.empty_like(source)
    with torch.no_grad():
        seconds = in_turns(
            {
                'matmul': lambda: a @ a,
                'conv': lambda: F.conv2d(image, kernel),
                'copy': lambda: target.copy_(source),
            },
            repeats=7,
        )
    best = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        'matmul': 2 * n**3 / best['matmul'] / 1e9,
        'conv': 2 * n**3 / best['conv'] / 1e9,
        'bandwidth': 2 * source.numel() * source.element_size() / best['copy'] / 1e9,
    }


def memory(script: str, arguments: Sequence[str]) -> float:
    """The peak of a side in MB, above what the process had before its model, measured
    by the script itself in a process of its own."""
    command = [sys.executable, script, *arguments]
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ
    )
    if run.returncode:
        raise RuntimeError(f'{" ".join(command)} failed:\n{run.stderr[-2000:]}')
    return float(run.stdout.split()[-1])


class PeakMemory:
    """The peak of this process's memory from now on, in MB above what it is now; of a
    GPU's, that torch allocated there."""

    def __init__(self, device: str = DEVICE) -> None:
        self.device, self.before = device, self._now('VmRSS')

    def read(self) -> float:
        if self.device != 'cpu':
            return torch.cuda.max_memory_allocated() / 2**20
        return self._now('VmHWM') - self.before

    @staticmethod
    def _now(key: str) -> float:
        for line in Path('/proc/self/status').read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f'/proc/self/status has no {key}')


def parser(description: str, output: str) -> argparse.ArgumentParser:
    """The arguments that all benchmarks take."""
    arguments = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument('--repeats', type=int, default=7)
    arguments.add_argument(
        '--output', type=Path, default=Path('runs', 'benchmarks', output),
        help='where the table goes (default: %(default)s)',
    )  # fmt: skip
    arguments.add_argument(
        '--record', dest='output', action='store_const',
        const=HERE / 'results' / output, help='among the records of the project',
    )  # fmt: skip
    return arguments
