"""Fuses the scores of several streams: their weighted sum, sample by sample.

    pyg-msg3d ensemble runs/ntu60_xsub_joint runs/ntu60_xsub_bone
    pyg-msg3d ensemble joint.npz bone.npz joint_motion.npz bone_motion.npz \\
        --weights 2,2,1,1

Reads our scores.npz (or the folder of a run), the authors' epoch1_test_score.pkl,
MMAction2's --dump and PYSKL's --out. Samples are matched by name; files whose samples
or labels differ are refused. The authors add logits, MMAction2 and PYSKL
probabilities; --probabilities converts what is logits.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.evaluation import Scores, fuse, measure, read_labels, read_scores
from pyg_msg3d.training import record_result

HELP = 'fuse the scores of several streams'


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument('scores', nargs='+', type=Path, help='score files, or runs')
    parser.add_argument('--weights', help='one for each, such as 2,2,1,1; equal ones')
    parser.add_argument(
        '--probabilities', action='store_true', help='convert logits first'
    )
    parser.add_argument(
        '--by-order', action='store_true', help='match samples without names by place'
    )
    parser.add_argument('--labels', type=Path, help="the authors' val_label.pkl")
    parser.add_argument('--run-dir', type=Path, help='save what comes of it there')


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    streams = [read_scores(path) for path in args.scores]
    if args.probabilities:
        streams = [stream.probabilities() for stream in streams]
    if args.labels:
        labels = read_labels(args.labels)
        streams = [with_labels(stream, labels, args.labels) for stream in streams]
    weights = [1.0] * len(streams)
    if args.weights:
        weights = [float(weight) for weight in args.weights.split(',')]
    fused = fuse(streams, weights, args.by_order)
    for path, stream, weight in zip(args.scores, streams, weights, strict=True):
        if stream.labels is not None:
            print(f'{path}, weight {weight:g}: {measure(stream)}')
    metrics = measure(fused)
    print(f'Fused: {metrics}')
    if args.run_dir:
        record_result(args.run_dir, fused, metrics.numbers())


def with_labels(scores: Scores, labels: dict[str, int], path: Path) -> Scores:
    """The scores with the labels of a file."""
    if scores.names is None:
        raise SkeletonDataError(
            f"{scores.source} names no samples to look up in '{path}'"
        )
    unknown = [name for name in scores.names if name not in labels]
    if unknown:
        raise SkeletonDataError(
            f"'{path}' has no label of {len(unknown)} samples of {scores.source}, such "
            f'as {unknown[0]!r}'
        )
    return replace(scores, labels=np.array([labels[name] for name in scores.names]))
