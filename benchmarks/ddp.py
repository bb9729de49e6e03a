"""What it costs that processes train together.

    python benchmarks/ddp.py --processes 2

Each process makes steps of the trainer (forward, backward, optimiser) on clips of its
own: alone, or exchanging gradients with the others, in turns, and as many processes
compute at a time either way. Printed is the throughput of all, and as the speed-up the
share of it that exchanging leaves. Before anything is timed, all processes must have
the same weights after two steps on different clips, and afterwards still.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import runner
import torch
from torch_geometric.data import Batch

from pyg_msg3d import MSG3D
from pyg_msg3d.data import SkeletonData
from pyg_msg3d.training import Settings, World, join
from pyg_msg3d.training.engine import Engine


def main() -> None:
    parser = runner.parser(__doc__, 'ddp.csv')
    cores = os.cpu_count() or 1
    parser.add_argument('--processes', type=int, default=min(2, cores))
    parser.add_argument('--clips', type=int, default=2, help='of a step and process')
    parser.add_argument('--frames', type=int, default=50)
    parser.add_argument(
        '--residual', choices=['dense', 'tied', 'none'], default='dense'
    )
    parser.add_argument('--seconds', type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.clips < 2 or args.clips % 2:
        parser.error(
            f"'--clips' are halved: expected an even number (got {args.clips})"
        )
    if args.seconds is not None:
        work(args)
        return
    print(', '.join(f'{key} {value}' for key, value in runner.machine().items()))
    seconds = together(args)
    case = f'{args.processes} processes, {args.clips} clips each, {args.residual}'
    rows = runner.rows(case, seconds, ['alone'])
    runner.show(rows)
    clips = args.processes * args.clips
    for row in rows:
        row['clips_s'] = clips / float(str(row['seconds']))
        print(
            f'  {row["side"]:22} {row["clips_s"]:6.2f} clips per second, all processes'
        )
    runner.save(rows, args.output)
    print(f'written to {args.output}')


def together(args: argparse.Namespace) -> dict[str, list[float]]:
    """Starts the processes; the seconds of the first."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / 'seconds.json'
        command = [sys.executable, __file__, '--seconds', str(output)]
        for name in ('processes', 'clips', 'frames', 'residual', 'repeats'):
            command += [f'--{name}', str(getattr(args, name))]
        running = []
        for rank in range(args.processes):
            place = {
                'RANK': rank, 'LOCAL_RANK': rank, 'WORLD_SIZE': args.processes,
                'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': port,
            }  # fmt: skip
            environment = os.environ | {key: str(value) for key, value in place.items()}
            running.append(subprocess.Popen(command, env=environment))
        codes = [process.wait() for process in running]
        if any(codes):
            raise RuntimeError(f'processes ended with {codes}')
        return json.loads(output.read_text())


def work(args: argparse.Namespace) -> None:
    """What one of the processes does."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // args.processes))
    with join() as world:
        torch.manual_seed(0)
        residual = None if args.residual == 'none' else args.residual
        engines = {
            'alone': Engine(
                MSG3D('ntu-rgb+d', 60, residual=residual),
                Settings(),
                World(device=world.device),
            ),
            'exchanging': Engine(
                MSG3D('ntu-rgb+d', 60, residual=residual), Settings(), world
            ),
            'exchanging, 2 parts': Engine(
                MSG3D('ntu-rgb+d', 60, residual=residual),
                replace(Settings(), accumulate=2),
                world,
            ),
        }
        torch.manual_seed(world.rank)  # Each has clips of its own.
        parts = [clips(args) for _ in range(2)]

        def step(name: str) -> None:
            world.wait()
            # Two parts are twice the clips: counted as one step of half of each.
            if name.endswith('parts'):
                halves = [half(part, i) for i, part in enumerate(parts)]
                engines[name].step(halves, 1e-3)
            else:
                engines[name].step(parts[:1], 1e-3)

        for name in engines:
            step(name)
            step(name)
        same_everywhere(engines['exchanging'], world)
        seconds = runner.in_turns(
            {name: lambda name=name: step(name) for name in engines}, args.repeats
        )
        same_everywhere(engines['exchanging'], world)
        if world.is_first:
            args.seconds.write_text(json.dumps(seconds))


def clips(args: argparse.Namespace) -> Batch:
    return Batch.from_data_list(
        [
            SkeletonData(x=torch.randn(2, args.frames, 25, 3), y=i)
            for i in range(args.clips)
        ]
    )


def half(batch: Batch, number: int) -> Batch:
    size = len(batch) // 2
    return Batch.from_data_list(batch.to_data_list()[number * size :][:size])


def same_everywhere(engine: Engine, world: World) -> None:
    """Weights, to the bit."""
    weights = torch.cat([p.detach().flatten() for p in engine.model.parameters()])
    for theirs in world.gather(weights):
        if not torch.equal(theirs, weights):
            raise AssertionError('processes that exchange gradients differ in weights')


if __name__ == '__main__':
    main()
