"""Trains a small MS-G3D on the demo data: no download, about two minutes on two cores.

    python examples/train_demo.py

Synthetic people perform thirteen actions before random cameras; the test subjects are
never seen in training. They are written as the .skeleton files of NTU RGB+D and read,
processed and stored as real ones would be. Leaves curves, a still picture and an
animation of each class in the run folder.
"""

import argparse
import shutil
import time
from itertools import chain
from pathlib import Path

import torch
from torch_geometric import seed_everything
from torch_geometric.loader import DataLoader

import pyg_msg3d.transforms as T
from pyg_msg3d import MSG3D
from pyg_msg3d.datasets import SkeletonFolder, SyntheticActions
from pyg_msg3d.io import write_folder
from pyg_msg3d.training import fit
from pyg_msg3d.visualize import animate, contact_sheet, plot_history


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--epochs', type=int, default=12)
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--lr', type=float, default=0.1, help='peak of one cycle')
    parser.add_argument('--frames', type=int, default=24)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--run-dir', type=Path, default=Path('runs/demo'))
    args = parser.parse_args()

    seed_everything(args.seed)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    centre = T.Centre(joint=1)
    # The y axis points up: wherever the camera stood, it may have stood elsewhere.
    turn = T.RandomRotation(180, axes=(1,))
    data = record(args.run_dir / 'data')
    train = SkeletonFolder(
        data,
        'train',
        persons='tracked',
        transform=T.Compose(
            [centre, turn, T.SampleFrames(args.frames, random=True), T.PadPersons()]
        ),
    )
    test = SkeletonFolder(
        data,
        'test',
        persons='tracked',
        transform=T.Compose([centre, T.SampleFrames(args.frames), T.PadPersons()]),
    )
    print(
        f'{len(train)} clips train, {len(test)} clips of other subjects test, '
        f'{train.num_classes} actions, on {device}'
    )

    model = MSG3D(
        train.skeleton,
        train.num_classes,
        gcn_scales=8,
        g3d_scales=4,
        window_sizes=(3,),
        channels=(24, 48, 96),
    ).to(device)
    print(f'MS-G3D with {sum(p.numel() for p in model.parameters()):,} parameters')
    start = time.perf_counter()
    history = fit(
        model,
        DataLoader(train, args.batch_size, shuffle=True, drop_last=True),
        DataLoader(test, args.batch_size),
        epochs=args.epochs,
        lr=args.lr,
        run_dir=args.run_dir,
    )
    seconds = time.perf_counter() - start

    print('Drawing ...', flush=True)
    plot_history(history, args.run_dir / 'curves.png')
    # One clip of each class; the last person to perform it is as good as any.
    clips = [test.get(index) for index in range(len(test))]
    examples = {test.classes[int(clip.y)]: clip.x for clip in clips}
    contact_sheet(list(examples.items()), test.skeleton, args.run_dir / 'actions.png')
    for name, x in examples.items():
        path = args.run_dir / f'{name.replace(" ", "_")}.gif'
        animate(x[:, ::2], test.skeleton, path, title=name)
    print(
        f'Test accuracy on unseen subjects: {history[-1].test_accuracy:.1%} after '
        f'{seconds:.0f} s of training\n'
        f'Pictures: {args.run_dir}/curves.png, actions.png and a .gif per action'
    )


def record(folder: Path) -> Path:
    """Writes the demo data as recordings, and the table of their classes and splits."""
    shutil.rmtree(folder, ignore_errors=True)
    print('Recording synthetic actors ...', flush=True)
    both = SyntheticActions('train'), SyntheticActions('test')
    write_folder(folder, chain(*(actions.recordings() for actions in both)))
    return folder


if __name__ == '__main__':
    main()
