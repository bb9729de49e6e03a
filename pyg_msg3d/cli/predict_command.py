"""Says what recordings show.

    pyg-msg3d predict clip.npy --checkpoint runs/mine/best.pt
    pyg-msg3d predict new_clips --checkpoint runs/mine/best.pt --csv answers.csv
    pyg-msg3d predict long.npy --checkpoint runs/mine/best.pt --window 64 --save seen

Prints a line for each recording, window or person: the most probable class and its
probability, and the next ones. Several checkpoints are streams whose probabilities are
added up. --save draws an animation of each, with the joints that mattered most.
"""

import argparse
from pathlib import Path

from pyg_msg3d.cli.data_arguments import (
    add_data_arguments,
    given_skeleton,
    reading,
    words,
)

HELP = 'say what recordings show'


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument('files', nargs='+', type=Path, help='files or folders')
    parser.add_argument(
        '--checkpoint',
        type=Path,
        nargs='+',
        required=True,
        help='of a training, or published weights; several are added up',
    )
    parser.add_argument('--weights', help='one for each checkpoint, such as 2,1')
    parser.add_argument(
        '--window', type=int, help='answer for windows of so many frames'
    )
    parser.add_argument(
        '--hop', type=int, help='frames from one window to the next (default: half)'
    )
    parser.add_argument(
        '--per-person', action='store_true', help='answer for each person alone'
    )
    parser.add_argument(
        '--pooling',
        choices=('mean', 'present'),
        help='present: leave absent persons out of the mean (default: as trained)',
    )
    parser.add_argument(
        '--classes', type=words, help='names, where a checkpoint has none: a,b,c'
    )
    parser.add_argument(
        '--stream', default='joint', help='of published weights (default: joint)'
    )
    parser.add_argument('--json', type=Path, help='write all probabilities there')
    parser.add_argument('--csv', type=Path, help='write a table there')
    parser.add_argument('--save', type=Path, help='a folder for animations')
    parser.add_argument('--device', help='cpu or cuda (default: a GPU if there is one)')
    add_data_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    from pyg_msg3d.data.errors import printable
    from pyg_msg3d.inference import Predictor

    weights = arguments.weights
    predictor = Predictor(
        arguments.checkpoint,
        None if weights is None else [float(part) for part in weights.split(',')],
        classes=arguments.classes,
        stream=arguments.stream,
        pooling=arguments.pooling,
        device=arguments.device,
    )
    options = {
        'skeleton': given_skeleton(arguments),
        'per_person': arguments.per_person,
        'window': arguments.window,
        'hop': arguments.hop,
        **reading(arguments),
    }
    found = predictor(arguments.files, **options)
    for prediction in found:
        print(prediction)
    for name, reason in found.skipped.items():
        print(f'{printable(name)}: no answer ({reason})')
    if arguments.json is not None:
        found.save_json(arguments.json)
    if arguments.csv is not None:
        found.save_csv(arguments.csv)
    if arguments.save is not None:
        from pyg_msg3d.inference.pictures import draw_predictions

        drawn = draw_predictions(
            predictor, arguments.files, found, arguments.save, **options
        )
        for path in drawn:
            print(f'Picture: {path}')
