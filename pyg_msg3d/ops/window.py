from typing import NamedTuple

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

    def frames_of_slot(self, slot: int, num_frames: int) -> tuple[slice, slice]:
        """Which windows have a frame of the clip in a slot, and which frames."""
        first = slot * self.dilation - self.padding
        begin = max(0, -(first // self.stride))
        end = min(self.count(num_frames), (num_frames - 1 - first) // self.stride + 1)
        end = max(begin, end)
        at = first + begin * self.stride
        return slice(begin, end), slice(
            at, at + (end - begin) * self.stride, self.stride
        )

    def unfold(self, x: Tensor) -> Tensor:
        r"""Gathers the frames of each window, :math:`(*, T, S, C)` to
        :math:`(*, T', \tau S, C)`, in memory. Slow; for references and fallbacks.
        """
        p = self.padding
        windows = F.pad(x, (0, 0, 0, 0, p, p)).unfold(-3, self.span, self.stride)
        windows = windows[..., :: self.dilation]  # [*, T', S, C, tau]
        return windows.movedim(-1, -3).flatten(-3, -2)
