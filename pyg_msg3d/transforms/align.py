import torch
from torch import Tensor
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_align')
class Align(BaseTransform):
    r"""Turns a 3D clip so that two bones of the first person, in the first frame in
    which it is there, are parallel to axes: first the one from ``z_bone[0]`` to
    ``z_bone[1]``, the spine, to :math:`z`, then, keeping that as far as it goes, the
    one from ``x_bone[1]`` to ``x_bone[0]``, the shoulders, to :math:`x` (functional
    name: :obj:`skeleton_align`).

    As in MS-G3D's ``data_gen/preprocess.py``; the defaults are NTU RGB+D's joints.

    Args:
        z_bone (tuple[int, int] or None, optional): Bottom and top of the spine.
            (default: :obj:`(0, 1)`)
        x_bone (tuple[int, int] or None, optional): Right and left shoulder.
            (default: :obj:`(8, 4)`)
    """

    def __init__(
        self,
        z_bone: tuple[int, int] | None = (0, 1),
        x_bone: tuple[int, int] | None = (8, 4),
    ) -> None:
        self.z_bone = z_bone
        self.x_bone = x_bone

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, turned."""
        data.check_one_clip()
        there = data.seen.any(-1)  # [persons, frames]
        if not there.any():
            return data
        person = int(there.any(1).int().argmax())
        frame = int(there[person].int().argmax())
        x = data.x.double()
        if self.z_bone is not None:
            bottom, top = x[person, frame, list(self.z_bone)]
            x = x @ rotation_onto(top - bottom, axis=2).t()
        if self.x_bone is not None:
            right, left = x[person, frame, list(self.x_bone)]
            x = x @ rotation_onto(right - left, axis=0).t()
        data.x = x.to(data.x.dtype)
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(z_bone={self.z_bone}, x_bone={self.x_bone})'


def rotation_onto(vector: Tensor, axis: int) -> Tensor:
    """The rotation that turns a vector to a coordinate axis by the shortest way; none
    at all for a vector of zero and for the two directions of the axis itself."""
    target = torch.zeros(3, dtype=vector.dtype)
    target[axis] = 1
    normal = torch.linalg.cross(vector, target)
    eye = torch.eye(3, dtype=vector.dtype)
    if normal.abs().sum() < 1e-6 or vector.abs().sum() < 1e-6:
        return eye
    cosine = (vector[axis] / vector.norm()).clamp(-1, 1)
    angle = torch.acos(cosine)
    if angle < 1e-6:
        return eye
    a, b, c = (normal / normal.norm()).tolist()
    cross = torch.tensor([[0, -c, b], [c, 0, -a], [-b, a, 0]], dtype=vector.dtype)
    return eye + angle.sin() * cross + (1 - cosine) * cross @ cross  # Rodrigues
