"""Trains a small MS-G3D on the demo data: no download, 2 to 4 minutes on two cores.

    python examples/train_demo.py

Synthetic people perform thirteen actions before random cameras; the test subjects are
never seen in training. They are written as the .skeleton files of NTU RGB+D and read,
processed and stored as real ones would be. Leaves curves, a still picture and an
animation of each class in the run folder.
"""

import argparse
import shutil
from itertools import chain
from pathlib import Path

import pyg_msg3d.transforms as T
from pyg_msg3d import MSG3D
from pyg_msg3d.datasets import SkeletonFolder, SyntheticActions
from pyg_msg3d.io import write_folder
from pyg_msg3d.training import (
    Run,
    Settings,
    add_arguments,
    collect,
    join,
    plain_errors,
    train_and_test,
)
from pyg_msg3d.visualize import animate, contact_sheet

DEFAULTS = Settings(
    epochs=12, base_lr=0.1, warm_up=1.8, label_smoothing=0.1, ema=0.97, test_every=4
)
TEST_SUBJECTS = 24


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--frames', type=int, default=16)
    add_arguments(parser, DEFAULTS, leave_out=['seed'])
    # There is nothing to lose: the next minutes make it again.
    add_arguments(parser, Run(run_dir=Path('runs/demo'), overwrite=True))
    args = parser.parse_args()

    with plain_errors(), join(args.device) as world:
        if world.is_first:
            record(args.run_dir / 'data')
        world.wait()
        train, test = load(args.run_dir / 'data', args.frames)
        train_and_test(
            lambda: MSG3D(
                train.skeleton,
                train.num_classes,
                gcn_scales=8,
                g3d_scales=4,
                window_sizes=(3,),
                channels=(24, 48, 96),
            ),
            train,
            test,
            collect(args, Settings),
            collect(args, Run),
            world,
        )
        if world.is_first:
            draw(test, args.run_dir)


def record(folder: Path) -> None:
    """Writes the demo data as recordings, and the table of their classes and splits."""
    shutil.rmtree(folder, ignore_errors=True)
    print('Recording synthetic actors ...', flush=True)
    both = SyntheticActions('train'), SyntheticActions('test', TEST_SUBJECTS)
    write_folder(folder, chain(*(actions.recordings() for actions in both)))


def load(folder: Path, frames: int) -> tuple[SkeletonFolder, SkeletonFolder]:
    """The recordings for training and for testing, as the model takes them."""
    centre = T.Centre(joint=1)
    # The y axis points up: wherever the camera stood, it may have stood elsewhere.
    turn = T.RandomRotation(180, axes=(1,))
    varied = [centre, turn, T.SampleFrames(frames, train=True), T.PadPersons()]
    plain = [centre, T.SampleFrames(frames), T.PadPersons()]
    return (
        SkeletonFolder(folder, 'train', persons='tracked', transform=T.Compose(varied)),
        SkeletonFolder(folder, 'test', persons='tracked', transform=T.Compose(plain)),
    )


def draw(test: SkeletonFolder, folder: Path) -> None:
    """Draws a clip of each class, still and moving."""
    print('Drawing ...', flush=True)
    # The last person to perform an action is as good as any.
    clips = [test.get(index) for index in range(len(test))]
    examples = {test.classes[int(clip.y)]: clip.x for clip in clips}
    contact_sheet(list(examples.items()), test.skeleton, folder / 'actions.png')
    for name, x in examples.items():
        path = folder / f'{name.replace(" ", "_")}.gif'
        animate(x[:, ::2], test.skeleton, path, title=name)
    print(
        f'Pictures: {folder}/curves.png, confusion.png, actions.png and a .gif per '
        f'action'
    )


if __name__ == '__main__':
    main()
