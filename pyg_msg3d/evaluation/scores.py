from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.atomic import write_atomically

KINDS = ('logits', 'probabilities')
_SHOWN = 5


@dataclass(frozen=True)
class Scores:
    r"""What a model gives for each sample of a data set.

    Args:
        values (ndarray): The scores of :math:`N` samples for :math:`C` classes,
            :math:`(N, C)`.
        kind (str): ``'logits'``, or ``'probabilities'``, logits after a softmax.
        names (tuple of str, optional): What the samples are called; files that name
            none keep the order of their data set.
        labels (ndarray, optional): The classes of the samples, :math:`(N)`; -1 where
            one is not known.
        source (str, optional): What messages call the scores.
        classes (tuple of str, optional): The names of the classes; empty where they
            have none.

    Raises:
        SkeletonDataError: If numbers of samples differ, names occur twice, scores are
            not finite, probabilities are not, or labels are no classes.
    """

    values: np.ndarray
    kind: str
    names: tuple[str, ...] | None = None
    labels: np.ndarray | None = None
    source: str = 'the scores'
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        values, source = self.values, self.source
        if self.kind not in KINDS:
            raise ValueError(f"'kind' must be one of {KINDS} (got {self.kind!r})")
        if values.ndim != 2 or values.dtype.kind != 'f' or 0 in values.shape:
            raise SkeletonDataError(
                f'{source}: expected scores [samples, classes] (got {values.dtype}, '
                f'{list(values.shape)})'
            )
        for name, entries in (('names', self.names), ('labels', self.labels)):
            if entries is not None and len(entries) != len(values):
                raise SkeletonDataError(
                    f'{source}: scores of {len(values)} samples, but {len(entries)} '
                    f'{name}'
                )
        if self.classes and len(self.classes) != values.shape[1]:
            raise SkeletonDataError(
                f'{source}: scores for {values.shape[1]} classes, but '
                f'{len(self.classes)} names of classes'
            )
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).all(1))[0])
            raise SkeletonDataError(
                f'{source}: the scores of {self.name_of(row)} are not finite'
            )
        if self.kind == 'probabilities' and not (
            (values >= 0).all() and np.allclose(values.sum(1), 1, atol=1e-2)
        ):
            raise SkeletonDataError(f'{source}: probabilities that do not add up to 1')
        if self.names is not None and len(set(self.names)) < len(self.names):
            seen: set[str] = set()
            twice = next(n for n in self.names if n in seen or seen.add(n))  # type: ignore[func-returns-value]
            raise SkeletonDataError(f'{source}: the sample {twice!r} occurs twice')
        if self.labels is not None:
            bad = (self.labels < -1) | (self.labels >= values.shape[1])
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                raise SkeletonDataError(
                    f'{source}: {self.name_of(row)} has label {self.labels[row]}, but '
                    f'there are scores for {values.shape[1]} classes'
                )

    def __len__(self) -> int:
        return len(self.values)

    def name_of(self, row: int) -> str:
        """What messages call a sample."""
        return f'sample {row}' if self.names is None else f'sample {self.names[row]!r}'

    def probabilities(self) -> 'Scores':
        """The same as probabilities, in float64."""
        values = self.values.astype(np.float64)
        if self.kind == 'logits':
            values = np.exp(values - values.max(1, keepdims=True))
            values /= values.sum(1, keepdims=True)
        return replace(self, values=values, kind='probabilities')

    def aligned_to(self, names: tuple[str, ...], whose: str) -> 'Scores':
        """The same in the order of these names; errors say whose they are.

        Raises:
            SkeletonDataError: If the names are others than these.
        """
        if self.names is None:
            raise SkeletonDataError(f'{self.source} names no samples')
        rows = {name: row for row, name in enumerate(self.names)}
        _check_same_names(names, rows, whose, self.source)
        order = [rows[name] for name in names]
        labels = None if self.labels is None else self.labels[order]
        return replace(self, values=self.values[order], names=names, labels=labels)

    def with_classes(self, classes: tuple[str, ...], whose: str) -> 'Scores':
        """The same with classes in this order, by name; errors say whose they are.

        Raises:
            SkeletonDataError: If there are others, or fewer.
        """
        if sorted(self.classes) != sorted(classes):
            raise SkeletonDataError(
                f'{self.source} is about the classes {", ".join(self.classes)[:300]}, '
                f'{whose} about {", ".join(classes)[:300]}'
            )
        order = [self.classes.index(name) for name in classes]
        labels = self.labels
        if labels is not None:
            labels = np.array([*np.argsort(order), -1])[labels]
        return replace(
            self, values=self.values[:, order], labels=labels, classes=classes
        )

    def save(self, path: str | PathLike) -> None:
        """Writes an ``.npz`` of arrays: ``values``, ``kind``, ``names``, ``labels``,
        ``classes``."""
        content: dict[str, np.ndarray] = {
            'values': self.values,
            'kind': np.array(self.kind),
        }
        if self.names is not None:
            content['names'] = np.array(self.names)
        if self.labels is not None:
            content['labels'] = self.labels
        if self.classes:
            content['classes'] = np.array(self.classes)
        # Before numpy 2.1, `allow_pickle=False` was one more array to save.
        for name, array in content.items():
            if array.dtype.hasobject:
                raise ValueError(f'Object arrays cannot be saved, such as {name!r}')
        with write_atomically(Path(path)) as file:
            np.savez_compressed(file, **content)  # type: ignore[arg-type]


def _check_same_names(
    first: tuple[str, ...], second: dict[str, int], one: str, other: str
) -> None:
    """Refuses different samples, naming some of them."""
    lacking = [name for name in first if name not in second]
    extra = sorted(second.keys() - set(first))
    if lacking or extra:
        parts = [
            f'{len(names)} only in {where} ({", ".join(names[:_SHOWN])}'
            f'{", ..." if len(names) > _SHOWN else ""})'
            for names, where in ((lacking, one), (extra, other))
            if names
        ]
        raise SkeletonDataError(
            f'{other} holds other samples than {one}: {"; ".join(parts)}'
        )
