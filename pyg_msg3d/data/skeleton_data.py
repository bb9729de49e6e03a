from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_msg3d.data.errors import SkeletonDataError


class SkeletonData(Data):
    r"""One clip of moving skeletons: :obj:`x` of shape :math:`(M, T, V, C)`
    (persons, frames, joints, channels), the label :obj:`y` and the sample's
    :obj:`name`; where they are known, the joints' :obj:`score` of shape
    :math:`(M, T, V)` and the :obj:`image_size`, height and width in pixels.

    One static graph serves all clips, so it is kept by the model and not here. PyG's
    :class:`~torch_geometric.loader.DataLoader` stacks clips of equal length to
    :math:`(N, M, T, V, C)` and labels to :math:`(N)`.

    Args:
        x (Tensor): The joints.
        y (int, optional): The class, from 0.
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

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        # Clips are stacked on a new dimension, not joined along their persons.
        if key in ('x', 'score'):
            return None
        return super().__cat_dim__(key, value, *args, **kwargs)
