"""Tests a trained model on recordings with labels.

    pyg-msg3d test my_data --checkpoint runs/mine/best.pt

Classes are matched by name: the recordings may have fewer than the model. Leaves the
scores by recording, a table of classes and a confusion matrix.
"""

import argparse
from pathlib import Path

from pyg_msg3d.cli.data_arguments import add_data_arguments, given_skeleton, reading

HELP = 'test a model on recordings with labels'


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument('data', type=Path, help='the recordings')
    parser.add_argument('--checkpoint', type=Path, required=True, help='the model')
    parser.add_argument(
        '--split', help="of the recordings, such as 'test' (default: all of them)"
    )
    parser.add_argument(
        '--run-dir', type=Path, default=Path('runs/test'),
        help='folder of what comes of it (default: runs/test)',
    )  # fmt: skip
    parser.add_argument(
        '--batch-size', type=int, default=32, help='clips at once (default: 32)'
    )
    parser.add_argument('--device', help='cpu or cuda (default: a GPU if there is one)')
    add_data_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    from pyg_msg3d.cli.own_data import place_of
    from pyg_msg3d.data import SkeletonDataError
    from pyg_msg3d.datasets import SkeletonFolder, match_classes
    from pyg_msg3d.evaluation import measure
    from pyg_msg3d.inference.stream import Stream
    from pyg_msg3d.training import check_fit, predict, record_result
    from pyg_msg3d.training.world import join

    with join(arguments.device) as world:
        name = f"'{arguments.checkpoint}'"
        stream = Stream(arguments.checkpoint, name, device=world.device)
        model, made = stream.model, stream.preprocessing
        data = SkeletonFolder(
            **place_of(arguments.data, arguments.run_dir),
            split=arguments.split,
            skeleton=given_skeleton(arguments) or model.skeleton,
            persons=made.persons,
            transform=made.transform,
            **reading(arguments),
        )
        if not (data.labels >= 0).any():
            raise SkeletonDataError(
                f"The recordings of '{arguments.data}' have no labels to compare with; "
                f'pyg-msg3d predict says what they show'
            )
        matched = match_classes(data, stream.model.metadata.classes, 'test')
        check_fit(model, matched, 'test', labelled=False)
        scores = predict(
            model, matched, arguments.batch_size, stream.average, world=world
        )
        if world.is_first:
            metrics = measure(scores)
            record_result(arguments.run_dir, scores, metrics.numbers())
            print(f'{metrics}')
            for label, samples, right, other in metrics.per_class():
                if samples:
                    of = f'{right} of {samples} right'
                    taken = f', mostly taken for {stream.classes[other]}'
                    print(
                        f'  {stream.classes[label]}: {of}'
                        + (taken if other != label else '')
                    )
            print(f'Scores, table and confusion matrix: {arguments.run_dir}')
