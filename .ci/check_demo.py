"""Whether the demo learned what it should, in float32 and in bf16, and in time.

python .ci/check_demo.py runs/demo runs/demo_bf16
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / 'benchmarks'))
import runner

# What the machine copies on which three minutes were set (two cores of an AMD EPYC):
# a training of few channels waits for memory. Slower machines get as much longer.
SECONDS, GB_S = 180, 42


def main() -> None:
    plain, low = (Path(folder) for folder in sys.argv[1:])
    seconds = json.loads((plain / 'result.json').read_text())['seconds']
    width = runner.peak()['bandwidth']
    limit = SECONDS * max(1, GB_S / width)
    ours, theirs = correct(plain), correct(low)
    difference = theirs.mean() - ours.mean()
    # Of a difference between two accuracies on the same samples. Two trainings that
    # differ in rounding alone end up to two such errors apart.
    error = (theirs.astype(float) - ours).std() / len(ours) ** 0.5
    print(f'demo: {ours.mean():.1%} after {seconds:.0f} s, copying {width:.0f} GB/s')
    print(
        f'in bf16: {theirs.mean():.1%}, {difference:+.1%} with an error of {error:.1%}'
    )
    assert ours.mean() >= 0.95, 'the demo must reach 95 % on unseen subjects'
    assert seconds <= limit, f'the demo must train within {limit:.0f} s here'
    assert abs(difference) <= 0.01 + 2 * error, (
        'bf16 must end within a point of float32'
    )


def correct(folder: Path) -> np.ndarray:
    """Which samples were recognised."""
    with np.load(folder / 'scores.npz') as scores:
        return scores['values'].argmax(1) == scores['labels']


if __name__ == '__main__':
    main()
