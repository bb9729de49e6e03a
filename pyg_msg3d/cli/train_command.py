"""Trains MS-G3D on recordings of your own.

    pyg-msg3d train my_data
    torchrun --nproc-per-node gpu -m pyg_msg3d train my_data

my_data has a folder of recordings for each class, or labels.csv (file, label, split),
or is anything else that tells its labels; look at it with pyg-msg3d inspect first.
Where nobody says which recordings test, some are chosen, which is said. The model's
size, batch, epochs, warm-up and persons follow from the data unless they are given.

--init-from begins with a trained model, ours or a published one: what fits is kept,
joints by their names, and the rest is drawn anew; --freeze keeps its first blocks.
"""

import argparse
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from pyg_msg3d.cli.data_arguments import (
    add_data_arguments,
    given_skeleton,
    image_size,
    reading,
)
from pyg_msg3d.cli.own_data import Clips, place_of
from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.datasets import SkeletonFolder
from pyg_msg3d.datasets.bone_lengths import warn_of_bones
from pyg_msg3d.models import MSG3D, Architecture
from pyg_msg3d.models.checkpoint import read_checkpoint
from pyg_msg3d.skeletons import Skeleton
from pyg_msg3d.training import (
    Run,
    Settings,
    add_arguments,
    collect,
    join,
    train_and_test,
)
from pyg_msg3d.training.world import World
from pyg_msg3d.transforms.units import are_shares

HELP = 'train a model on recordings of your own'
DEFAULTS = Settings(label_smoothing=0.1)
# What follows from the data unless it is given.
BY_DATA = ('batch_size', 'epochs', 'warm_up', 'test_every')
_FEW, _FEW_JOINTS = 3000, 40
_OF = 50  # One clip of so many may be left out of an epoch.
_LOOKED_AT = 20  # Clips whose bones are measured.
_BATCH, _SMALL_BATCH, _STEPS, _WARM_UP = 32, 16, 120, 4
_SMALL = {
    'gcn_scales': 8, 'g3d_scales': 4, 'channels': (24, 48, 96),
}  # fmt: skip
_WORDS = {
    'gcn_scales': 'scales of the MS-GCNs',
    'g3d_scales': 'scales of the G3Ds',
    'channels': 'width of each block',
}


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument('data', type=Path, help='the recordings')
    add_data_arguments(parser)
    group = parser.add_argument_group('splits')
    group.add_argument('--train-split', default='train', help='(default: train)')
    group.add_argument('--test-split', default='test', help='(default: test)')
    group.add_argument(
        '--test-share',
        type=float,
        default=0.2,
        help='where recordings tell no splits, the share to test on (default: 0.2)',
    )
    group.add_argument(
        '--split-by',
        choices=('auto', 'subject', 'chance'),
        default='auto',
        help='whom to test on then; auto: some subjects, where names tell them',
    )
    group.add_argument(
        '--split-seed', type=int, default=0, help='of that choice (default: 0)'
    )
    parser.add_argument('--image-size', type=image_size, help='height,width, of pixels')
    parser.add_argument('--init-from', type=Path, help='a checkpoint to begin with')
    parser.add_argument(
        '--freeze', type=int, help='keep its first blocks as they are, so many'
    )
    add_arguments(parser, Clips())
    for name, kind, text in (
        ('--epochs', int, 'passes over the training data'),
        ('--batch-size', int, 'clips of a step'),
        ('--warm-up', float, 'epochs in which the rate rises'),
        ('--test-every', int, 'epochs from one test to the next'),
    ):
        parser.add_argument(name, type=kind, help=f'{text}; by default by the data')
    add_arguments(parser, DEFAULTS, leave_out=['seed', *BY_DATA])
    add_arguments(parser, Architecture(), leave_out=[*_SMALL, 'residual'])
    full = Architecture()
    group = parser.add_argument_group('size')
    for name, value in _SMALL.items():
        few, many = (_shown(v) for v in (value, getattr(full, name)))
        several = isinstance(value, tuple)
        group.add_argument(
            f'--{name.replace("_", "-")}',
            type=_numbers if several else int,
            metavar='N,N,...' if several else 'N',
            help=f'{_WORDS[name]} (default: {many}; for few clips on a CPU {few})',
        )
    group.add_argument(
        '--residual',
        choices=('dense', 'tied', 'none'),
        help='what is learned on top of the graph (default: dense; tied for few clips '
        f'of over {_FEW_JOINTS} joints on a CPU)',
    )
    add_arguments(parser, Run(run_dir=Path('runs/mine')))


def _shown(value: Any) -> str:
    return ','.join(map(str, value)) if isinstance(value, tuple) else str(value)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(',') if part)


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    with join(arguments.device) as world:
        train_own(arguments, world)


def train_own(arguments: argparse.Namespace, world: World) -> None:
    """Trains, tests and records."""
    if arguments.init_from is not None and arguments.stream == 'auto':
        arguments.stream = read_checkpoint(arguments.init_from).metadata.stream
    clips = collect(arguments, Clips)
    train = load(arguments, arguments.train_split, random=True)
    test = load(arguments, arguments.test_split, random=False)
    say = print if world.is_first else _be_quiet
    settings = fitted_settings(arguments, len(train), world.size)
    model = model_maker(arguments, train, world, say)
    count = len(train.store)
    varied = ', '.join(clips.augmentations(count)) or 'none'
    say(
        f'{len(train):,} clips of {train.num_classes} classes, {clips.frames} frames, '
        f'{train[0].x.size(0)} person(s), {train.skeleton.name}; augmentation: {varied}'
    )
    steps = ', '.join(type(step).__name__ for step in test.transform.transforms)
    say(f'Before the model sees a clip: {steps}')
    train_and_test(
        model,
        train,
        test,
        settings,
        collect(arguments, Run),
        world,
        notes={
            'stream': clips.what(count),
            'frames': clips.frames,
            'freeze': arguments.freeze or 0,
        },
    )
    if world.is_first:
        best = f"'{arguments.run_dir / 'best.pt'}'"
        say(f'To predict: pyg-msg3d predict FILE --checkpoint {best}')


