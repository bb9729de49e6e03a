"""Whether we are still as fast as recorded.

Ratios to the naive implementation are measured again and compared with
``results/gate.csv``. Times depend on the machine, ratios much less. To record them:

    python benchmarks/model.py --output benchmarks/results/gate.csv
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
RECORDED = HERE / 'results' / 'gate.csv'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--tolerance', type=float, default=0.15)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / 'gate.csv'
        script = str(HERE / 'model.py')
        subprocess.run([sys.executable, script, '--output', str(fresh)], check=True)
        sys.exit(compare(speedups(RECORDED), speedups(fresh), args.tolerance))


def speedups(path: Path) -> dict[tuple[str, str], tuple[float, float]]:
    """The median of each case and side of ours, and its 80 % quantile."""
    with path.open(newline='') as file:
        return {
            (row['case'], row['side']): (
                float(row['speedup']),
                float(row['speedup_q80']),
            )
            for row in csv.DictReader(file)
            if row['side'].startswith('pyg_msg3d')
        }


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
