import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_random_rotation')
class RandomRotation(BaseTransform):
    r"""Turns a 3D clip about the coordinate axes by random angles, uniform in
    :math:`[-\mathrm{degrees}, \mathrm{degrees}]` and the same for all frames
    (functional name: :obj:`skeleton_random_rotation`).

    Args:
        degrees (float): The largest angle, in degrees.
        axes (sequence of int, optional): The axes to turn about, one after the
            other: 0 is x, 1 is y, 2 is z. (default: :obj:`(0, 1, 2)`)
    """

    def __init__(self, degrees: float, axes: Sequence[int] = (0, 1, 2)) -> None:
        self.degrees = degrees
        self.axes = tuple(axes)

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, turned."""
        for axis in self.axes:
            angle = (2 * torch.rand(()).item() - 1) * math.radians(self.degrees)
            data.x = data.x @ rotation(axis, angle).to(data.x).t()
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.degrees}, axes={self.axes})'


def rotation(axis: int, angle: float) -> Tensor:
    """The rotation matrix about a coordinate axis; the angle in radians."""
    u, v = [other for other in range(3) if other != axis]
    sign = -1 if axis == 1 else 1  # z turns to x about y.
    matrix = torch.eye(3)
    matrix[u, u] = matrix[v, v] = math.cos(angle)
    matrix[u, v] = -sign * math.sin(angle)
    matrix[v, u] = sign * math.sin(angle)
    return matrix