def load(arguments: argparse.Namespace, split: str, random: bool) -> SkeletonFolder:
    """The clips of a split, as the model takes them, varied at random or not."""
    given = vars(arguments)
    skeleton = given_skeleton(arguments)
    data = SkeletonFolder(
        **place_of(arguments.data, given.get('run_dir', Path('runs'))),
        split=split,
        skeleton=skeleton,
        test_share=given.get('test_share'),
        split_by=given.get('split_by', 'auto'),
        split_seed=given.get('split_seed', 0),
        **reading(arguments),
    )
    if not (data.labels >= 0).any():
        raise SkeletonDataError(
            f"The recordings of '{arguments.data}' have no labels: put those of each "
            f'class into a folder of its own, or write labels.csv (file, label, split) '
            f'beside them'
        )
    bones = _skeleton_of(data)
    if skeleton is None and data.store.skeleton is None:
        few = range(0, len(data), max(1, len(data) // _LOOKED_AT))
        warn_of_bones([data.get(index).x.numpy() for index in few], bones)
    clips = collect(arguments, Clips)
    size, some = given.get('image_size'), data.get(0)
    known = size is not None or some.get('image_size') is not None
    data.transform = clips.transform(
        bones,
        dims := data.store.shape[1],
        size,
        # Shares of the image need no size of it.
        dims == 2 and (known or are_shares(some, size_known=True)),
        clips.num_persons(data),
        clips.what(len(data.store)),
        clips.augmentations(len(data.store)) if random else (),
        train=random,
    )
    return data


def _skeleton_of(data: SkeletonFolder) -> Skeleton:
    try:
        return data.skeleton
    except SkeletonDataError as error:
        raise SkeletonDataError(
            f'{error}. On the command line: --skeleton NAME, --skeleton FILE, or '
            f'--bones 0-1,1-2,...'
        ) from error


def fitted_settings(
    arguments: argparse.Namespace, num_clips: int, processes: int
) -> Settings:
    """Settings with what was not given filled in: a batch that there are clips for,
    epochs enough to learn something, a warm-up that leaves some to train."""
    parts = processes * arguments.accumulate
    values = {name: getattr(arguments, name) for name in BY_DATA}
    if values['batch_size'] is None:
        values['batch_size'] = _batch(num_clips * arguments.repeat, parts)
    steps = max(1, num_clips * arguments.repeat // values['batch_size'])
    if values['epochs'] is None:
        values['epochs'] = min(100, max(20, math.ceil(_STEPS / steps)))
    epochs = values['epochs']
    if values['warm_up'] is None:
        values['warm_up'] = min(_WARM_UP, math.floor(epochs / 4))
    if values['test_every'] is None:
        values['test_every'] = max(1, min(epochs // 10, _BATCH // steps))
    return collect(arguments, Settings, **values)


def _batch(num_clips: int, parts: int) -> int:
    """A usual batch, or a smaller one where that would leave out more than a few."""
    usual = _BATCH if num_clips >= _FEW else _SMALL_BATCH
    most = min(usual, num_clips) // parts * parts
    few = max(parts, num_clips // _OF)
    sizes = [n for n in range(most, most // 2, -1) if n % parts == 0]
    good = [size for size in sizes if num_clips % size <= few]
    return (good or sorted(sizes, key=lambda n: num_clips % n) or [parts])[0]


def model_maker(
    arguments: argparse.Namespace, train: SkeletonFolder, world: World, say: Any
) -> Any:
    """What makes a model for each seed, with new weights or those of another."""
    channels, persons = train[0].x.size(-1), train[0].x.size(0)

    def frozen(model: MSG3D) -> MSG3D:
        return model if arguments.freeze is None else model.freeze(arguments.freeze)

    if arguments.init_from is not None:
        usual = {f.name: f.default for f in fields(Architecture)}
        usual |= dict.fromkeys(('residual', *_SMALL))
        free = ('dropout', 'pooling')
        chosen = [
            name
            for name, value in usual.items()
            if name not in free and getattr(arguments, name) != value
        ]
        if chosen:
            raise ValueError(
                f'--init-from takes the model as it is; leave out '
                f'{", ".join("--" + n.replace("_", "-") for n in chosen)}'
            )
        return lambda: frozen(
            MSG3D.from_checkpoint(
                arguments.init_from,
                train.skeleton,
                in_channels=channels,
                num_persons=persons,
                classes=train.classes,
                dropout=arguments.dropout,
                pooling=arguments.pooling,
            )
        )
    if arguments.freeze is not None:
        raise ValueError('--freeze keeps trained blocks; it needs --init-from')
    small = len(train) < _FEW and world.device.type == 'cpu'
    full = Architecture()
    for name, value in _SMALL.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value if small else getattr(full, name))
    if arguments.residual is None:
        many = train.skeleton.num_joints > _FEW_JOINTS
        arguments.residual = 'tied' if many and small else 'dense'
    if small:
        say(
            f'A small model for few clips on a CPU: --channels '
            f'{",".join(map(str, arguments.channels))} --residual {arguments.residual}'
        )
    architecture = collect(arguments, Architecture)
    return lambda: architecture.build(
        train.skeleton, train.num_classes, channels, persons
    )


def _be_quiet(*_: Any, **__: Any) -> None:
    """What other processes than the first print."""
