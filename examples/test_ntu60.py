"""Tests MS-G3D on NTU RGB+D 60 or 120: our checkpoints, and everybody's.

    python examples/test_ntu60.py --data data/ntu60 \\
        --checkpoint runs/ntu60_xsub_joint/best.pt
    python examples/test_ntu60.py --data data/ntu60 \\
        --checkpoint ntu60_xsub_joint.pt --recipe official
    torchrun --nproc-per-node gpu examples/test_ntu60.py ...

Our checkpoints tell benchmark, protocol, stream and recipe themselves. Leaves scores by
name, which examples/ensemble.py fuses, a table of classes and a confusion matrix.
"""

import argparse
from pathlib import Path

from train_ntu60 import NORMALIZATION, add_data_arguments, load, test_clips

import pyg_msg3d.transforms as T
from pyg_msg3d import MSG3D
from pyg_msg3d.evaluation import measure
from pyg_msg3d.training import (
    World,
    check_fit,
    join,
    peek,
    plain_errors,
    predict,
    read_notes,
    record_result,
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--checkpoint', type=Path, required=True)
    parser.add_argument('--recipe', choices=list(NORMALIZATION), default='mmaction2')
    parser.add_argument('--run-dir', type=Path, default=Path('runs/ntu60_test'))
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument(
        '--precision', choices=['float32', 'bf16', 'fp16'], default='float32'
    )
    parser.add_argument('--num-workers', type=int, default=4)
    parser.add_argument('--device', help='by default GPUs if there are any')
    add_data_arguments(parser)
    with plain_errors():
        parser.set_defaults(**read_notes(peek(parser).checkpoint))
        args = parser.parse_args()
        with join(args.device) as world:
            test(args, world)


def test(args: argparse.Namespace, world: World) -> None:
    """Tests, and writes what came of it."""
    model = MSG3D.from_checkpoint(args.checkpoint).to(world.device)
    num_clips = test_clips(args)
    dataset = load(args, 'test', num_clips)
    check_fit(model, dataset, 'test')
    scores = predict(
        model,
        dataset,
        args.batch_size,
        T.recipe(args.recipe).average,
        args.precision,
        args.num_workers,
        world,
    )
    if world.is_first:
        metrics = measure(scores)
        record_result(args.run_dir, scores, metrics.numbers())
        print(
            f'{args.benchmark} {args.protocol}, {args.stream}, {num_clips} clips of a '
            f'sample: {metrics}\nScores, table and confusion matrix: {args.run_dir}'
        )


if __name__ == '__main__':
    main()
