"""Whether a GPU computes what it should: every kernel and the whole model against their
definitions, a captured step against the step itself; and how much of the memory's
bandwidth sparse products reach.

    python benchmarks/gpu_check.py

Ends with an error where something differs.
"""

import statistics
import sys
from collections.abc import Callable
from typing import Any

import runner
import torch
from operators import GRAPHS
from torch import Tensor

from pyg_msg3d import MSG3D
from pyg_msg3d.graph import ScaleGraph, disentangle
from pyg_msg3d.ops import scale_sum, trust, use
from pyg_msg3d.training.captured import CapturedPass

#: Relative errors, as norms, that rounding explains: of kernels as they are trusted, of
#: a whole model in float32.
MODEL = 1e-3
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def main() -> None:
    parser = runner.parser(__doc__ or '', 'gpu_check.csv')
    parser.add_argument('--device', default=runner.DEVICE)
    args = parser.parse_args()
    device = torch.device(args.device)
    print(', '.join(f'{key} {value}' for key, value in runner.machine().items()))
    rows: list[dict[str, Any]] = []
    for name in trust.names():
        for dtype in _DTYPES:
            wrong = trust.difference(name, device, dtype)
            add(rows, f'kernels of {name}, {dtype}', wrong or '', not wrong)
    for residual in ('dense', 'tied', None):
        error = of_model(residual, device)
        add(rows, f'model, residual={residual}', f'{error:.1e}', error <= MODEL)
    if device.type == 'cuda':
        error, eager, replayed = of_capture(device)
        shown = f'{error:.1e}; a step {eager:.1f} ms, replayed {replayed:.1f} ms'
        add(rows, 'captured step, 16 clips, bf16', shown, error <= 0.05)
        for graph in ('body-543', 'mesh-1723'):
            share = of_bandwidth(graph, device)
            add(rows, f'sparse product, {graph}', f'{share:.2f} of the bandwidth', True)
    runner.save(rows, args.output)
    bad = sum(not row['right'] for row in rows)
    sys.exit(f'{bad} of {len(rows)} are wrong' if bad else 0)


def add(rows: list[dict[str, Any]], case: str, found: str, right: bool) -> None:
    rows.append({'case': case, 'found': found, 'right': right, **runner.machine()})
    print(
        f'{"right" if right else "WRONG":6}{case}: {found or "as defined"}', flush=True
    )


def difference(mine: list[Tensor], theirs: list[Tensor]) -> float:
    """The largest relative error, as norms."""
    pairs = zip(mine, theirs, strict=True)
    return max(((a - b).norm() / b.norm()).item() for a, b in pairs)


def of_model(residual: str | None, device: torch.device) -> float:
    """Logits and gradients of a small model against its definition."""
    torch.manual_seed(0)
    model = MSG3D('ntu-rgb+d', 10, residual=residual, channels=(24, 48, 96)).to(device)
    x = torch.randn(4, 2, 20, 25, 3, device=device)
    cotangent = torch.randn(4, 10, device=device)
    found = []
    for ways in (('batched',), ('reference',)):
        model.zero_grad()
        with use(*ways):
            logits = model(x)
        logits.backward(cotangent)
        weights = [b.tcn3.pointwise.weight for b in model.blocks]
        weights += [b.g3d[1].conv.lin.weight for b in model.blocks]
        found.append([logits.detach(), *(w.grad.clone() for w in weights)])
    return difference(*found)


def of_capture(device: torch.device) -> tuple[float, float, float]:
    """A loss and a gradient, replayed and not; and milliseconds of both."""
    torch.manual_seed(0)
    model = MSG3D('ntu-rgb+d', 60).to(device)
    x = torch.randn(16, 2, 100, 25, 3, device=device)
    y = torch.randint(60, (16,), device=device)

    def run(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast('cuda', torch.bfloat16):
            logits = model(x)
        loss = torch.nn.functional.cross_entropy(logits.float(), y)
        loss.backward()
        return (loss.detach(),)

    def step() -> tuple[Tensor, ...]:
        model.zero_grad(set_to_none=True)
        return run(x, y)

    def kept(out: tuple[Tensor, ...]) -> list[Tensor]:
        return [out[0].clone(), model.blocks[0].tcn1.pointwise.weight.grad.clone()]

    theirs = kept(step())
    seconds = [runner.in_turns({'eager': step}, repeats=10, warm_up=3)['eager']]
    captured = CapturedPass(run, model, x, y)
    mine = kept(captured(x, y))
    replay: Callable[[], object] = lambda: captured(x, y)  # noqa: E731
    seconds += [runner.in_turns({'replay': replay}, repeats=10, warm_up=3)['replay']]
    eager, replayed = (1e3 * statistics.median(each) for each in seconds)
    return difference(mine, theirs), eager, replayed


def of_bandwidth(name: str, device: torch.device) -> float:
    """What share of a copy's bandwidth a product along edges has, counting what it
    must read and write once."""
    bones, k, channels, frames = GRAPHS[name](), 6, 96, 64
    edges = disentangle(bones.edge_index, bones.num_joints, k)
    graph = ScaleGraph.of(
        *(part.to(device) for part in edges), num_sources=bones.num_joints, num_scales=k
    ).sorted()
    x = torch.randn(
        frames, bones.num_joints * k, channels, device=device, dtype=torch.bfloat16
    )
    work = {
        'product': lambda: scale_sum(x, None, graph, backend='triton'),
        'copy': lambda: x.clone(),
    }
    seconds = runner.in_turns(work, repeats=10, warm_up=3)
    product, copy = (statistics.median(seconds[side]) for side in work)
    moved = x.numel() * (1 + 1 / k) / (2 * x.numel())
    return moved * copy / product


if __name__ == '__main__':
    main()
