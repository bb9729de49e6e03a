"""What a GPU would be asked for, counted without one.

    python benchmarks/gpu_estimate.py
    python benchmarks/gpu_estimate.py --official PATH-TO-MS-G3D --layers

Models run on torch's meta device, on which there are shapes and no numbers. Counted are
operators, each one launch or more, the bytes of the tensors that each reads and writes,
as if nothing stayed in a cache, and the operations of products. A Triton kernel is one
launch that reads or writes each of its tensors once. The estimate is what takes longer,
all launches or all work; and of each operator's work, its bytes or its operations. IT
IS AN ESTIMATE: it ranks what a GPU has not measured, and is no measurement.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import runner
import torch
from model import GRAPHS, authors_model
from torch import Tensor
from torch.nn import Module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.module_tracker import ModuleTracker

from pyg_msg3d import MSG3D
from pyg_msg3d.ops.operator import IMPLEMENTATIONS

del sys.modules['model']  # A package of the authors' has that name.


class Card(NamedTuple):
    """Bytes and bfloat16 operations per second, and seconds per launch."""

    bandwidth: float
    peak: float
    launch: float = 6e-6


#: Of data sheets, without sparsity, the share of them that large kernels reach.
CARDS = {
    'H100': Card(3.0e12, 500e12),
    'A100': Card(1.4e12, 220e12),
    'RTX 4090': Card(0.9e12, 130e12),
}

# What is no work: views and what gives memory its shape.
_FREE = ('aten.empty', 'aten.new_empty', 'aten.detach', 'aten._unsafe_view')


class Count(TorchDispatchMode):
    """Counts what is called within it, operators of ours from within."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker, self.kernels = ModuleTracker(), 0
        #: For each part of the model its operators, as bytes and operations.
        self.work: dict[str, list[tuple[int, float]]] = defaultdict(list)

    def add(self, values: Any, operations: float = 0.0) -> None:
        """An operator that reads and writes the tensors among some values."""
        names = [name for name in self.tracker.parents if name != 'Global']
        part = '.'.join(max(names, key=len, default='').split('.')[1:4])
        part = 'backward' if self.tracker.is_bw else part
        tensors = {id(x): x for x in tree_leaves(values) if isinstance(x, Tensor)}
        moved = sum(size_of(x) for x in tensors.values())
        self.work[part].append((moved, operations))

    def kernel(self, *values: Any) -> None:
        """A Triton kernel."""
        self.kernels += 1
        self.add(values)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs, name = kwargs or {}, func.name().split('.')[0]
        formula = flop_registry.get(func._overloadpacket)
        if name in IMPLEMENTATIONS:
            before = self.kernels
            with self:
                out = IMPLEMENTATIONS[name](*args, **kwargs)
            if formula is not None and self.kernels > before:
                # Kernels have no formulas of their own.
                part, last = next(reversed(self.work.items()))
                self.work[part][-1] = (
                    last[-1][0], last[-1][1] + formula(*args, **kwargs, out_val=out)
                )  # fmt: skip
            return out
        out = func(*args, **kwargs)
        if not func.is_view and not str(func).startswith(_FREE):
            operations = formula(*args, **kwargs, out_val=out) if formula else 0
            self.add((args, kwargs, out), operations)
        return out

    def total(self, part: str | None = None) -> tuple[int, int, float]:
        """Operators, bytes and operations, of a part or of all."""
        parts = self.work.values() if part is None else [self.work[part]]
        found = [one for mine in parts for one in mine]
        return len(found), sum(b for b, _ in found), sum(o for _, o in found)

    def seconds(self, card: Card) -> float:
        """The estimate."""
        work = [one for mine in self.work.values() for one in mine]
        each = (max(b / card.bandwidth, o / card.peak) for b, o in work)
        return max(sum(each), len(work) * card.launch)


def size_of(x: Tensor) -> int:
    """The bytes of a tensor, of an expanded one those that are there."""
    if x.layout == torch.sparse_csr:
        return sum(map(size_of, (x.crow_indices(), x.col_indices(), x.values())))
    size = x.element_size() if x.numel() else 0
    for length, stride in zip(x.shape, x.stride(), strict=True):
        size *= length if stride else 1
    return size


