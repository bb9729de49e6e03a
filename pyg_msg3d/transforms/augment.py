"""Random changes of a clip. Joints of zeros, which were not seen, stay zero."""

from collections.abc import Sequence

import torch
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.skeletons import Skeleton
from pyg_msg3d.skeletons import skeleton as look_up


@functional_transform('skeleton_random_scale')
class RandomScale(BaseTransform):
    r"""Scales each axis by a factor of its own, uniform in
    :math:`[1 - \mathrm{scale}, 1 + \mathrm{scale}]` (functional name:
    :obj:`skeleton_random_scale`).

    Args:
        scale (float or sequence of float, optional): The largest change, of all axes
            or of each. (default: :obj:`0.2`)
    """

    def __init__(self, scale: float | Sequence[float] = 0.2) -> None:
        self.scale = scale

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, scaled."""
        largest = torch.as_tensor(self.scale, dtype=data.x.dtype)
        random = 2 * torch.rand(data.x.size(-1), dtype=data.x.dtype) - 1
        data.x = data.x * (1 + random * largest)
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.scale})'


@functional_transform('skeleton_random_shear')
class RandomShear(BaseTransform):
    r"""Shears a clip: to each axis are added the others, times numbers uniform in
    :math:`[-\mathrm{shear}, \mathrm{shear}]` (functional name:
    :obj:`skeleton_random_shear`).

    Args:
        shear (float, optional): The largest number. (default: :obj:`0.5`)
    """

    def __init__(self, shear: float = 0.5) -> None:
        self.shear = shear

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, sheared."""
        size = data.x.size(-1)
        matrix = (2 * torch.rand(size, size, dtype=data.x.dtype) - 1) * self.shear
        data.x = data.x @ matrix.fill_diagonal_(1)
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.shear})'


@functional_transform('skeleton_random_noise')
class RandomNoise(BaseTransform):
    r"""Adds normal noise to every coordinate (functional name:
    :obj:`skeleton_random_noise`).

    Args:
        std (float, optional): Its standard deviation, in the clip's units.
            (default: :obj:`0.01`)
    """

    def __init__(self, std: float = 0.01) -> None:
        self.std = std

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip with noise."""
        noise = self.std * torch.randn_like(data.x)
        data.x = data.x + noise * data.seen.unsqueeze(-1)
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.std})'


@functional_transform('skeleton_joint_dropout')
class JointDropout(BaseTransform):
    r"""Sets joints of a person to zero for the whole clip, their scores too, as if they
    had been out of sight (functional name: :obj:`skeleton_joint_dropout`).

    Args:
        p (float, optional): The probability, of each joint. (default: :obj:`0.1`)
    """

    def __init__(self, p: float = 0.1) -> None:
        self.p = p

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip without those joints."""
        shape = (*data.x.shape[:-3], 1, data.x.size(-2))
        keep = torch.rand(shape) >= self.p
        return data.at_joints(
            lambda value, more: value * keep.view(*keep.shape, *[1] * more)
        )

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.p})'


@functional_transform('skeleton_random_mirror')
class RandomMirror(BaseTransform):
    r"""Mirrors a clip: left and right joints change places, and an axis its sign
    (functional name: :obj:`skeleton_random_mirror`). Clips must be centred on that
    axis, as normalised ones are.

    Args:
        skeleton (str or Skeleton): Whose :obj:`pairs` change places.
        p (float, optional): The probability. (default: :obj:`0.5`)
        axis (int, optional): The axis from side to side. (default: :obj:`0`)

    Raises:
        ValueError: If the skeleton names no pairs.
    """

    def __init__(self, skeleton: str | Skeleton, p: float = 0.5, axis: int = 0) -> None:
        self.skeleton = look_up(skeleton)
        if not self.skeleton.pairs:
            raise ValueError(
                f'Skeleton {self.skeleton.name!r} names no pairs of left and right '
                f'joints; pass them to Skeleton(..., pairs=...)'
            )
        self.p = p
        self.axis = axis
        order = list(range(self.skeleton.num_joints))
        for left, right in self.skeleton.pairs:
            order[left], order[right] = right, left
        self._order = torch.tensor(order)

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, or its mirror image."""
        if torch.rand(()) >= self.p:
            return data
        if data.x.size(-2) != len(self._order):
            raise SkeletonDataError(
                f"'{data.name}' has {data.x.size(-2)} joints, but skeleton "
                f'{self.skeleton.name!r} has {len(self._order)}'
            )
        data.at_joints(lambda value, more: value.index_select(-1 - more, self._order))
        data.x[..., self.axis] *= -1
        return data

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}({self.skeleton.name!r}, p={self.p}, '
            f'axis={self.axis})'
        )
