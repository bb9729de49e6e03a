"""How features of sources are mixed into targets, in every frame or every window: the
part of the sum over scales that knows the graph."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

from torch import Tensor

from pyg_msg3d.ops.backends.dense import (
    dense_product,
    frames_backward,
    per_frame,
    windows_backward,
)
from pyg_msg3d.ops.backends.sparse import get_kernel
from pyg_msg3d.ops.scale_graph import ScaleGraph
from pyg_msg3d.ops.window import Window


class Mixer(ABC):
    """A graph with :math:`K` scales, as :func:`multi_scale_product` uses it: between
    ``V K`` slots and targets where the maps come first (``lifted``), else between
    joints and the ``K`` slots of each target."""

    def __init__(
        self,
        num_scales: int,
        num_sources: int,
        num_targets: int,
        channels: tuple[int, int],
        num_edges: int,
        windows_per_frame: float = 1.0,
    ) -> None:
        self.num_scales = num_scales
        self.num_targets = num_targets
        lifted, gathered = self.count(
            num_scales, num_sources, num_targets, channels, num_edges, windows_per_frame
        )
        # Where both count the same, what the backward pass computes again is cheaper in
        # the second.
        self.lifted = lifted < gathered
        #: Multiplications per frame, in the order taken.
        self.operations = min(lifted, gathered)
        #: Slots per frame of the input.
        self.num_slots = num_scales * (
            num_sources
            if self.lifted
            else max(1, round(windows_per_frame * num_targets))
        )

    @staticmethod
    def count(
        num_scales: int,
        num_sources: int,
        num_targets: int,
        channels: tuple[int, int],
        num_edges: int,
        windows_per_frame: float = 1.0,
    ) -> tuple[float, float]:
        """Multiplications per frame where the maps come first, and where they come
        last."""
        before, after = channels
        per_map = num_scales * before * after
        along_edges = windows_per_frame * num_edges
        return (
            num_sources * per_map + along_edges * after,
            windows_per_frame * num_targets * per_map + along_edges * before,
        )

    def shape(self, x: Tensor, weight: Tensor) -> tuple[int, ...]:
        """The shape of the result, for maps of these features."""
        channels = weight.size(0) // self.num_scales
        return *x.shape[:-2], self.num_targets, channels

    @abstractmethod
    def product(self, h: Tensor, out: Tensor | None = None) -> Tensor:
        """``[n, S, C]`` to ``[n, S', C]``, over windows ``[n, T, S, C]`` to
        ``[n, T', S', C]``, in ``out`` if that is given."""

    @abstractmethod
    def backward(
        self, grad: Tensor, h: Tensor, needs_graph: bool
    ) -> tuple[Tensor, Tensor | None]:
        """The gradients to the features and, if needed, to the weights of the graph, in
        this mixer's form."""

    @abstractmethod
    def to_graph(self, grad: Tensor) -> Tensor:
        """A gradient to the weights in the form in which the graph was given."""


class _Dense(Mixer):
    def __init__(
        self,
        matrix: Tensor,
        num_joints: int,
        channels: tuple[int, int],
        window_size: int = 1,
        windows_per_frame: float = 1.0,
    ) -> None:
        num_targets, columns = matrix.shape
        super().__init__(
            columns // (window_size * num_joints),
            num_joints,
            num_targets,
            channels,
            matrix.numel(),
            windows_per_frame,
        )
        # Rows (i, k) instead of columns (u, k).
        self.matrix = matrix
        if not self.lifted:
            self.matrix = _swapped(matrix, columns // self.num_scales)

    def to_graph(self, grad: Tensor) -> Tensor:
        if self.lifted:
            return grad
        return grad.unflatten(0, (-1, self.num_scales)).transpose(1, 2).flatten(1)


def _swapped(matrix: Tensor, num_sources: int) -> Tensor:
    return matrix.unflatten(1, (num_sources, -1)).transpose(1, 2).flatten(0, 1)


class DenseFrames(_Dense):
    """A full matrix within every frame."""

    def product(self, h: Tensor, out: Tensor | None = None) -> Tensor:
        return per_frame(self.matrix, h, out)

    def backward(
        self, grad: Tensor, h: Tensor, needs_graph: bool
    ) -> tuple[Tensor, Tensor | None]:
        return frames_backward(grad, h, self.matrix, needs_graph)


class DenseWindows(_Dense):
    """A full matrix over every window."""

    def __init__(
        self,
        matrix: Tensor,
        num_joints: int,
        channels: tuple[int, int],
        window: Window,
        num_frames: int,
    ) -> None:
        per_frame = window.count(num_frames) / num_frames
        super().__init__(matrix, num_joints, channels, window.size, per_frame)
        self.window = window

    def shape(self, x: Tensor, weight: Tensor) -> tuple[int, ...]:
        clips, frames, *rest = super().shape(x, weight)
        return clips, self.window.count(frames), *rest

    def product(self, h: Tensor, out: Tensor | None = None) -> Tensor:
        return dense_product(h, self.matrix, self.window, out)

    def backward(
        self, grad: Tensor, h: Tensor, needs_graph: bool
    ) -> tuple[Tensor, Tensor | None]:
        return windows_backward(grad, h, self.matrix, self.window, needs_graph)


class SparseFrames(Mixer):
    """Edges within every frame."""

    def __init__(
        self, graph: ScaleGraph, channels: tuple[int, int], kernel: str
    ) -> None:
        k = graph.num_scales
        super().__init__(
            k, graph.num_sources, graph.num_targets, channels, graph.weight.numel()
        )
        self.weight, self.order = graph.weight, graph.order
        self.num_sources, self.kernel = graph.num_sources, get_kernel(kernel)
        # Slots are ends of edges and their scale together.
        if self.lifted:
            self.row, self.column = graph.target, graph.source * k + graph.scale
            self.rowptr, self.colptr = graph.rowptr[::k], graph.colptr
        else:
            self.row, self.column = graph.target * k + graph.scale, graph.source
            self.rowptr, self.colptr = graph.rowptr, graph.colptr[::k]

    def product(self, h: Tensor, out: Tensor | None = None) -> Tensor:
        return self.kernel.product(self.matrix, h, out)

    def backward(
        self, grad: Tensor, h: Tensor, needs_graph: bool
    ) -> tuple[Tensor, Tensor | None]:
        grad = grad.contiguous()
        to_h = self.kernel.product(self.transposed, grad)
        if not needs_graph:
            return to_h, None
        return to_h, self.kernel.weight_gradient(grad, h, self.row, self.column)

    @cached_property
    def matrix(self) -> Any:
        """What the kernel multiplies by."""
        size = self.num_sources * (self.num_scales if self.lifted else 1)
        return self.kernel.matrix(self.rowptr, self.column, self.weight, size)

    @cached_property
    def transposed(self) -> Any:
        """And in the backward pass."""
        row, weight = self.row[self.order], self.weight[self.order]
        size = self.num_targets * (1 if self.lifted else self.num_scales)
        return self.kernel.matrix(self.colptr, row, weight, size)

    def to_graph(self, grad: Tensor) -> Tensor:
        return grad
