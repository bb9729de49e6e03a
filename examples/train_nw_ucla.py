"""Trains MS-G3D on NW-UCLA (10 actions, views 1 and 2 train, view 3 tests).

    python examples/train_nw_ucla.py --data path/to/all_sqe.zip --channels 48,96,192

Joint stream, the usual preprocessing of this set: clips centred on joint 1 of their
first frame, in training turned at random about x and y, scaled to [-1, 1] per axis,
52 frames. Several seeds, --seeds 0,1,2, end with their mean. On a GPU, --recipe ctrgcn
trains as CTR-GCN does: 65 epochs of the data five times.
"""

import argparse
from pathlib import Path

import pyg_msg3d.transforms as T
from pyg_msg3d.datasets import NWUCLA
from pyg_msg3d.models import Architecture
from pyg_msg3d.training import (
    RECIPES,
    Run,
    Settings,
    add_arguments,
    collect,
    join,
    plain_errors,
    recipe_argument,
    train_and_test,
)

SHORT = Settings(epochs=30, warm_up=3, label_smoothing=0.1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data', required=True, help='all_sqe.zip, or its folder')
    parser.add_argument('--frames', type=int, default=52)
    recipes = {'short': SHORT, 'ctrgcn': RECIPES['ctrgcn']}
    add_arguments(parser, recipe_argument(parser, recipes), leave_out=['seed'])
    add_arguments(parser, Architecture(gcn_scales=8))
    add_arguments(parser, Run(run_dir=Path('runs/nw_ucla')))
    args = parser.parse_args()

    with plain_errors(), join(args.device) as world:
        train, test = load(args.data, args.frames)
        architecture = collect(args, Architecture)
        train_and_test(
            lambda: architecture.build(train.skeleton, train.num_classes, 3, 1),
            train,
            test,
            collect(args, Settings),
            collect(args, Run),
            world,
        )


def load(path: str, frames: int) -> tuple[NWUCLA, NWUCLA]:
    """The clips for training and for testing."""
    # The published recipe moves all joints, seen or not.
    centre = T.Centre(joint=1, keep_zeros=False)
    turn = T.RandomRotation(60, axes=(0, 1))
    scale = T.MinMaxScale(keep_zeros=False)
    varied = [centre, turn, scale, T.SampleFrames(frames, train=True)]
    plain = [centre, scale, T.SampleFrames(frames)]
    return (
        NWUCLA(path, 'train', T.Compose(varied)),
        NWUCLA(path, 'test', T.Compose(plain)),
    )


if __name__ == '__main__':
    main()
