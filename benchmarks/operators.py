"""Times every backend of the aggregation on the graphs of MS-G3D.

    python benchmarks/operators.py

All backends of a graph run in turns within one process, after their results have been
compared. Medians are printed as multiples of the dense product's, with the 20 % and
80 % quantiles, so that the numbers carry over between machines.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from pyg_msg3d import skeleton
from pyg_msg3d.graph import disentangle, window_graph
from pyg_msg3d.ops import BACKENDS, Window, aggregate

# skeleton, window, scales, channels
CASES = [
    ('ntu-rgb+d', None, 13, 96),
    ('ntu-rgb+d', Window(3), 6, 96),
    ('ntu-rgb+d', Window(5, stride=2), 6, 192),
    ('coco-wholebody-133', None, 13, 96),
]


def problem(name: str, window: Window | None, scales: int, channels: int, frames: int):
    """Features, edges and the number of targets of one operator."""
    bones, n = skeleton(name).edge_index, skeleton(name).num_joints
    tau = window.size if window else 1
    edges, n_all = window_graph(bones, n, tau), tau * n
    (source, target), scale, weight = disentangle(edges, n_all, scales)
    x = torch.randn(2, frames, n * scales, channels)
    return x, source * scales + scale, target, weight, n_all


def runnable(run: Callable[[str], Tensor]) -> dict[str, Tensor]:
    """The results of the backends that run here."""
    results = {}
    for backend in BACKENDS:
        try:
            results[backend] = run(backend)
        except RuntimeError as error:
            print(f'  {backend}: left out, {error}')
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--frames', type=int, default=50)
    parser.add_argument('--repeats', type=int, default=7)
    args = parser.parse_args()
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads, float32')

    for name, window, scales, channels in CASES:
        x, source, target, weight, n = problem(
            name, window, scales, channels, args.frames
        )
        density = source.numel() / (n * x.size(2) * (window.size if window else 1))
        print(f'{name}, {window}, K={scales}, C={channels}, {density:.0%} full')

        def run(backend: str, x=x, given=(source, target, weight, n, window)) -> Tensor:
            return aggregate(x, *given, backend=backend)

        def step(backend: str, x=x, run=run) -> None:
            leaf = x.clone().requires_grad_()
            run(backend, leaf).sum().backward()

        results = runnable(run)
        for result in results.values():
            torch.testing.assert_close(result, results['dense'], rtol=1e-4, atol=1e-4)

        for kind, call in (('forward', run), ('forward + backward', step)):
            seconds: dict[str, list[float]] = {backend: [] for backend in results}
            for _ in range(args.repeats):
                for backend in results:
                    start = time.perf_counter()
                    call(backend)
                    seconds[backend].append(time.perf_counter() - start)
            unit = statistics.median(seconds['dense'])
            for backend, times in seconds.items():
                low, *_, high = statistics.quantiles([t / unit for t in times], n=5)
                median = statistics.median(times) / unit
                print(
                    f'  {kind:18} {backend:14} {median:6.2f}  ({low:.2f} to {high:.2f})'
                )


if __name__ == '__main__':
    main()
