import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.policy import convolves


def linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    r"""A linear map of the last dimension, :math:`(*, C)` to :math:`(*, C')`: the same
    numbers as :func:`torch.nn.functional.linear`, where that is faster as a
    :math:`1 \times 1` convolution in channels-last layout, both of whose permutations
    are views. The result is written to ``out``, without gradients, if that is given."""
    if not convolves(x):
        if out is None or bias is not None or not out.is_contiguous():
            y = F.linear(x, weight, bias)
            return y if out is None else out.copy_(y)
        torch.mm(x.flatten(0, -2), weight.t(), out=out.flatten(0, -2))
        return out
    y = F.conv2d(_as_image(x), weight[:, :, None, None], bias)
    y = y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.size(0))
    return y if out is None else out.copy_(y)


def linear_backward(
    grad: Tensor, x: Tensor, weight: Tensor, out: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The gradients of :func:`linear` to the features, in ``out`` if that is given, and
    to the map."""
    if not convolves(x):
        above, below = grad.flatten(0, -2), x.flatten(0, -2)
        to_x = x.new_empty(x.shape) if out is None else out
        torch.mm(above, weight, out=to_x.view(below.shape))
        return to_x, above.t() @ below
    to_x, to_weight, _ = torch.ops.aten.convolution_backward(
        _as_image(grad), _as_image(x), weight[:, :, None, None], None,
        [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, True, False],
    )  # fmt: skip
    to_x = to_x.permute(0, 2, 3, 1).reshape(x.shape)
    return to_x if out is None else out.copy_(to_x), to_weight[:, :, 0, 0]


def _as_image(x: Tensor) -> Tensor:
    """``[*, C]`` seen as a channels-last ``[1, C, *, 1]``."""
    return x.reshape(1, -1, 1, x.size(-1)).permute(0, 3, 1, 2)
