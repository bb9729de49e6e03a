"""Trains MS-G3D on NTU RGB+D 60 or 120 as published.

On the CPU or one GPU, on all GPUs of a machine, on two machines of eight GPUs:

    python examples/train_ntu60.py --data data/ntu60
    torchrun --nproc-per-node gpu examples/train_ntu60.py --data data/ntu60
    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d \\
        --rdzv-endpoint HOST:29500 examples/train_ntu60.py --data data/ntu60

and under Slurm: sbatch examples/train_ntu60.sbatch --data data/ntu60.

--data is the folder with the archives of NTU RGB+D or a pickle of PYSKL's, 3D or 2D, in
raw/. --recipe says whose training it is: 'mmaction2' (also PYSKL's: 100 frames, 10 test
clips; published top-1 on X-Sub, joints: 89.6 in 3D, 92.3 in 2D) or 'official' (the
authors': 300 frames; 89.4). A batch is that of all processes together, so any number
of them trains the same; --accumulate saves memory. Train each stream, --stream bone,
then fuse their scores with examples/ensemble.py.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import pyg_msg3d.transforms as T
from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.datasets import NTU60, NTU120
from pyg_msg3d.models import Architecture
from pyg_msg3d.training import (
    RECIPES,
    Run,
    Settings,
    add_arguments,
    collect,
    join,
    peek,
    plain_errors,
    recipe_argument,
    train_and_test,
)

BENCHMARKS = {'ntu60': NTU60, 'ntu120': NTU120}
# MMAction2 normalises adjacencies by columns.
NORMALIZATION = {'mmaction2': 'col', 'official': 'sym'}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_arguments(parser)
    settings = recipe_argument(parser, {name: RECIPES[name] for name in NORMALIZATION})
    early = peek(parser)
    settings = RECIPES.get(f'{early.recipe}-{early.benchmark}', settings)
    name = f'{early.benchmark}_{early.protocol}_{early.stream}'
    add_arguments(parser, replace(settings, num_workers=4), leave_out=['seed'])
    add_arguments(parser, Architecture(normalization=NORMALIZATION[early.recipe]))
    add_arguments(parser, Run(run_dir=Path('runs') / name))
    args = parser.parse_args()

    with plain_errors(), join(args.device) as world:
        train, test = load(args, 'train'), load(args, 'test')
        persons, *_, channels = train[0].x.shape
        architecture = collect(args, Architecture)
        train_and_test(
            lambda: architecture.build(
                train.skeleton, train.num_classes, channels, persons
            ),
            train,
            test,
            collect(args, Settings),
            collect(args, Run),
            world,
            final_set=load(args, 'test', test_clips(args)),
            notes=notes(args),
        )


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """What the data is: the arguments of training and of testing alike."""
    parser.add_argument('--data', type=Path, required=True, help='folder with raw/')
    parser.add_argument('--benchmark', choices=list(BENCHMARKS), default='ntu60')
    parser.add_argument('--protocol', choices=['xsub', 'xview', 'xset'], default='xsub')
    parser.add_argument('--stream', choices=T.STREAMS, default='joint')
    parser.add_argument(
        '--keypoints', choices=['2d', '3d'], help='refuse data that is not this'
    )
    parser.add_argument('--test-clips', type=int, help="by default the recipe's")


def load(args: argparse.Namespace, split: str, num_clips: int = 1) -> NTU60 | NTU120:
    """The clips of a split, as the model takes them."""
    dataset = BENCHMARKS[args.benchmark](args.data, split, args.protocol, args.recipe)
    dims = dataset.store.shape[1]
    if args.keypoints and args.keypoints != f'{dims}d':
        raise SkeletonDataError(
            f"The key points of '{args.data}' are {dims}D, but --keypoints asks for "
            f'{args.keypoints.upper()}'
        )
    dataset.transform = T.recipe(args.recipe).transform(
        dataset.skeleton,
        args.stream,
        dims,
        train=split == 'train',
        num_clips=num_clips,
    )
    return dataset


def test_clips(args: argparse.Namespace) -> int:
    """How many clips of a sample to test."""
    return args.test_clips or T.recipe(args.recipe).num_test_clips


def notes(args: argparse.Namespace) -> dict[str, str]:
    """What checkpoints keep of the data."""
    names = ('benchmark', 'protocol', 'stream', 'recipe')
    return {name: getattr(args, name) for name in names}


if __name__ == '__main__':
    main()
