"""Every backend of the aggregation, forward and backward, on graphs of 17 to 6,890
nodes.

    python benchmarks/operators.py
    python benchmarks/operators.py --only mesh

The graphs are the disentangled ones of MS-GCN and, with a window, of G3D. All backends
of a case run in turns, after their results and gradients have been compared with those
of the reference, PyG's gather and scatter, which is the baseline. ``auto`` marks the
backend that ``backend='auto'`` stands for.
"""

from collections.abc import Callable
from typing import NamedTuple

import runner
import torch
from graphs import mesh, whole_body
from torch import Tensor

from pyg_msg3d import Skeleton, skeleton
from pyg_msg3d.graph import disentangle, window_graph
from pyg_msg3d.ops import BACKENDS, Window, aggregate, policy

REFERENCE = 'scatter'
# What holds neither messages nor a full matrix.
KERNELS = 'csr', 'triton'

# What the reference gathers at a time, and what a full matrix may hold.
_MOST_MESSAGES, _MOST_ENTRIES = 1 << 26, 1 << 28

GRAPHS: dict[str, Callable[[], Skeleton]] = {
    'coco-17': lambda: skeleton('coco-17'),
    'ntu-25': lambda: skeleton('ntu-rgb+d'),
    'wholebody-133': lambda: skeleton('coco-wholebody-133'),
    'mesh-250': lambda: mesh(250),
    'body-543': whole_body,
    'mesh-1723': lambda: mesh(1723),
    'mesh-6890': lambda: mesh(6890),
}


class Case(NamedTuple):
    """A graph with its scales, a temporal window (1 is none) and the channels."""

    graph: str
    scales: int
    tau: int
    channels: int

    def __str__(self) -> str:
        return f'{self.graph} K={self.scales} tau={self.tau} C={self.channels}'


def cases() -> list[Case]:
    found = []
    for graph in GRAPHS:
        small = graph in ('coco-17', 'ntu-25', 'wholebody-133')
        for scales in (13, 6) if small else (6, 3):
            found.append(Case(graph, scales, 1, 96 if small else 48))
        if small:
            found.append(Case(graph, 13, 1, 384))
        windows = (3, 5) if graph in ('coco-17', 'ntu-25') else (3,)
        if graph not in ('mesh-1723', 'mesh-6890'):
            found += [Case(graph, 6, tau, 96 if small else 16) for tau in windows]
    return found


def main() -> None:
    parser = runner.parser(__doc__, 'operators.csv')
    parser.add_argument('--only', help='cases whose name has this in it')
    parser.add_argument('--device', default=runner.DEVICE)
    args = parser.parse_args()
    print(', '.join(f'{key} {value}' for key, value in runner.machine().items()))
    machine = runner.peak()
    print(', '.join(f'{key} {value:.0f}' for key, value in machine.items()))
    table: list[dict[str, object]] = []
    for case in cases():
        if args.only is None or args.only in str(case):
            table += measure(case, args.repeats, machine, args.device)
    runner.save(table, args.output)
    print(f'written to {args.output}')


def measure(
    case: Case, repeats: int, machine: dict[str, float], device: str
) -> list[dict[str, object]]:
    x, source, target, weight, num_targets, window = problem(case, device)
    tau = case.tau
    entries = num_targets * x.size(-2) * tau
    chosen = policy.backend(x.device, source.numel(), entries)
    print(f'{case}: {source.numel()} edges, {source.numel() / entries:.1%} full')

    def run(backend: str, x: Tensor = x, weight: Tensor = weight) -> Tensor:
        return aggregate(x, source, target, weight, num_targets, window, backend)

    leaf, learned = x.clone().requires_grad_(), weight.clone().requires_grad_()
    grad = torch.randn_like(run('csr'))

    def gradients(backend: str) -> tuple[Tensor, ...]:
        return torch.autograd.grad(run(backend, leaf, learned), (leaf, learned), grad)

    frames = run('csr').numel() // (num_targets * x.size(-1))
    messages = frames * source.numel() * x.size(-1)
    names = []
    for backend in BACKENDS:
        if backend == 'reference':
            continue  # Gathers as the baseline does, and scatters.
        held, most = messages, _MOST_MESSAGES
        if backend == 'dense':
            held, most = entries, _MOST_ENTRIES
        if backend not in KERNELS and held > most:
            print(f'  {backend}: left out, it would not fit')
            continue
        try:
            run(backend)
        except RuntimeError as error:
            print(f'  {backend}: left out, {error}')
            continue
        names.append(backend)
    baseline = REFERENCE if REFERENCE in names else 'csr'
    compare(baseline, names, lambda b: (run(b), *gradients(b)))

    # Once each: the features, the result, and the edges with two ends and a weight; a
    # backward pass reads two of the first kind and writes one.
    size = x.element_size()
    ends = 2 * source.element_size() + size
    traffic = (x.numel() * size + grad.numel() * size + source.numel() * ends) / 1e9
    dense = 2 * frames * num_targets * x.size(-2) * tau * x.size(-1) / 1e9
    table = []
    for direction, call, factor in (('forward', run, 1), ('both', gradients, 3)):
        seconds = runner.in_turns(
            {name: lambda name=name, call=call: call(name) for name in names}, repeats
        )
        rows = runner.rows(
            f'{case} {direction}', seconds, [baseline], None,
            {'dense': dense * factor} if 'dense' in names else None,
            {name: traffic * factor for name in names if name != 'dense'}, machine,
        )  # fmt: skip
        runner.show(rows)
        for row in rows:
            row |= {
                'nodes': x.size(-2) // case.scales, 'scales': case.scales, 'tau': tau,
                'channels': case.channels, 'frames': frames, 'direction': direction,
                'edges': source.numel(), 'entries': entries,
                'auto': row['side'] == chosen,
            }  # fmt: skip
        table += rows
    return table


def problem(
    case: Case, device: str
) -> tuple[Tensor, Tensor, Tensor, Tensor, int, Window | None]:
    """Features, edges from slots to targets with their weights, and the targets."""
    bones = GRAPHS[case.graph]()
    v, tau, k = bones.num_joints, case.tau, case.scales
    nodes = tau * v
    edges = window_graph(bones.edge_index, v, tau) if tau > 1 else bones.edge_index
    (source, target), scale, weight = disentangle(edges, nodes, k)
    torch.manual_seed(0)
    # As many frames as make a few million features.
    frames = max(tau, min(200, (1 << 22) // (v * k * case.channels)))
    x = torch.randn(frames, v * k, case.channels, device=device)
    ends = (source * k + scale).to(device), target.to(device), weight.to(device)
    return x, *ends, nodes, Window(tau) if tau > 1 else None


def compare(
    baseline: str, names: list[str], run: Callable[[str], tuple[Tensor, ...]]
) -> None:
    expected = run(baseline)
    for name in names:
        for mine, theirs in zip(run(name), expected, strict=True):
            error = ((mine - theirs).norm() / theirs.norm()).item()
            if not error <= 1e-5:
                raise AssertionError(
                    f'{name} differs from {baseline} by {error:.2g}, relative to its '
                    f'norm; expected at most 1e-5'
                )


if __name__ == '__main__':
    main()
