"""One model, and what is done to recordings before it sees them."""

from collections.abc import Callable, Sequence
from os import PathLike

import torch
from torch import Tensor

import pyg_msg3d.transforms as T
from pyg_msg3d.data import Metadata, SkeletonData, SkeletonDataError
from pyg_msg3d.data.errors import printable, say_assumed
from pyg_msg3d.datasets import Preprocessing
from pyg_msg3d.io import SkeletonSequence
from pyg_msg3d.io.ntu import class_names
from pyg_msg3d.models import MSG3D
from pyg_msg3d.training.predict import as_input, scores_of

_NTU = ('ntu-rgb+d', 'ntu-rgb+d-mmaction', 'coco-17')
_IN_2D = ('coco-17', 'openpose-18')


class Stream:
    r"""A trained model as recordings meet it.

    Args:
        source (str, path or MSG3D): A checkpoint, or a model.
        name (str): What messages call it.
        classes (sequence of str, optional): The names of its classes, where the
            checkpoint has none.
        transform (callable, optional): What is done to clips, where the checkpoint does
            not tell.
        persons (str, optional): Who is in a clip, where it does not.
        stream (str, optional): The stream of published weights. (default: ``'joint'``)
        pooling (str, optional): See :class:`~pyg_msg3d.MSG3D`.
        device (str, optional): Where it computes.
    """

    def __init__(
        self,
        source: str | PathLike | MSG3D,
        name: str,
        classes: Sequence[str] | None = None,
        transform: Callable[[SkeletonData], SkeletonData] | None = None,
        persons: str | None = None,
        stream: str = 'joint',
        pooling: str | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        model = source if isinstance(source, MSG3D) else MSG3D.from_checkpoint(source)
        if pooling is not None and pooling != model.pooling:
            state = model.state_dict()
            changed = MSG3D(
                **{**model.arguments, 'skeleton': model.skeleton, 'pooling': pooling}
            )
            changed.load_state_dict(state)
            changed.metadata = model.metadata
            model = changed
        self.model = model.to(device).eval()
        self.name = name
        metadata = model.metadata
        if transform is not None:
            self.preprocessing = Preprocessing(
                persons or metadata.persons, transform, metadata.recipe
            )
        else:
            metadata = self._completed(metadata, stream)
            try:
                self.preprocessing = Preprocessing.of(metadata)
            except ValueError as error:
                raise ValueError(
                    f'What is done to recordings before {name} sees them is not known: '
                    f'{error}. Pass it as transform=..., as it was in training'
                ) from error
        self.average = metadata.average
        self.classes = self._names(classes)
        self._fast = self.model.fused()

    def _completed(self, metadata: Metadata, stream: str) -> Metadata:
        """What published weights were trained on, by whose they are."""
        if metadata.steps is not None or not metadata.recipe:
            return metadata
        recipe, bones = T.recipe(metadata.recipe), self.model.skeleton
        dims = 2 if bones.name in _IN_2D else min(3, self.model.in_channels)
        say_assumed(
            f'{self.name} does not say how its clips were made; as published by '
            f'{metadata.recipe!r} for {stream}s in {dims}D is assumed, transform=... '
            f'if it was otherwise'
        )
        transform = recipe.transform(
            bones,
            stream,
            dims,
            train=False,
            num_clips=recipe.num_test_clips,
            num_persons=self.model.num_persons,
        )
        steps = (*T.declare(recipe.pre_transform(dims)), *T.declare(transform))
        return Metadata(
            metadata.classes,
            recipe.persons(dims),
            steps,
            stream,
            metadata.recipe,
            recipe.average,
        )

    def _names(self, given: Sequence[str] | None) -> tuple[str, ...]:
        number = self.model.num_classes
        known = tuple(given or self.model.metadata.classes)
        if known and len(known) != number:
            raise ValueError(
                f'{self.name} has {number} classes, but {len(known)} names were given'
            )
        if not known and number in (60, 120) and self.model.skeleton.name in _NTU:
            say_assumed(
                f'{self.name} has {number} classes without names; those of NTU RGB+D '
                f'are assumed, classes=[...] if they are others'
            )
            return class_names()[:number]
        return known or tuple(map(str, range(number)))

    def clip(self, sequence: SkeletonSequence, persons: str | None = None) -> Tensor:
        """The clip, or the clips, that the model takes of a recording.

        Raises:
            SkeletonDataError: If there is nobody in it, or it does not fit the model.
        """
        made = self.preprocessing
        if persons is not None:
            made = Preprocessing(persons, made.transform, made.recipe)
        x = made(sequence).x
        model = self.model
        expected = model.num_persons, model.skeleton.num_joints, model.in_channels
        got = x.size(-4), x.size(-2), x.size(-1)
        if got != expected:
            words = ('persons', 'joints', 'channels of a joint')
            different = ', '.join(
                f'{a} {word} instead of {b}'
                for a, b, word in zip(got, expected, words, strict=True)
                if a != b
            )
            raise SkeletonDataError(
                f"'{printable(sequence.path or sequence.name)}' does not fit "
                f'{self.name}: it has {different}'
            )
        return x

    @torch.no_grad()
    def probabilities(self, clips: Sequence[Tensor]) -> Tensor:
        """Those of all classes ``[clips, classes]``, in float64."""
        x = as_input(torch.stack([*clips]), self.model)
        scores = scores_of(self._fast, x, self.average).double().cpu()
        return scores if self.average == 'probabilities' else scores.softmax(1)

    def joints_that_mattered(self, clip: Tensor, label: int) -> Tensor:
        r"""How much each joint counts for a class, in [0, 1] ``[V]``: the gradient of
        its logit times the coordinates, summed over persons, frames and channels,
        relative to the largest."""
        x = as_input(clip if clip.dim() == 5 else clip.unsqueeze(0), self.model)
        x = x.clone().requires_grad_(True)
        logit = self.model(x)[:, label].sum()
        (gradient,) = torch.autograd.grad(logit, x)
        share = (gradient * x).detach().abs().sum(dim=(0, 1, 2, 4)).cpu()
        return share / share.max().clamp(min=1e-12)
