"""How clips are made of a user's own recordings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch_geometric.transforms import BaseTransform

import pyg_msg3d.transforms as T
from pyg_msg3d.datasets import SkeletonFolder
from pyg_msg3d.described import described
from pyg_msg3d.skeletons import Skeleton

# Augmentation for fewer clips than this.
_FEW = 3000
_MOST_PERSONS = 2
_AUGMENTATIONS = ('rotate', 'scale', 'mirror', 'dropout', 'noise')
# Mirrored, a wave to the left is one to the right: only on demand.
_BY_DEFAULT = ('rotate', 'scale', 'noise')


@dataclass(frozen=True)
class Clips:
    """How clips are made of recordings."""

    frames: int = described(64, 'of a clip, sampled from the whole of a recording')
    persons: int | None = described(
        None, 'in a clip; by default as many as there are, at most 2'
    )
    stream: Literal[
        'auto', 'joint', 'bone', 'joint_motion', 'bone_motion', 'joint_and_motion'
    ] = described(
        'auto',
        f'what of the joints the model sees; auto: joint_and_motion for fewer than '
        f'{_FEW} clips, else joint; with --init-from as it has been',
    )
    augment: str = described(
        'auto',
        'vary training clips at random, of rotate,scale,mirror,dropout,noise; auto: '
        f'rotate,scale,noise for fewer than {_FEW} clips; or none',
    )
    fill_gaps: int = described(
        0, 'fill gaps in the tracks of joints of up to so many frames'
    )
    smooth: float = described(
        0.0, 'smooth tracks by a standard deviation of so many frames'
    )

    def __post_init__(self) -> None:
        unknown = set(self.augment.split(',')) - {*_AUGMENTATIONS, 'auto', 'none'}
        if unknown:
            raise ValueError(
                f"'augment' must be 'auto', 'none' or some of "
                f'{", ".join(_AUGMENTATIONS)} with commas between them (got '
                f'{self.augment!r})'
            )

    def augmentations(self, num_clips: int) -> tuple[str, ...]:
        """Those of so many training clips."""
        if self.augment == 'auto':
            return _BY_DEFAULT if num_clips < _FEW else ()
        return tuple(name for name in self.augment.split(',') if name != 'none')

    def what(self, num_clips: int) -> str:
        """The stream of so many training clips."""
        if self.stream == 'auto':
            return 'joint_and_motion' if num_clips < _FEW else 'joint'
        return self.stream

    def num_persons(self, data: SkeletonFolder) -> int:
        """The persons of a clip."""
        if self.persons is not None:
            return self.persons
        return int(min(_MOST_PERSONS, data.store.num_persons.max()))

    def transform(
        self,
        skeleton: Skeleton,
        dims: int,
        image_size: tuple[int, int] | None,
        in_image: bool,
        persons: int,
        stream: str,
        augmentations: tuple[str, ...] = (),
        train: bool = False,
    ) -> BaseTransform:
        """What is done to a clip of so many dimensions, in training or in testing.

        Skeletons are centred on the first frame with somebody in it and scaled to one
        size; 2D key points whose image's size is known (:obj:`in_image`), to the image
        instead: clips that do not tell theirs are of :obj:`image_size`, or refused.
        """
        steps: list[Any] = []
        if self.fill_gaps:
            steps.append(T.FillGaps(self.fill_gaps))
        if self.smooth:
            steps.append(T.Smooth(self.smooth))
        if dims == 2 and in_image:
            steps.append(T.PreNormalize2D(image_size))
        else:
            steps += [T.Centre(skeleton.centre), T.UnitScale()]
        steps += [_augmentation(name, skeleton, dims) for name in augmentations]
        if stream.startswith('bone'):
            steps.append(T.JointToBone(skeleton))
        if stream.endswith('_motion') and stream != 'joint_and_motion':
            steps.append(T.ToMotion())
        if stream == 'joint_and_motion':
            steps.append(T.AppendMotion())
            if augmentations:
                steps.append(T.ChannelDropout(dims))
        sample = T.UniformSampleFrames(self.frames, train=train)
        return T.Compose([*steps, sample, T.ScoreChannel(), T.PadPersons(persons)])


def _augmentation(name: str, skeleton: Skeleton, dims: int) -> BaseTransform:
    if name == 'rotate':
        return T.RandomRotation(20) if dims == 3 else T.RandomShear(0.15)
    if name == 'scale':
        return T.RandomScale(0.15)
    if name == 'mirror':
        return T.RandomMirror(skeleton)
    if name == 'dropout':
        return T.JointDropout(0.05)
    return T.RandomNoise(0.02)


def place_of(data: Path, run_dir: Path) -> dict[str, Any]:
    """Where a data set's clips are processed: in its folder, or for a single file in
    that of the run."""
    if data.is_dir():
        return {'root': data}
    return {'root': run_dir / 'clips', 'raw': data}
