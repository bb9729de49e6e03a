from torch import Tensor
from torch_geometric.nn import inits
from torch_geometric.nn.dense.linear import Linear, is_uninitialized_parameter


class ScaleLinear(Linear):
    r"""The linear maps :math:`\mathbf{\Theta}_{(k)}` of all :math:`K` scales.

    The weight :math:`(K C', C)` holds one map below the other.

    Args:
        in_channels (int): Channels of a node; :obj:`-1` reads them off the first
            input.
        out_channels (int): Channels of the result.
        num_scales (int): The number of scales :math:`K`.

    Shapes:
        - **input:** :math:`(*, C)`
        - **output:** :math:`(*, K C')`
    """

    def __init__(self, in_channels: int, out_channels: int, num_scales: int) -> None:
        self.num_scales = num_scales
        super().__init__(in_channels, num_scales * out_channels, bias=False)

    def reset_parameters(self) -> None:
        # All scales add up to one output, so its fan-in is that of all of them.
        if self.in_channels > 0:
            inits.uniform(self.num_scales * self.in_channels, self.weight)

    def materialize(self, x: Tensor) -> None:
        """Reads the channels off the first input, if they were left open."""
        if is_uninitialized_parameter(self.weight):
            self.initialize_parameters(self, (x,))

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}({self.in_channels}, '
            f'{self.out_channels // self.num_scales}, num_scales={self.num_scales})'
        )
