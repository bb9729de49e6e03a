from torch import Tensor
from torch.nn import Conv2d

from pyg_msg3d.ops import linear


class Pointwise(Conv2d):
    r"""A linear map of the channels of :math:`(B, C, T, V)`, channels last in memory:
    a :math:`1 \times 1` convolution, computed as whatever is faster."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps each joint; shapes as above."""
        out = linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)
        return out.permute(0, 3, 1, 2)
