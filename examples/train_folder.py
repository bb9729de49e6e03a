"""Trains MS-G3D on recordings of your own.

    python examples/train_folder.py --data my_data

my_data is a folder with labels.csv (file, label, split), or anything else that
pyg_msg3d.io.read knows and that tells its splits; look at it with
examples/inspect_dataset.py first. 3D skeletons are centred on their first frame, 2D key
points scaled to the image.
"""

import argparse
from pathlib import Path

import pyg_msg3d.transforms as T
from pyg_msg3d.datasets import SkeletonFolder
from pyg_msg3d.models import Architecture
from pyg_msg3d.training import (
    Run,
    Settings,
    add_arguments,
    collect,
    join,
    plain_errors,
    train_and_test,
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--train-split', default='train')
    parser.add_argument('--test-split', default='test')
    parser.add_argument('--skeleton', help='a name; by default by the number of joints')
    parser.add_argument('--frames', type=int, default=64)
    parser.add_argument('--persons', type=int, default=2, help='persons in a clip')
    parser.add_argument('--stream', choices=T.STREAMS, default='joint')
    add_arguments(parser, Settings(epochs=40, warm_up=4), leave_out=['seed'])
    add_arguments(parser, Architecture())
    add_arguments(parser, Run(run_dir=Path('runs/folder')))
    args = parser.parse_args()

    with plain_errors(), join(args.device) as world:
        train = load(args, args.train_split, random=True)
        test = load(args, args.test_split, random=False)
        architecture = collect(args, Architecture)
        train_and_test(
            lambda: architecture.build(
                train.skeleton, train.num_classes, train[0].x.size(-1), args.persons
            ),
            train,
            test,
            collect(args, Settings),
            collect(args, Run),
            world,
            notes={'stream': args.stream, 'frames': args.frames},
        )


def load(args: argparse.Namespace, split: str, random: bool) -> SkeletonFolder:
    """The clips of a split, as the model takes them."""
    data = SkeletonFolder(args.data, split, args.skeleton)
    steps = [T.PreNormalize2D()]
    if data.store.shape[1] == 3:
        steps = [T.Centre(joint=data.skeleton.centre)]
    if args.stream.startswith('bone'):
        steps.append(T.JointToBone(data.skeleton))
    if args.stream.endswith('motion'):
        steps.append(T.ToMotion())
    data.transform = T.Compose(
        [
            *steps,
            T.UniformSampleFrames(args.frames, test=not random),
            T.ScoreChannel(),
            T.PadPersons(args.persons),
        ]
    )
    return data


if __name__ == '__main__':
    main()
