"""What published results did to their clips, by name."""

from abc import ABC, abstractmethod

from torch_geometric.transforms import BaseTransform, Compose

from pyg_msg3d.skeletons import Skeleton
from pyg_msg3d.transforms.align import Align
from pyg_msg3d.transforms.centre import Centre
from pyg_msg3d.transforms.pad_frames import PadFrames
from pyg_msg3d.transforms.persons import PadPersons
from pyg_msg3d.transforms.pre_normalize_2d import PreNormalize2D
from pyg_msg3d.transforms.pre_normalize_3d import PreNormalize3D
from pyg_msg3d.transforms.pre_normalize_kinetics import PreNormalizeKinetics
from pyg_msg3d.transforms.replay import DropNullFrames, Replay
from pyg_msg3d.transforms.score_channel import ScoreChannel
from pyg_msg3d.transforms.streams import JointToBone, ToMotion
from pyg_msg3d.transforms.uniform_sample_frames import UniformSampleFrames

STREAMS = ('joint', 'bone', 'joint_motion', 'bone_motion')


class Recipe(ABC):
    r"""A published way from recordings to what the model sees: who is in a clip, what
    is done to it once, when a data set is processed, and what whenever it is read.

    .. code-block:: python

        recipe = T.recipe('mmaction2')
        train = NTU60(root, transform=recipe.transform('ntu-rgb+d-mmaction'))
    """

    name: str
    #: How many clips of a recording are tested, and what of their scores is averaged.
    num_test_clips: int
    average: str

    @abstractmethod
    def persons(self, dims: int) -> str:
        """Who is in a clip of so many dimensions: the name of a rule of
        :func:`pyg_msg3d.datasets.select_persons`."""

    @abstractmethod
    def pre_transform(self, dims: int) -> BaseTransform:
        """What is done once to a clip of so many dimensions."""

    @abstractmethod
    def frames(
        self, dims: int, train: bool, num_clips: int
    ) -> tuple[list[BaseTransform], list[BaseTransform]]:
        """What makes clips equally long, before and after a stream is made of them."""

    def transform(
        self,
        skeleton: str | Skeleton,
        stream: str = 'joint',
        dims: int = 3,
        train: bool = True,
        num_clips: int = 1,
        num_persons: int = 2,
    ) -> BaseTransform:
        r"""What is done whenever a clip is read.

        Args:
            skeleton (str or Skeleton): The skeleton, whose parents make bones.
            stream (str, optional): ``'joint'``, ``'bone'``, ``'joint_motion'`` or
                ``'bone_motion'``. (default: ``'joint'``)
            dims (int, optional): The dimensions of the coordinates. (default: :obj:`3`)
            train (bool, optional): Sample frames at random, not as for testing.
                (default: :obj:`True`)
            num_clips (int, optional): How many clips to sample of a recording:
                :obj:`10` for MMAction2's published results. (default: :obj:`1`)
            num_persons (int, optional): The persons of a clip. (default: :obj:`2`)
        """
        if stream not in STREAMS:
            raise ValueError(
                f"'stream' must be one of {', '.join(STREAMS)} (got {stream!r})"
            )
        before, steps = self.frames(dims, train, num_clips)
        if stream.endswith('motion'):
            steps = [ToMotion(), *steps]
        if stream.startswith('bone'):
            steps = [JointToBone(skeleton), *steps]
        return Compose([*before, *steps, ScoreChannel(), PadPersons(num_persons)])


class _MMAction2(Recipe):
    name = 'mmaction2'
    num_frames = 100
    num_test_clips, average = 10, 'probabilities'

    def persons(self, dims: int) -> str:
        return 'tracked'

    def pre_transform(self, dims: int) -> BaseTransform:
        return PreNormalize3D() if dims == 3 else PreNormalize2D(keep_zeros=False)

    def frames(
        self, dims: int, train: bool, num_clips: int
    ) -> tuple[list[BaseTransform], list[BaseTransform]]:
        sample = UniformSampleFrames(self.num_frames, num_clips, train=train)
        return [], [sample]


class _Official(Recipe):
    name = 'official'
    num_frames = 300
    num_test_clips, average = 1, 'logits'

    def persons(self, dims: int) -> str:
        return 'energy' if dims == 3 else 'score'

    def pre_transform(self, dims: int) -> BaseTransform:
        if dims == 2:
            # The authors leave the first frame empty, as the files count from 1.
            return Compose([PreNormalizeKinetics(), PadFrames(before=1)])
        return Compose([DropNullFrames(), Align()])

    def frames(
        self, dims: int, train: bool, num_clips: int
    ) -> tuple[list[BaseTransform], list[BaseTransform]]:
        if num_clips != 1:
            raise ValueError(
                f"The recipe 'official' makes one clip of a recording (got num_clips="
                f'{num_clips})'
            )
        if dims == 2:
            return [PadFrames(self.num_frames)], []
        return [Replay(self.num_frames), Centre(1, per_frame=True)], []


_RECIPES: dict[str, Recipe] = {r.name: r for r in (_MMAction2(), _Official())}


def recipe(name: str) -> Recipe:
    r"""Looks a published recipe up by its name. Numbers depend on the recipe: compare
    none across them.

    ``'mmaction2'``, also PYSKL's: persons by ``'tracked'``; once,
    :class:`PreNormalize3D` or :class:`PreNormalize2D`; whenever a clip is read, 100
    frames by :class:`UniformSampleFrames`.

    ``'official'``, that of MS-G3D's authors: persons by ``'energy'``; once,
    :class:`DropNullFrames` and :class:`Align`; whenever a clip is read, 300 frames by
    :class:`Replay`, each centred by :class:`Centre`. In 2D, for Kinetics-skeleton:
    persons by ``'score'``; :class:`PreNormalizeKinetics`; 300 frames by
    :class:`PadFrames`.
    """
    if name not in _RECIPES:
        raise ValueError(
            f'There is no recipe {name!r}; there are {", ".join(map(repr, _RECIPES))}'
        )
    return _RECIPES[name]
