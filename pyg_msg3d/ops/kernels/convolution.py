r"""Products of windows with one full matrix, as a convolution over time: its channels
are the sources and targets, its image is frames times features, and output channel
:math:`i`, input channel :math:`j`, tap :math:`t` is :math:`A_{i, t S + j}`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.window import Window


def product(x: Tensor, matrix: Tensor, window: Window) -> Tensor:
    """``[n, T, S, C]`` and ``[S', tau S]`` to ``[n, T', S', C]``."""
    y = F.conv2d(_as_image(x), _as_kernel(matrix, window), None, *_settings(window))
    return y.transpose(1, 2).contiguous()


def backward(
    grad: Tensor, x: Tensor, matrix: Tensor, window: Window, needs_matrix: bool
) -> tuple[Tensor, Tensor | None]:
    """The gradients to the features and, if needed, to the matrix."""
    to_x, to_kernel, _ = torch.ops.aten.convolution_backward(
        _as_image(grad), _as_image(x), _as_kernel(matrix, window), None,
        *_settings(window), False, [0, 0], 1, [True, needs_matrix, False],
    )  # fmt: skip
    to_x = to_x.transpose(1, 2).contiguous()
    if not needs_matrix:
        return to_x, None
    return to_x, to_kernel.squeeze(-1).transpose(1, 2).flatten(1)


def _settings(window: Window) -> tuple[list[int], list[int], list[int]]:
    """Stride, padding and dilation."""
    return [window.stride, 1], [window.padding, 0], [window.dilation, 1]


def _as_image(x: Tensor) -> Tensor:
    """``[n, T, S, C]`` as a channels-last ``[n, S, T, C]``: one transposition within
    each frame, which the faster convolution more than pays for."""
    return x.transpose(2, 3).contiguous().permute(0, 3, 1, 2)


def _as_kernel(matrix: Tensor, window: Window) -> Tensor:
    """``[S', tau S]`` as the kernel ``[S', S, tau, 1]`` of that convolution."""
    taps = matrix.unflatten(1, (window.size, -1)).transpose(1, 2).unsqueeze(-1)
    return taps.contiguous()
