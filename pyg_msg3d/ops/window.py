from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops.policy import (
    WINDOWS_AT_A_TIME,
    is_batched,
    is_exported,
    wants_definition,
)


class Window(NamedTuple):
    r"""A temporal window of :math:`\tau` frames, :math:`d` apart, moved on by
    :math:`s` frames: section 3.3 of the `"Disentangling and Unifying Graph
    Convolutions for Skeleton-Based Action Recognition"
    <https://arxiv.org/abs/2003.14111>`_ paper. Clips are padded with zero frames,
    :math:`p = \lfloor (\tau - 1) d / 2 \rfloor` at each end, so that an odd window
    is centred on its frame.
    """

    size: int
    stride: int = 1
    dilation: int = 1

    @property
    def span(self) -> int:
        """The frames from a window's first to its last, both counted."""
        return (self.size - 1) * self.dilation + 1

    @property
    def padding(self) -> int:
        """The zero frames before and after a clip."""
        return (self.span - 1) // 2

    def count(self, num_frames: int) -> int:
        """The number of windows over a clip of ``num_frames`` frames."""
        return (num_frames + 2 * self.padding - self.span) // self.stride + 1

    def tap(
        self, slot: int, num_frames: int, windows: slice | None = None
    ) -> tuple[slice, slice]:
        """The windows, of all or of some, whose frame ``slot`` lies within the clip,
        and these frames, one for each such window."""
        windows = slice(0, self.count(num_frames)) if windows is None else windows
        offset = slot * self.dilation - self.padding
        first = max(windows.start, -(offset // self.stride))
        end = min(windows.stop, (num_frames - 1 - offset) // self.stride + 1)
        end = max(first, end)
        begin = first * self.stride + offset
        stop = begin + (end - first) * self.stride
        return slice(first, end), slice(begin, stop, self.stride)

    def frames(self, windows: slice, num_frames: int) -> slice:
        """The frames of a clip that some windows have between them."""
        first = windows.start * self.stride - self.padding
        end = (windows.stop - 1) * self.stride - self.padding + self.span
        return slice(max(first, 0), min(end, num_frames))

    def matrix(self, windows: slice, num_frames: int, like: Tensor) -> Tensor:
        """The matrix that is one where a window, of some, has a frame, of those that
        they have between them."""
        frames, device = self.frames(windows, num_frames), like.device
        window = torch.arange(windows.start, windows.stop, device=device).unsqueeze(1)
        frame = torch.arange(frames.start, frames.stop, device=device)
        offset = frame - (window * self.stride - self.padding)
        inside = (offset >= 0) & (offset < self.span) & (offset % self.dilation == 0)
        return inside.to(like.dtype)

    def slices(self, x: Tensor) -> list[Tensor]:
        r"""The frames of all windows, slot by slot: :math:`\tau` times
        :math:`(*, T', S, C)` of :math:`(*, T, S, C)`, zero beyond a clip."""
        p = self.padding
        padded = F.pad(x, (0, 0, 0, 0, p, p)) if p else x
        length = padded.size(-3) - self.span + 1
        # Cut before frames are left out, so that exports can tell how many there are.
        parts = (
            padded.narrow(-3, t, length) for t in range(0, self.span, self.dilation)
        )
        return [every(part, self.stride) for part in parts]

    def unfold(self, x: Tensor) -> Tensor:
        r"""Gathers the frames of each window, :math:`(*, T, S, C)` to
        :math:`(*, T', \tau S, C)`, in memory. Slow; for references and fallbacks.
        """
        return torch.cat(self.slices(x), dim=-2)


def every(x: Tensor, stride: int) -> Tensor:
    """Every so many frames of :math:`(*, T, V, C)`: a view, but in exports, which could
    not tell how it lies in memory."""
    if stride == 1:
        return x
    y = x[..., ::stride, :, :]
    if is_exported():
        return y.clone(memory_format=torch.contiguous_format)
    return y


def combine(shared: Tensor, own: Tensor, window: Window) -> Tensor:
    r"""Puts together what all frames of a window share and what each has of its own,

    .. math::
        \mathbf{h}_{w,v,t} = \mathbf{z}_{w,\, v} + \mathbf{u}_{w s + t d - p,\, v}.

    Shapes:
        - **shared:** :math:`\mathbf{z}`, :math:`(*, T', V, C)`
        - **own:** :math:`\mathbf{u}`, :math:`(*, T, V, C)`
        - **output:** :math:`(*, T', V, \tau, C)`
    """
    return shared.unsqueeze(-2) + torch.stack(window.slices(own), dim=-2)


def sum_windows(x: Tensor, window: Window) -> Tensor:
    r"""Sums over the frames of each window, zero beyond a clip,

    .. math::
        \mathbf{y}_{w,v} = \sum_{t < \tau} \mathbf{x}_{w s + t d - p,\, v},

    as products with the matrix that is one where a window has a frame; on GPUs as a
    mean over frames that is not divided.

    Shapes:
        - **x:** :math:`(*, T, V, C)`
        - **output:** :math:`(*, T', V, C)`
    """
    if torch.compiler.is_compiling() or wants_definition():
        # Compiled it is one loop, for any number of frames.
        return sum(window.slices(x))  # type: ignore[return-value]
    if is_batched(x) and window.dilation == 1:
        # A mean that is divided by one: in one pass, without a matrix.
        flat = x.flatten(0, -4).flatten(-2).unsqueeze(1)
        (tau, stride, _), p = window, window.padding
        out = F.avg_pool2d(flat, (tau, 1), (stride, 1), (p, 0), divisor_override=1)
        return out.view(*x.shape[:-3], -1, *x.shape[-2:])
    num_frames = x.size(-3)
    sums = []
    for windows in banded(window.count(num_frames)):
        frames = window.frames(windows, num_frames)
        w = window.matrix(windows, num_frames, x)
        sums.append(over_frames(w, x[..., frames, :, :]))
    return sums[0] if len(sums) == 1 else torch.cat(sums, -3)


def banded(num_windows: int) -> list[slice]:
    """Some windows at a time."""
    most = WINDOWS_AT_A_TIME
    return [slice(i, min(i + most, num_windows)) for i in range(0, num_windows, most)]


def over_frames(w: Tensor, x: Tensor) -> Tensor:
    """``[n, F]`` times the frames of ``[*, F, V, C]``."""
    return torch.matmul(w, x.flatten(-2)).unflatten(-1, x.shape[-2:])