@contextmanager
def counted_kernels(count: Count) -> Iterator[None]:
    """Triton kernels are counted in place of being run."""
    from triton.runtime.jit import JITFunction

    def run(self: Any, *args: Any, grid: Any = None, **kwargs: Any) -> None:
        count.kernel(args, kwargs)

    with patch.object(JITFunction, 'run', run):
        yield


def counted(model: Module, x: Tensor, training: bool) -> Count:
    """A training step, or an inference, in bfloat16."""
    model = model.to('meta').to(torch.bfloat16).train(training)
    count, x = Count(), x.to(torch.bfloat16)
    with torch.set_grad_enabled(training), counted_kernels(count), count.tracker, count:
        out = model(x)
        if training:
            out.float().sum().backward()
    return count


def main() -> None:
    parser = runner.parser(__doc__ or '', 'gpu_estimate.csv')
    parser.add_argument(
        '--official', metavar='PATH', help="the authors' code beside it"
    )
    parser.add_argument('--graph', choices=GRAPHS, default='ntu')
    parser.add_argument('--batch', type=int, default=64)
    parser.add_argument('--layers', action='store_true', help='by parts of the model')
    args = parser.parse_args()
    (persons, frames), make = GRAPHS[args.graph][1][1:], GRAPHS[args.graph][0]
    joints = make()
    shape = args.batch, persons, frames, joints.num_joints, 3
    clips = torch.empty(shape, device='meta')
    sides: dict[str, Callable[[], tuple[Module, Tensor]]] = {}
    if args.official:
        sides['official'] = lambda: (
            on_meta(authors_model(args.official, joints, persons)),
            clips.permute(0, 4, 2, 3, 1).contiguous(),
        )
    for residual in ('dense', 'tied', None) if args.graph == 'ntu' else (None,):
        sides[str(residual).lower()] = lambda residual=residual: (
            MSG3D(joints, 60, num_persons=persons, residual=residual), clips
        )  # fmt: skip
    print(__doc__.splitlines()[0])
    print(f'{args.graph}, {args.batch} clips of {persons} x {frames} frames, bfloat16;')
    print('an ESTIMATE from counts, of no GPU:')
    rows: list[dict[str, object]] = []
    for task in ('inference', 'training step'):
        for side, built in sides.items():
            count = counted(*built(), training=task == 'training step')
            rows.append(row(args, side, task, '', *count.total()))
            times = {name: count.seconds(card) * 1e3 for name, card in CARDS.items()}
            rows[-1] |= {f'{name} ms': round(ms, 2) for name, ms in times.items()}
            shown = ', '.join(f'{name} {ms:.1f} ms' for name, ms in times.items())
            launches, moved, operations = count.total()
            print(
                f'  {task:14}{side:9}{launches:5} operators {moved / 1e9:6.1f} GB '
                f'{operations / 1e12:5.2f} TFLOP   {shown}',
                flush=True,
            )
            for part in sorted(count.work) if args.layers else ():
                rows.append(row(args, side, task, part, *count.total(part)))
                launches, moved, operations = count.total(part)
                print(
                    f'      {part or "others":40}{launches:5} {moved / 1e9:6.2f} GB '
                    f'{operations / 1e12:5.2f} TFLOP'
                )
    runner.save(rows, args.output)


def row(
    args: argparse.Namespace,
    side: str,
    task: str,
    part: str,
    operators: int,
    moved: int,
    operations: float,
) -> dict[str, object]:
    return {
        'graph': args.graph, 'batch': args.batch, 'side': side, 'task': task,
        'part': part, 'operators': operators, 'gb': round(moved / 1e9, 2),
        'tflop': round(operations / 1e12, 3),
    }  # fmt: skip


def on_meta(model: Module) -> Module:
    """With the tensors that a model holds as plain attributes, too."""
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor) and not isinstance(value, torch.nn.Parameter):
                setattr(module, name, value.to('meta'))
    return model


if __name__ == '__main__':
    main()
