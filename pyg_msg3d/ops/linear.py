import torch.nn.functional as F
from torch import Tensor


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    r"""A linear map of the last dimension, :math:`(*, C)` to :math:`(*, C')`, as a
    :math:`1 \times 1` convolution in channels-last layout.

    The same numbers as :func:`torch.nn.functional.linear`. On a CPU the
    convolution is about twice as fast for the wide maps of MS-G3D, and the layout
    makes both of its permutations views.
    """
    rows = x.reshape(1, -1, 1, x.size(-1)).permute(0, 3, 1, 2)
    out = F.conv2d(rows, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.size(0))
