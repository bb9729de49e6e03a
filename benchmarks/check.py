"""Whether we are still as fast as recorded.

    python benchmarks/check.py
    python benchmarks/check.py --record

Ratios to the definition in plain torch are measured again and compared with those in
``results/gate.csv`` of the same processor, or where it has none, with the lowest there.
Times depend on the machine, ratios much less; what moves these most is how often the C
library gives memory back to the system, which it does not here.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import runner

HERE = Path(__file__).parent
RECORDED = HERE / 'results' / 'gate.csv'

# glibc's; others do not read them.
_KEEP_MEMORY = {
    'MALLOC_TRIM_THRESHOLD_': str(1 << 33),
    'MALLOC_MMAP_THRESHOLD_': str(1 << 25),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--tolerance', type=float, default=0.15)
    parser.add_argument('--record', action='store_true', help='as the new standard')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / 'gate.csv'
        measure(fresh)
        lines, recorded = runner.load(fresh), runner.load(RECORDED)
    device = runner.device_name()
    if args.record:
        others = [line for line in recorded if line['device'] != device]
        runner.write(others + lines, RECORDED)
        return
    same = [line for line in recorded if line['device'] == device]
    print(f'compared with {device if same else "the lowest of all processors"}')
    sys.exit(compare(speedups(same or recorded), speedups(lines), args.tolerance))


def measure(output: Path) -> None:
    command = [sys.executable, str(HERE / 'model.py'), '--residuals', 'dense', 'tied']
    command += ['--output', str(output)]
    subprocess.run(command, check=True, env=os.environ | _KEEP_MEMORY)


def speedups(
    lines: list[dict[str, object]],
) -> dict[tuple[str, str], tuple[float, float]]:
    """The median of each case and side of ours, and its 80 % quantile; the lowest where
    there are several."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for row in lines:
        key = str(row['case']), str(row['side'])
        mine = float(str(row['speedup'])), float(str(row['speedup_q80']))
        if key[1].startswith('pyg_msg3d'):
            found[key] = min(mine, found.get(key, mine))
    return found


def compare(
    recorded: dict[tuple[str, str], tuple[float, float]],
    fresh: dict[tuple[str, str], tuple[float, float]],
    tolerance: float,
) -> int:
    """Prints what became slower; the number of such cases. The quantile is compared,
    so that noise within the run does not count."""
    slower = 0
    for key, (before, _) in recorded.items():
        if key not in fresh:
            print(f'missing  {" ".join(key)}: recorded {before:.2f} x')
            slower += 1
            continue
        now, best = fresh[key]
        if best < before * (1 - tolerance):
            print(f'slower   {" ".join(key)}: {now:.2f} x, recorded {before:.2f} x')
            slower += 1
    print(f'{len(recorded) - slower} of {len(recorded)} ratios as recorded')
    return slower


if __name__ == '__main__':
    main()
