import csv
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from pyg_msg3d.evaluation.scores import Scores


@dataclass(frozen=True)
class Metrics:
    r"""What scores came to; accuracies lie in :math:`[0, 1]`.

    Args:
        samples (int): How many samples with a known label were scored.
        loss (float): The mean cross entropy.
        top1 (float): The share of samples whose class has the highest score.
        top5 (float): The share whose class is among the five highest.
        mean_class (float): The mean over classes of the share that is right of each,
            of those that occur.
        confusion (ndarray): The samples of each class (rows) that were taken for each
            (columns), :math:`(C, C)`.
    """

    samples: int
    loss: float
    top1: float
    top5: float
    mean_class: float
    confusion: np.ndarray

    def __str__(self) -> str:
        return (
            f'top-1 {self.top1:.2%}, top-5 {self.top5:.2%}, mean of classes '
            f'{self.mean_class:.2%}, loss {self.loss:.4f}, {self.samples:,} samples'
        )

    def numbers(self) -> dict[str, float]:
        """The numbers, as they are written to files."""
        names = ('samples', 'loss', 'top1', 'top5', 'mean_class')
        return {name: getattr(self, name) for name in names}

    def per_class(self) -> list[tuple[int, int, int, int]]:
        """Of each class: its number, samples, how many are right, and the class that
        it is most often taken for wrongly (itself if never)."""
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        return [
            (
                label,
                int(row.sum()),
                int(row[label]),
                int(wrong[label].argmax()) if wrong[label].any() else label,
            )
            for label, row in enumerate(self.confusion)
        ]

    def save_table(self, path: str | PathLike, classes: Sequence[str] = ()) -> None:
        """Writes the table of classes as CSV."""
        with Path(path).open('w', newline='', encoding='utf-8') as file:
            table = csv.writer(file)
            table.writerow(
                ['label', 'class', 'samples', 'right', 'accuracy', 'mostly taken for']
            )
            for label, samples, right, other in self.per_class():
                share = f'{right / samples:.4f}' if samples else ''
                taken = '' if other == label else _name(other, classes)
                row = [label, _name(label, classes), samples, right, share, taken]
                table.writerow(row)


def measure(scores: Scores) -> Metrics:
    r"""Measures scores against their labels. Samples whose label is not known are left
    out. Of equal scores, the class that comes first counts as higher.

    Raises:
        ValueError: If the scores have no labels.
    """
    if scores.labels is None or not (scores.labels >= 0).any():
        raise ValueError(f'{scores.source} has no labels to measure against')
    known = scores.labels >= 0
    values = scores.values[known].astype(np.float64)
    labels = scores.labels[known].astype(np.int64)
    rows, classes = np.arange(len(values)), values.shape[1]
    order = np.argsort(-values, axis=1, kind='stable')
    hits = order == labels[:, None]
    if scores.kind == 'logits':
        values = values - values.max(1, keepdims=True)
        values = values - np.log(np.exp(values).sum(1, keepdims=True))
        loss = -values[rows, labels]
    else:
        loss = -np.log(np.maximum(values[rows, labels], 1e-12))
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, order[:, 0]), 1)
    counts = confusion.sum(1)
    shares = np.diag(confusion)[counts > 0] / counts[counts > 0]
    return Metrics(
        samples=len(values),
        loss=float(loss.mean()),
        top1=float(hits[:, 0].mean()),
        top5=float(hits[:, :5].any(1).mean()),
        mean_class=float(shares.mean()),
        confusion=confusion,
    )


def _name(label: int, classes: Sequence[str]) -> str:
    return classes[label] if label < len(classes) else str(label)
