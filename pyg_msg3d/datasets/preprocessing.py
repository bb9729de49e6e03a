"""What is done to a recording before a model sees it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pyg_msg3d.data import Metadata, SkeletonData, SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.datasets.classes import class_names_of
from pyg_msg3d.datasets.persons import PERSON_RULES, select_persons
from pyg_msg3d.io import SkeletonSequence
from pyg_msg3d.transforms import build, declare


@dataclass(frozen=True)
class Preprocessing:
    r"""From a recording to the clip that a model takes: who is in it, and the
    transforms of testing.

    Args:
        persons (str): The name of a rule of :func:`select_persons`.
        transform (callable): What is done to the clip.
        recipe (str, optional): The recipe; those of published results see no scores in
            three dimensions.
    """

    persons: str
    transform: Callable[[SkeletonData], SkeletonData]
    recipe: str = ''

    @classmethod
    def of(cls, metadata: Metadata) -> 'Preprocessing':
        """That which a checkpoint tells.

        Raises:
            ValueError: If it tells none, or names transforms that do not exist.
        """
        if metadata.steps is None:
            raise ValueError('there is no word of how clips are made')
        if metadata.persons not in PERSON_RULES:
            raise ValueError(
                f'there is no rule {metadata.persons!r} of who is in a clip'
            )
        return cls(metadata.persons, build(metadata.steps), metadata.recipe)

    def __call__(self, sequence: SkeletonSequence) -> SkeletonData:
        """The clip of a recording.

        Raises:
            SkeletonDataError: If there is nobody in it, or a transform refuses it.
        """
        chosen = select_persons(sequence, self.persons)
        try:
            return self.transform(clip_of(chosen, self.recipe))
        except (IndexError, RuntimeError) as error:
            where = sequence.path or printable(sequence.name)
            raise SkeletonDataError(
                f"'{where}' does not fit what is to be done to it: {error}"
            ) from error


def clip_of(sequence: SkeletonSequence, recipe: str) -> SkeletonData:
    """A recording of persons as a clip, before anything is done to it."""
    data = SkeletonData(torch.from_numpy(sequence.keypoints), name=sequence.name)
    # Of 3D skeletons, scores are no part of what published models see.
    if sequence.score is not None and (sequence.keypoints.shape[3] == 2 or not recipe):
        data.score = torch.from_numpy(sequence.score)
    if sequence.image_size is not None:
        data.image_size = sequence.image_size
    return data


def metadata_of(
    dataset: Any, classes: Sequence[str] = (), stream: str = '', average: str = 'logits'
) -> Metadata:
    r"""What a checkpoint is to know of the data that a model is tested on.

    Args:
        dataset (Dataset): The test clips, with the transforms of testing.
        classes (sequence of str, optional): The names of the model's classes; by
            default those of the data.
        stream (str, optional): The stream; by default what the transforms make.
        average (str, optional): See :class:`~pyg_msg3d.data.Metadata`.
    """
    classes = tuple(classes) or class_names_of(dataset)
    while hasattr(dataset, 'dataset'):  # A subset, or one with other labels.
        dataset = dataset.dataset
    recipe = getattr(dataset, 'recipe', None)
    persons, steps = getattr(dataset, 'persons', None), None
    before = getattr(dataset, 'pre_transform', None)
    if recipe is not None:
        dims = dataset.store.shape[1]
        persons = persons or recipe.persons(dims)
        before = before or recipe.pre_transform(dims)
    if hasattr(dataset, 'transform'):
        try:
            steps = (*declare(before), *declare(dataset.transform))
        except ValueError:
            steps = None  # What is not ours cannot be told.
    made = {step['name'] for step in steps or ()}
    found = 'bone' if 'JointToBone' in made else 'joint'
    if 'ToMotion' in made:
        found += '_motion'
    if 'AppendMotion' in made:
        found += '_and_motion'
    return Metadata(
        classes,
        persons or 'all',
        steps,
        stream or found,
        '' if recipe is None else recipe.name,
        average,
    )
