"""The whole model: inference, training step and peak memory, against the equations in
plain torch (``pyg_msg3d.ops.use('reference')``) and, where a checkout of it is at hand,
the authors' code.

    python benchmarks/model.py --official PATH-TO-MS-G3D
    python benchmarks/model.py --official PATH-TO-MS-G3D --graph body-543

All sides take the same input and weights; logits and gradients are compared before
anything is timed. Then they run in turns, each in a process of its own, so that none
leaves its mark on another's memory; the baseline is the fastest of theirs.
"""

import argparse
import sys
import types
from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy

import numpy as np
import runner
import torch
from graphs import whole_body
from torch import Tensor
from torch.nn import Module
from torch.utils.flop_counter import FlopCounterMode

from pyg_msg3d import MSG3D, Skeleton, skeleton
from pyg_msg3d.ops import use
from pyg_msg3d.training.activations import checkpoint_activations

GRAPHS: dict[str, tuple[Callable[[], Skeleton], tuple[int, ...]]] = {
    # Clips, persons, frames.
    'ntu': (lambda: skeleton('ntu-rgb+d'), (2, 2, 100)),
    'body-543': (whole_body, (1, 1, 32)),
}

TASKS = ('inference', 'inference bf16', 'training', 'training bf16')


def main() -> None:
    parser = runner.parser(__doc__, 'model.csv')
    parser.add_argument('--official', help="a checkout of the authors' code")
    parser.add_argument('--graph', choices=GRAPHS, default='ntu')
    parser.add_argument(
        '--residuals', nargs='+', choices=['dense', 'tied', 'none'],
        default=['dense', 'tied', 'none'],
    )  # fmt: skip
    parser.add_argument('--compiled', action='store_true', help='compiled sides too')
    parser.add_argument('--tasks', nargs='+', choices=TASKS, default=TASKS)
    parser.add_argument('--device', default=runner.DEVICE)
    parser.add_argument('--clips', type=int, help='by default as many as fit a CPU')
    parser.add_argument('--side', help=argparse.SUPPRESS)
    parser.add_argument('--what', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side is not None:
        serve(args) if args.what == 'time' else measure_memory(args)
        return

    print(', '.join(f'{key} {value}' for key, value in runner.machine().items()))
    table = []
    for residual in args.residuals:
        for task in args.tasks:
            table += measure(args, residual, task)
            runner.save(table, args.output)
    print(f'written to {args.output}')


def measure(
    args: argparse.Namespace, residual: str, task: str
) -> list[dict[str, object]]:
    """All sides of a case, in turns."""
    names = sides(args, task)
    models = built(args, residual, task, names)
    compare(task, models)
    work = gflop(models) if 'inference' in task else None
    del models
    peak = runner.peak(torch.bfloat16 if 'bf16' in task else torch.float32)

    def command(side: str, what: str) -> list[str]:
        found = ['--side', side, '--what', what, '--tasks', task, '--graph', args.graph]
        found += ['--residuals', residual, '--device', args.device]
        found += ['--clips', str(args.clips)] if args.clips else []
        found += ['--official', args.official] if args.official else []
        return [*found, '--compiled'] if args.compiled else found

    with ExitStack() as stack:
        runs: dict[str, Callable[[], object]] = {
            name: stack.enter_context(runner.Process(__file__, command(name, 'time')))
            for name in names
        }
        seconds = runner.in_turns(runs, args.repeats, warm_up=2)
    peaks = {}
    # What bf16 takes on a CPU says nothing.
    if args.device != 'cpu' or 'bf16' not in task:
        for name in names:
            if not name.endswith(('compiled', 'channels-last')):
                peaks[name] = runner.memory(__file__, command(name, 'memory'))
    theirs = [name for name in names if name.startswith('official')] or ['reference']
    case = f'{args.graph} {residual} {task}'
    rows = runner.rows(case, seconds, theirs, peaks, work, machine=peak)
    runner.show(rows)
    return rows


def serve(args: argparse.Namespace) -> None:
    """One side, run whenever the process that measures asks for it."""
    (task,), (residual,) = args.tasks, args.residuals
    model, x = built(args, residual, task, [args.side])[args.side]
    runner.serve(run(task, model, x))


# Sides -------------------------------------------------------------------------------


class Reference(Module):
    """A model of ours by the definition of its operators."""

    def __init__(self, model: Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        with use('reference'):
            return self.model(x)


def sides(args: argparse.Namespace, task: str) -> list[str]:
    """The names of all that take part."""
    # Elsewhere it takes minutes, and on GPUs theirs is measure enough.
    on_cpu = args.device == 'cpu' or args.official is None
    found = ['reference'] if args.graph == 'ntu' and on_cpu else []
    if args.official is not None:
        found += ['official', 'official channels-last']
        found += ['official compiled'] if args.compiled else []
    found += ['pyg_msg3d', 'pyg_msg3d compiled'] if args.compiled else ['pyg_msg3d']
    last = 'checkpointed' if 'training' in task else 'fused'
    return [*found, f'pyg_msg3d {last}']


def built(
    args: argparse.Namespace, residual: str, task: str, names: list[str]
) -> dict[str, tuple[Module, Tensor]]:
    """A model and its input for each side, all with the same weights."""
    x = clips_of(args).to(args.device)
    official, ours = pair(args, skeleton_of(args), x.size(1), residual)
    found: dict[str, tuple[Module, Tensor]] = {}
    for name in names:
        model = deepcopy(official if name.startswith('official') else ours)
        found[name] = made(name, model, task), laid_out(name, x)
    return found


def made(name: str, model: Module, task: str) -> Module:
    """What a side makes of a model, theirs or ours."""
    match name.split()[-1]:
        case 'reference':
            model = Reference(model)
        case 'channels-last':
            model = channels_last(model)
        case 'compiled':
            model = torch.compile(model)
        case 'fused':
            model = model.fused()
        case 'checkpointed':
            checkpoint_activations(model)
    return model.train('training' in task)


def clips_of(args: argparse.Namespace) -> Tensor:
    clips, persons, frames = GRAPHS[args.graph][1]
    torch.manual_seed(0)
    return torch.randn(
        args.clips or clips, persons, frames, skeleton_of(args).num_joints, 3
    )


def laid_out(name: str, x: Tensor) -> Tensor:
    """The input as a side takes it."""
    return x.permute(0, 4, 2, 3, 1).contiguous() if 'official' in name else x


def channels_last(model: Module) -> Module:
    """Their model with its two-dimensional convolutions in that layout."""
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.to(memory_format=torch.channels_last)
    return model


def skeleton_of(args: argparse.Namespace) -> Skeleton:
    return GRAPHS[args.graph][0]()


def pair(
    args: argparse.Namespace, joints: Skeleton, persons: int, residual: str
) -> tuple[Module | None, MSG3D]:
    """The authors' model, if it is there, and ours with the same weights."""
    mode = None if residual == 'none' else residual
    ours = MSG3D(joints, 60, num_persons=persons, residual=mode)
    for name, parameter in ours.named_parameters():
        if name.endswith('adjacency.residual'):
            torch.nn.init.normal_(parameter, std=0.01)
    if args.official is None:
        return None, ours.to(args.device)
    official = authors_model(args.official, joints, persons)
    v = joints.num_joints
    for name, parameter in official.named_parameters():
        if not name.endswith('A_res'):
            continue
        with torch.no_grad():
            parameter.zero_()
            size = parameter.size(1)
            if residual == 'dense' or (residual == 'tied' and size == v):
                parameter.normal_(std=0.01)
            elif residual == 'tied':
                tau, k = size // v, parameter.size(0) // size
                shape = k, tau, v, tau, v
                parameter.view(shape)[:] = torch.randn(k, 1, v, 1, v) * 0.01
    state = dense_state(official, joints)
    for key, expected in ours.state_dict().items():
        if key.endswith('adjacency.residual') and state[key].shape != expected.shape:
            # Of equal frames the first is all.
            state[key] = state[key][: expected.size(0), : expected.size(1)].clone()
    if mode is None:
        state = {key: value for key, value in state.items() if key in ours.state_dict()}
    ours.load_state_dict(state)
    return official.to(args.device), ours.to(args.device)


def authors_model(path: str, joints: Skeleton, persons: int) -> Module:
    """Their model on any skeleton: it imports its graph by name."""
    if path not in sys.path:
        sys.path.insert(0, path)
    from model.msg3d import Model

    v = joints.num_joints
    matrix = np.zeros((v, v))
    matrix[tuple(joints.edge_index.numpy())] = 1
    module = types.ModuleType('benchmark_graph')
    module.Graph = type('Graph', (), {'A_binary': matrix})  # type: ignore[attr-defined]
    sys.modules['benchmark_graph'] = module
    return Model(
        num_class=60, num_point=v, num_person=persons, num_gcn_scales=13,
        num_g3d_scales=6, graph='benchmark_graph.Graph',
    )  # fmt: skip


def dense_state(official: Module, joints: Skeleton) -> dict[str, Tensor]:
    state = {key: value.clone() for key, value in official.state_dict().items()}
    return MSG3D.from_checkpoint(state, skeleton=joints).state_dict()


# Tasks -------------------------------------------------------------------------------


def run(task: str, model: Module, x: Tensor) -> Callable[[], object]:
    low = 'bf16' in task

    def forward() -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=low):
            return model(x)

    def infer() -> None:
        with torch.no_grad():
            forward()

    def step() -> None:
        for parameter in model.parameters():
            parameter.grad = None
        forward().float().square().mean().backward()

    return step if 'training' in task else infer


def compare(task: str, models: dict[str, tuple[Module, Tensor]]) -> None:
    """Logits, and in training the gradients of the data's norm, must agree."""
    low = 'bf16' in task
    # Norms over few clips make much of rounding.
    tolerance = 0.2 if low else 0.02 if 'training' in task else 1e-4
    expected: list[Tensor] | None = None
    for name, (model, x) in models.items():
        with torch.autocast(x.device.type, torch.bfloat16, enabled=low):
            if 'training' in task:
                logits = model(x)
                first = next(iter(model.parameters()))
                logits.float().square().mean().backward()
                found = [logits.detach().float(), first.grad.float()]
                found = [f / f.norm() for f in found]
                # The order of that norm's channels is each code's own.
                found[1] = found[1].sort().values
            else:
                with torch.no_grad():
                    logits = model(x).float()
                found = [logits / logits.norm()]
        if expected is None:
            expected = found
        for mine, theirs in zip(found, expected, strict=True):
            error = (mine - theirs).norm().item()
            if not error <= tolerance:
                raise AssertionError(
                    f'{task}: {name} differs by {error:.2g} from the first side, '
                    f'relative to its norm; expected at most {tolerance}'
                )


def gflop(models: dict[str, tuple[Module, Tensor]]) -> dict[str, float]:
    """What each multiplies and adds in inference, as torch counts it."""
    found = {}
    for name, (model, x) in models.items():
        if 'compiled' in name:
            continue
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(x)
        found[name] = counter.get_total_flops() / 1e9
    return found


# Memory ------------------------------------------------------------------------------


def measure_memory(args: argparse.Namespace) -> None:
    """Of one side alone, in this process, with weights of its own."""
    joints, x = skeleton_of(args), clips_of(args)
    # Libraries are loaded at their first use.
    torch.randn(64, 64) @ torch.randn(64, 64)
    torch.nn.functional.conv2d(torch.randn(1, 8, 8, 8), torch.randn(8, 8, 1, 1))
    if 'official' in args.side:
        authors_model(args.official, skeleton('hand-21'), 1)  # Its imports.
    (task,), (residual,) = args.tasks, args.residuals
    x = x.to(args.device)
    peak = runner.PeakMemory(args.device)
    model: Module
    if 'official' in args.side:
        model = authors_model(args.official, joints, x.size(1))
    else:
        mode = None if residual == 'none' else residual
        model = MSG3D(joints, 60, num_persons=x.size(1), residual=mode)
    model = made(args.side, model.to(args.device), task)
    work = run(task, model, laid_out(args.side, x))
    for _ in range(3):
        work()
    print(peak.read())


if __name__ == '__main__':
    main()
