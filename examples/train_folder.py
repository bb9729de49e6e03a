"""Trains MS-G3D on recordings of your own.

    python examples/train_folder.py --data my_data

my_data is a folder with labels.csv (file, label, split), or anything else that
pyg_msg3d.io.read knows and that tells its splits; look at it with
examples/inspect_dataset.py first. 3D skeletons are centred on the first frame with
somebody in it, 2D key points scaled to the image. Batch, warm-up and persons follow
from the data unless they are given.
"""

import argparse
import math
from pathlib import Path

import pyg_msg3d.transforms as T
from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.datasets import SkeletonFolder
from pyg_msg3d.models import Architecture
from pyg_msg3d.skeletons import Skeleton
from pyg_msg3d.training import (
    Run,
    Settings,
    add_arguments,
    collect,
    join,
    plain_errors,
    train_and_test,
)

DEFAULTS = Settings(epochs=40)
BATCH, WARM_UP, MOST_PERSONS = 32, 4, 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--train-split', default='train')
    parser.add_argument('--test-split', default='test')
    parser.add_argument('--layout', help='dimensions of arrays, such as MTVC or CTVM')
    parser.add_argument('--coordinates', help='numbers of a joint: xy, xyz, xyc, xyzc')
    parser.add_argument('--first-label', type=int, help='number of the first class')
    parser.add_argument('--image-size', type=size, help='height,width, of pixels')
    parser.add_argument('--skeleton', help='a name; by default that of the format')
    parser.add_argument('--bones', type=bones, help='of your own, such as 0-1,1-2')
    parser.add_argument('--frames', type=int, default=64)
    parser.add_argument('--persons', type=int, help='in a clip; at most 2 of the data')
    parser.add_argument('--stream', choices=T.STREAMS, default='joint')
    parser.add_argument('--batch-size', type=int, help='clips of a step')
    parser.add_argument('--warm-up', type=float, help='epochs in which the rate rises')
    add_arguments(parser, DEFAULTS, leave_out=['seed', 'batch_size', 'warm_up'])
    add_arguments(parser, Architecture())
    add_arguments(parser, Run(run_dir=Path('runs/folder')))
    args = parser.parse_args()

    with plain_errors(), join(args.device) as world:
        train = load(args, args.train_split, random=True)
        test = load(args, args.test_split, random=False)
        fit_to(args, train, world.size)
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
    given = vars(args)
    options = {name: given.get(name) for name in ('layout', 'coordinates')}
    options['first_label'] = given.get('first_label')
    data = SkeletonFolder(args.data, split, args.skeleton, **options)
    joints, dims = data.store.shape
    if given.get('bones') is not None:
        names = [str(joint) for joint in range(joints)]
        own = Skeleton('own', names, args.bones)
        data = SkeletonFolder(args.data, split, own, **options)
    try:
        skeleton = data.skeleton
    except SkeletonDataError as error:
        raise SkeletonDataError(
            f'{error}. On the command line: --skeleton NAME, or --bones 0-1,1-2,...'
        ) from error
    steps = [T.PreNormalize2D(given.get('image_size'))]
    if dims == 3:
        steps = [T.Centre(joint=skeleton.centre)]
    if args.stream.startswith('bone'):
        steps.append(T.JointToBone(skeleton))
    if args.stream.endswith('motion'):
        steps.append(T.ToMotion())
    if args.persons is None:
        args.persons = int(min(MOST_PERSONS, data.store.num_persons.max()))
    data.transform = T.Compose(
        [
            *steps,
            T.UniformSampleFrames(args.frames, train=random),
            T.ScoreChannel(),
            T.PadPersons(args.persons),
        ]
    )
    return data


def fit_to(args: argparse.Namespace, train: SkeletonFolder, processes: int) -> None:
    """Fills in what was not given: a batch that there are clips for, and a warm-up
    that leaves epochs to train."""
    parts = processes * args.accumulate
    if args.batch_size is None:
        fits = min(BATCH, len(train) * args.repeat) // parts * parts
        args.batch_size = max(parts, fits)
    if args.warm_up is None:
        args.warm_up = min(WARM_UP, math.floor(args.epochs / 4))


def size(text: str) -> tuple[int, int]:
    """An image's size of the command line."""
    height, width = (int(part) for part in text.split(','))
    return height, width


def bones(text: str) -> list[tuple[int, int]]:
    """Bones of the command line."""
    pairs = [part.split('-') for part in text.split(',')]
    return [(int(u), int(v)) for u, v in pairs]


if __name__ == '__main__':
    main()
