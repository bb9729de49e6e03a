"""Trains MS-G3D on NW-UCLA (10 actions, views 1 and 2 train, view 3 tests).

    python examples/train_nw_ucla.py --data path/to/all_sqe.zip --channels 48,96,192

Joint stream, the usual preprocessing of this set: clips centred on joint 1 of their
first frame, in training turned at random about x and y, scaled to [-1, 1] per axis,
52 frames. Several seeds, ``--seeds 0,1``, end with their mean.
"""

import argparse
import statistics
from pathlib import Path

import torch
from torch_geometric import seed_everything
from torch_geometric.loader import DataLoader

import pyg_msg3d.transforms as T
from pyg_msg3d import MSG3D
from pyg_msg3d.datasets import NWUCLA
from pyg_msg3d.training import fit


def integers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(','))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data', required=True, help='all_sqe.zip, or its folder')
    parser.add_argument('--channels', type=integers, default=(96, 192, 384))
    parser.add_argument('--gcn-scales', type=int, default=8)
    parser.add_argument('--g3d-scales', type=int, default=6)
    parser.add_argument(
        '--residual', choices=('dense', 'tied', 'none'), default='dense'
    )
    parser.add_argument('--epochs', type=int, default=20)
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--lr', type=float, default=0.05, help='peak of one cycle')
    parser.add_argument('--weight-decay', type=float, default=5e-4)
    parser.add_argument('--frames', type=int, default=52)
    parser.add_argument('--seeds', type=integers, default=(0,))
    parser.add_argument('--run-dir', default='runs/nw_ucla')
    args = parser.parse_args()

    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    # The published recipe moves all joints, seen or not.
    centre = T.Centre(joint=1, keep_zeros=False)
    train = NWUCLA(
        args.data,
        'train',
        T.Compose(
            [
                centre,
                T.RandomRotation(60, axes=(0, 1)),
                T.MinMaxScale(),
                T.SampleFrames(args.frames, random=True),
            ]
        ),
    )
    test = NWUCLA(
        args.data,
        'test',
        T.Compose([centre, T.MinMaxScale(), T.SampleFrames(args.frames)]),
    )
    print(f'{len(train)} clips train, {len(test)} clips test, on {device}')

    accuracies = []
    for seed in args.seeds:
        seed_everything(seed)
        model = MSG3D(
            train.skeleton,
            train.num_classes,
            num_persons=1,
            gcn_scales=args.gcn_scales,
            g3d_scales=args.g3d_scales,
            channels=args.channels,
            residual=None if args.residual == 'none' else args.residual,
        ).to(device)
        history = fit(
            model,
            DataLoader(train, args.batch_size, shuffle=True, drop_last=True),
            DataLoader(test, args.batch_size),
            epochs=args.epochs,
            lr=args.lr,
            weight_decay=args.weight_decay,
            run_dir=Path(args.run_dir) / f'seed_{seed}',
        )
        accuracies.append(100 * history[-1].test_accuracy)
        minutes = sum(epoch.seconds for epoch in history) / 60
        print(f'seed {seed}: {accuracies[-1]:.2f} % on view 3, {minutes:.1f} min')
    if len(accuracies) > 1:
        mean, deviation = statistics.mean(accuracies), statistics.stdev(accuracies)
        print(f'{len(accuracies)} seeds: {mean:.2f} ± {deviation:.2f} % on view 3')


if __name__ == '__main__':
    main()
