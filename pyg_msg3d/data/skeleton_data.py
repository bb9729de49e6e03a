from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_msg3d.data.errors import SkeletonDataError, printable


class SkeletonData(Data):
    r"""One clip of moving skeletons: :obj:`x` of shape :math:`(M, T, V, C)`
    (persons, frames, joints, channels), the label :obj:`y` and the sample's
    :obj:`name`; where they are known, the joints' :obj:`score` of shape
    :math:`(M, T, V)` and the :obj:`image_size`, height and width in pixels.

    A joint that was not seen is zero, in :obj:`x` as in :obj:`score`, and stays so in
    all transforms that say nothing else.

    One static graph serves all clips, so it is kept by the model and not here; where
    PyG's functions are to find a graph, :class:`~pyg_msg3d.transforms.AddBones` gives
    a clip its bones. PyG's :class:`~torch_geometric.loader.DataLoader` stacks clips of
    equal length to :math:`(N, M, T, V, C)` and labels to :math:`(N)`. The nodes are the
    joints: :obj:`num_nodes` is :math:`V`, and of a batch :math:`N V`.

    Args:
        x (Tensor): The joints.
        y (int, optional): The class, from 0; -1 where it is not known.
        name (str, optional): What messages and score files call the sample.

    Raises:
        SkeletonDataError: If the joints are not four-dimensional.
    """

    def __init__(
        self,
        x: Tensor | None = None,
        y: int | Tensor | None = None,
        name: str = '',
        **kwargs: Any,
    ) -> None:
        if x is not None and x.dim() != 4:
            raise SkeletonDataError(
                f"Sample '{name}': expected joints of shape [persons, frames, joints, "
                f'channels] (got {list(x.shape)})'
            )
        if isinstance(y, int):
            y = torch.tensor([y])
        super().__init__(x=x, y=y, name=name, **kwargs)
        if x is not None:
            self.num_nodes = x.size(2)

    @property
    def seen(self) -> Tensor:
        """Which joints were seen: bool :math:`(M, T, V)`. In 2D, a score of zero says
        that one was not; in 3D it is zero itself."""
        seen = (self.x != 0).any(-1)
        if self.x.size(-1) == 2 and 'score' in self:
            seen = seen & (self.score != 0)
        return seen

    def check_one_clip(self) -> None:
        """Refuses several clips of a recording, whose frames are in another place.

        Raises:
            SkeletonDataError: If there are several.
        """
        if self.x.dim() != 4:
            raise SkeletonDataError(
                f"'{printable(self.name)}': expected one clip [persons, frames, "
                f'joints, channels] (got {list(self.x.shape)}); what makes several '
                f'clips of a recording comes last'
            )

    def at_joints(self, change: Callable[[Tensor, int], Tensor]) -> 'SkeletonData':
        """Changes everything that belongs to joints in the same way: whatever moves
        coordinates to other persons, frames or joints moves scores along.

        Args:
            change (callable): Gives a new tensor for one :math:`(M, T, V, *)` and the
                number of dimensions after the joints.
        """
        for key, more in (('x', 1), ('score', 0)):
            if key in self:
                self[key] = change(self[key], more)
        return self

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        # Clips are stacked on a new dimension, not joined along their persons.
        if key in ('x', 'score'):
            return None
        return super().__cat_dim__(key, value, *args, **kwargs)
