import torch
from torch import Tensor
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_pad_persons')
class PadPersons(BaseTransform):
    r"""As many persons in every clip: zeros for those that lack, and those beyond are
    dropped (functional name: :obj:`skeleton_pad_persons`).

    Args:
        num_persons (int, optional): The number of persons. (default: :obj:`2`)
    """

    def __init__(self, num_persons: int = 2) -> None:
        self.num_persons = num_persons

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip with :obj:`num_persons` persons."""

        def pad(value: Tensor, more: int) -> Tensor:
            dim = -3 - more
            have = value.size(dim)
            if have == self.num_persons:
                return value
            if have > self.num_persons:
                return value.narrow(dim, 0, self.num_persons)
            shape = list(value.shape)
            shape[dim] = self.num_persons
            padded = value.new_zeros(shape)
            padded.narrow(dim, 0, have).copy_(value)
            return padded

        return data.at_joints(pad)

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.num_persons})'


@functional_transform('skeleton_random_person_order')
class RandomPersonOrder(BaseTransform):
    r"""Puts the persons of a clip in a random order, since who comes first seldom means
    anything (functional name: :obj:`skeleton_random_person_order`)."""

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, its persons in another order."""
        order = torch.randperm(data.x.size(-4))
        return data.at_joints(lambda value, more: value.index_select(-3 - more, order))
