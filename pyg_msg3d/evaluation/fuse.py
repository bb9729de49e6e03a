from collections.abc import Sequence

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.evaluation.scores import Scores


def fuse(
    streams: Sequence[Scores],
    weights: Sequence[float] | None = None,
    by_order: bool = False,
) -> Scores:
    r"""The weighted sum of several models' scores for the same samples,
    :math:`\sum_i w_i \mathbf{s}_i / \sum_i w_i`, such as joint, bone, joint motion and
    bone motion with weights 2:2:1:1.

    Samples are matched by name. All scores must be of one kind: the authors add
    logits, MMAction2 and PYSKL probabilities, and the sums differ;
    :meth:`Scores.probabilities` converts.

    Args:
        streams (sequence of Scores): The scores.
        weights (sequence of float, optional): Their weights; equal by default.
        by_order (bool, optional): Match samples by their place instead, where files
            name none. (default: :obj:`False`)

    Raises:
        ValueError: If weights are negative or not one for each.
        SkeletonDataError: If samples, labels, classes or kinds differ, or if some
            scores have names and others have none; the message names both sides.
    """
    if not streams:
        raise ValueError('There are no scores to fuse')
    weights = [1.0] * len(streams) if weights is None else list(weights)
    if len(weights) != len(streams):
        raise ValueError(
            f'Expected one weight for each of {len(streams)} scores (got '
            f'{len(weights)})'
        )
    if min(weights) < 0 or not 0 < sum(weights) < np.inf:
        raise ValueError(f'Expected weights of at least 0, not all 0 (got {weights})')
    # Whoever names the samples says in which order they are.
    first = next((s for s in streams if s.names is not None), streams[0])
    aligned = [
        scores if scores is first else _align(first, scores, by_order)
        for scores in streams
    ]
    total = sum(
        weight * scores.values.astype(np.float64)
        for weight, scores in zip(weights, aligned, strict=True)
    )
    names, labels = first.names, _labels(aligned)
    classes = next((scores.classes for scores in aligned if scores.classes), ())
    return Scores(
        np.asarray(total) / sum(weights), first.kind, names, labels, 'the sum', classes
    )


def _align(first: Scores, other: Scores, by_order: bool) -> Scores:
    one, two = first.source, other.source
    if other.values.shape[1] != first.values.shape[1]:
        raise SkeletonDataError(
            f'{two} has scores for {other.values.shape[1]} classes, {one} for '
            f'{first.values.shape[1]}'
        )
    if other.kind != first.kind:
        raise SkeletonDataError(
            f'{two} holds {other.kind}, {one} {first.kind}; convert all to '
            f'probabilities first'
        )
    if first.classes and other.classes and first.classes != other.classes:
        other = other.with_classes(first.classes, one)
    if first.names is not None and other.names is not None:
        other = other.aligned_to(first.names, one)
    elif (first.names is None) != (other.names is None) and not by_order:
        named, unnamed = (one, two) if other.names is None else (two, one)
        raise SkeletonDataError(
            f'{named} names its samples and {unnamed} does not. If both are in the '
            f'same order, match them by order'
        )
    elif len(first) != len(other):
        raise SkeletonDataError(f'{two} holds {len(other)} samples, {one} {len(first)}')
    return other


def _labels(streams: Sequence[Scores]) -> np.ndarray | None:
    """The labels that some know, of streams in one order.

    Raises:
        SkeletonDataError: If two know other labels of a sample.
    """
    labels, sources = None, np.zeros(len(streams[0]), int)
    for number, stream in enumerate(streams):
        if stream.labels is None:
            continue
        if labels is None:
            labels = np.full(len(stream), -1)
        differ = (labels >= 0) & (stream.labels >= 0) & (labels != stream.labels)
        if differ.any():
            row = int(np.flatnonzero(differ)[0])
            raise SkeletonDataError(
                f'{stream.source} has other labels than '
                f'{streams[sources[row]].source} for {differ.sum()} samples: '
                f'{streams[0].name_of(row)} is {stream.labels[row]} there and '
                f'{labels[row]} here'
            )
        new = (labels < 0) & (stream.labels >= 0)
        sources[new] = number
        labels = np.where(new, stream.labels, labels)
    return labels
