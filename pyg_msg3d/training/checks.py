"""Whether a model and data fit each other, before anything is trained."""

from contextlib import suppress
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.datasets.classes import labels_of
from pyg_msg3d.models import MSG3D


def check_fit(model: MSG3D, dataset: Any, what: str, labelled: bool = True) -> None:
    r"""Refuses data that a model cannot take.

    Args:
        model (MSG3D): The model.
        dataset (Dataset): The clips, as the model gets them.
        what (str): What messages call them.
        labelled (bool, optional): Whether all clips need labels. (default: :obj:`True`)

    Raises:
        SkeletonDataError: If there are no clips, or they have other persons, joints or
            channels than the model, or a label is none of its classes.
    """
    if len(dataset) == 0:
        raise SkeletonDataError(f'The {what} data has no clips')
    shape = dataset[0].x.shape  # [M, T, V, C], or of several clips with one more.
    skeleton = model.skeleton
    for name, got, expected in (
        ('joints', shape[-2], skeleton.num_joints),
        ('channels of a joint', shape[-1], model.in_channels),
        ('persons in a clip', shape[-4], model.num_persons),
    ):
        if got != expected:
            hint = {
                'joints': f'Its skeleton is {skeleton.name!r}; choose the one of the '
                f'data',
                'channels of a joint': 'Key points in 2D have x, y and a score or not, '
                'those in 3D x, y, z',
                'persons in a clip': 'T.PadPersons(n) makes clips of n persons',
            }[name]
            raise SkeletonDataError(
                f'The {what} data has {got} {name}, but the model takes {expected}. '
                f'{hint}'
            )
    bones = skeleton
    with suppress(SkeletonDataError):  # Where data does not tell, the model does.
        bones = getattr(dataset, 'skeleton', skeleton)
    if not bones.edge_index.equal(skeleton.edge_index):
        raise SkeletonDataError(
            f"The {what} data's skeleton is {bones.name!r}, but the model's is "
            f'{skeleton.name!r}, which has other bones'
        )
    labels = labels_of(dataset)
    unknown = np.flatnonzero(labels < 0)
    if len(unknown) and labelled:
        raise SkeletonDataError(
            f'Of the {what} data, {len(unknown)} of {len(labels)} clips have no label, '
            f'such as {dataset[int(unknown[0])].name!r}; such clips can be predicted '
            f'alone'
        )
    bad = np.flatnonzero(labels >= model.num_classes)
    if len(bad):
        index = int(bad[0])
        raise SkeletonDataError(
            f'The {what} data has label {labels[index]} (sample '
            f'{dataset[index].name!r}), but the model has {model.num_classes} classes, '
            f'labels 0 to {model.num_classes - 1}'
        )
