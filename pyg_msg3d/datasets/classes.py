"""Whose label is which: data and models are matched by the names of classes."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.data.errors import printable, say_assumed

_SHOWN = 20


class Relabelled(Dataset):
    r"""A data set with other numbers for its classes.

    Args:
        dataset (Dataset): The clips.
        classes (sequence of str): The names of all classes, in the order of labels.
        numbers (sequence of int): For each label of the data set the one here.
    """

    def __init__(
        self, dataset: Any, classes: Sequence[str], numbers: Sequence[int]
    ) -> None:
        self.dataset = dataset
        self.classes = tuple(classes)
        # The last stands for -1, a label that is not known.
        self._numbers = np.array([*numbers, -1])

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def labels(self) -> np.ndarray:
        """The labels; -1 where they are not known."""
        return self._numbers[labels_of(self.dataset)]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> SkeletonData:
        clip = copy.copy(self.dataset[index])
        if clip.y is not None:
            clip.y = torch.from_numpy(self._numbers)[clip.y]
        return clip

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_') or name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)


def class_names_of(dataset: Any) -> tuple[str, ...]:
    """The names of a data set's classes; none if they are but numbers."""
    classes = tuple(map(str, getattr(dataset, 'classes', ())))
    return () if all(name.isdecimal() for name in classes) else classes


def match_classes(dataset: Any, classes: Sequence[str], what: str) -> Any:
    r"""A data set whose labels count the classes as a model does, by name: it may have
    fewer of them, in any order.

    Args:
        dataset (Dataset): The clips.
        classes (sequence of str): The names that the model has, in the order of labels;
            empty if it has none.
        what (str): What messages call the data.

    Raises:
        SkeletonDataError: If a class that occurs is none of the model's; the message
            has both lists.
    """
    own = class_names_of(dataset)
    if not classes or tuple(own) == tuple(classes):
        return dataset
    if not own:
        if len(dataset) and (labels_of(dataset) >= 0).any():
            say_assumed(
                f'The {what} data numbers its classes and names none; number 0 is '
                f"taken for the model's {classes[0]!r}, and so on"
            )
        return dataset
    number = {name: label for label, name in enumerate(classes)}
    labels = np.unique(labels_of(dataset))
    unknown = [
        own[label] for label in labels if label >= 0 and own[label] not in number
    ]
    if unknown:
        raise SkeletonDataError(
            f'Of the classes of the {what} data, the model does not know '
            f'{_listed(unknown)}. The data has {_listed(own)}; the model has '
            f'{_listed(classes)}. Rename them, or train on them: '
            f'MSG3D.from_checkpoint(..., classes=[...]) begins with what fits'
        )
    return Relabelled(dataset, classes, [number.get(name, -1) for name in own])


def labels_of(dataset: Any) -> np.ndarray:
    """The labels of a data set, -1 where one is not known; data sets that do not tell
    them are read."""
    labels = getattr(dataset, 'labels', None)
    if labels is None:
        labels = [-1 if clip.y is None else int(clip.y) for clip in dataset]
    return np.asarray(labels)


def _listed(names: Sequence[str]) -> str:
    shown = ', '.join(repr(printable(name, 60)) for name in names[:_SHOWN])
    return f'{shown}, ... ({len(names):,})' if len(names) > _SHOWN else shown
