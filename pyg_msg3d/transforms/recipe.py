"""What published results did to their clips, by name."""

from dataclasses import dataclass

from torch_geometric.transforms import BaseTransform, Compose

from pyg_msg3d.skeletons import Skeleton
from pyg_msg3d.skeletons import skeleton as look_up
from pyg_msg3d.transforms.align import Align
from pyg_msg3d.transforms.centre import Centre
from pyg_msg3d.transforms.persons import PadPersons
from pyg_msg3d.transforms.pre_normalize_2d import PreNormalize2D
from pyg_msg3d.transforms.pre_normalize_3d import PreNormalize3D
from pyg_msg3d.transforms.replay import DropNullFrames, Replay
from pyg_msg3d.transforms.score_channel import ScoreChannel
from pyg_msg3d.transforms.streams import JointToBone, ToMotion
from pyg_msg3d.transforms.uniform_sample_frames import UniformSampleFrames

STREAMS = ('joint', 'bone', 'joint_motion', 'bone_motion')


@dataclass(frozen=True)
class Recipe:
    r"""A published way from a recording to what the model sees, in two parts: what is
    done once, when a data set is processed, and what is done whenever a clip is read.

    .. code-block:: python

        recipe = T.recipe('mmaction2')
        train = NTU60(root, transform=recipe.transform('ntu-rgb+d-mmaction'))

    Args:
        name (str): The name.
        persons (str): Who is in a clip, see :mod:`pyg_msg3d.data.persons`.
        num_frames (int): The frames of a clip.
    """

    name: str
    persons: str
    num_frames: int

    def pre_transform(self, dims: int = 3) -> BaseTransform:
        """What is done once, to clips of so many dimensions."""
        if self.name == 'mmaction2':
            return PreNormalize3D() if dims == 3 else PreNormalize2D()
        return Compose([DropNullFrames(), Align()])

    def transform(
        self,
        skeleton: str | Skeleton,
        stream: str = 'joint',
        train: bool = True,
        num_clips: int = 1,
        num_persons: int = 2,
    ) -> BaseTransform:
        r"""What is done whenever a clip is read.

        Args:
            skeleton (str or Skeleton): The skeleton, whose parents make bones.
            stream (str, optional): ``'joint'``, ``'bone'``, ``'joint_motion'`` or
                ``'bone_motion'``. (default: ``'joint'``)
            train (bool, optional): Sample frames at random, not as in testing. The
                recipe ``'official'`` samples none. (default: :obj:`True`)
            num_clips (int, optional): How many clips to sample of a recording in
                testing: 10 for MMAction2's published results. (default: :obj:`1`)
            num_persons (int, optional): The persons of a clip. (default: :obj:`2`)
        """
        if stream not in STREAMS:
            raise ValueError(
                f"'stream' must be one of {', '.join(STREAMS)} (got {stream!r})"
            )
        steps: list[BaseTransform] = []
        if self.name == 'official':
            if num_clips != 1:
                raise ValueError("The recipe 'official' has one clip of a recording")
            steps += [Replay(self.num_frames), Centre(1, per_frame=True)]
        if stream.startswith('bone'):
            steps.append(JointToBone(look_up(skeleton)))
        if stream.endswith('motion'):
            steps.append(ToMotion())
        if self.name == 'mmaction2':
            sample = UniformSampleFrames(self.num_frames, num_clips, test=not train)
            steps.append(sample)
        return Compose([*steps, ScoreChannel(), PadPersons(num_persons)])


_RECIPES = {
    'mmaction2': Recipe('mmaction2', persons='tracked', num_frames=100),
    'official': Recipe('official', persons='energy', num_frames=300),
}


def recipe(name: str) -> Recipe:
    r"""Looks a published recipe up by its name.

    ============= =========== ===================================== ================
    name          persons     once                                  at every reading
    ============= =========== ===================================== ================
    ``mmaction2`` ``tracked`` :class:`PreNormalize3D`, or 2D        100 frames by
                                                                    :class:`UniformSampleFrames`
    ``official``  ``energy``  :class:`DropNullFrames`,              300 frames by
                              :class:`Align`                        :class:`Replay`, then
                                                                    :class:`Centre` per frame
    ============= =========== ===================================== ================

    Published numbers depend on them: do not compare across recipes.
    """  # noqa: E501
    if name not in _RECIPES:
        raise ValueError(
            f"There is no recipe {name!r}; there are {', '.join(map(repr, _RECIPES))}"
        )
    return _RECIPES[name]
