from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


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

    def unfold(self, x: Tensor) -> Tensor:
        r"""Gathers the frames of each window, :math:`(*, T, S, C)` to
        :math:`(*, T', \tau S, C)`, in memory. Slow; for references and fallbacks.
        """
        p = self.padding
        windows = F.pad(x, (0, 0, 0, 0, p, p)).unfold(-3, self.span, self.stride)
        windows = windows[..., :: self.dilation]  # [*, T', S, C, tau]
        return windows.movedim(-1, -3).flatten(-3, -2)
