import torch
import torch.nn.functional as F
from torch import Tensor


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    r"""A linear map of the last dimension, :math:`(*, C)` to :math:`(*, C')`, as a
    :math:`1 \times 1` convolution in channels-last layout.

    The same numbers as :func:`torch.nn.functional.linear`. On a CPU the
    convolution is about twice as fast for the wide maps of MS-G3D, and the layout
    makes both of its permutations views.
    """
    out = F.conv2d(_as_image(x), weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.size(0))


def linear_backward(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of :func:`linear` to the features and to the map."""
    to_x, to_weight, _ = torch.ops.aten.convolution_backward(
        _as_image(grad),
        _as_image(x),
        weight[:, :, None, None],
        None,
        [1, 1],
        [0, 0],
        [1, 1],
        False,
        [0, 0],
        1,
        [True, True, False],
    )
    return to_x.permute(0, 2, 3, 1).reshape(x.shape), to_weight[:, :, 0, 0]


def _as_image(x: Tensor) -> Tensor:
    """``[*, C]`` seen as a channels-last ``[1, C, *, 1]``."""
    return x.reshape(1, -1, 1, x.size(-1)).permute(0, 3, 1, 2)
