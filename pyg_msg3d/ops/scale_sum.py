"""The sum over scales of MS-GCN and G3D, without its :math:`K`-fold intermediate."""

from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyg_msg3d.graph import ScaleGraph
from pyg_msg3d.ops import batched, policy, reference, trust
from pyg_msg3d.ops.kernels import csr, dense
from pyg_msg3d.ops.kernels.linear import linear, linear_backward
from pyg_msg3d.ops.kernels.memory import empty
from pyg_msg3d.ops.kernels.packages import PACKAGES, why_not
from pyg_msg3d.ops.operator import Operator
from pyg_msg3d.ops.policy import convolves, wants_definition, wide
from pyg_msg3d.ops.slots import (
    from_slots,
    one_below_the_other,
    side_by_side,
    to_slots,
)
from pyg_msg3d.ops.window import Window


def scale_sum(
    x: Tensor,
    maps: Tensor | None,
    graph: ScaleGraph,
    window: Window | None = None,
    backend: str = 'auto',
) -> Tensor:
    r"""The sum over scales that MS-GCN and G3D share, equations (3) and (5) of the
    `"Disentangling and Unifying Graph Convolutions for Skeleton-Based Action
    Recognition" <https://arxiv.org/abs/2003.14111>`_ paper,

    .. math::
        \mathbf{y}_i = \sum_{k=0}^{K-1} \sum_{u} [\mathbf{A}_{(k)}]_{i,u} \,
        \mathbf{\Theta}_{(k)} \mathbf{x}_u,

    in every frame, or in every temporal window, whose sources :math:`u` are the
    joints of its :math:`\tau` frames: joint :math:`j` of frame :math:`t` is source
    :math:`t V + j`. As code: :func:`pyg_msg3d.ops.reference.scale_sum`.

    Maps and aggregation are linear, so they can go in either order: first lift each
    joint to its :math:`K` slots, once per frame, or first sum up :math:`K` slots at
    each target. The one with fewer operations is taken. The slots are computed clip
    by clip, or some frames at a time, and again in the backward pass: nothing of
    :math:`K` times the size of the features is kept, nor is any window unfolded.

    Args:
        x (Tensor): The features.
        maps (Tensor, optional): The maps :math:`\mathbf{\Theta}_{(k)}`, one below the
            other. Without them, ``x`` has a row :math:`u K + k` for each joint and
            scale.
        graph (ScaleGraph): The adjacency, over windows that of a window.
        window (Window, optional): The temporal window. (default: :obj:`None`)
        backend (str, optional): What adds up: :obj:`"dense"` (products with the full
            matrix), :obj:`"csr"` (torch's sparse product), :obj:`"triton"` (kernels of
            ours for GPUs), :obj:`"scatter"`, :obj:`"torch_scatter"` and
            :obj:`"torch_sparse"` (PyG's ways), :obj:`"reference"` (the definition), or
            :obj:`"auto"`, which picks by the size and density of the graph. What
            :func:`~pyg_msg3d.ops.use` asks for has precedence.
            (default: :obj:`"auto"`)

    Shapes:
        - **x:** :math:`(*, V, C)`, over windows :math:`(*, T, V, C)`
        - **maps:** :math:`(K C', C)`
        - **output:** :math:`(*, S', C')`, over windows :math:`(*, T', S', C')`

    Raises:
        ValueError: If shapes do not fit each other, or there is no such backend.
        RuntimeError: If the named backend cannot run on this input; the message says
            why.
    """
    _check_shapes(x, maps, graph, window)
    backend = chosen(backend, x, graph)
    k, graph = graph.num_scales, graph.to(x.dtype)
    graph = graph.full() if backend == 'dense' else graph
    if backend == 'reference' or wants_definition():
        return reference.scale_sum(x, maps, graph, window)
    lifts = True
    if maps is not None:
        lifts = policy.lifts(
            k, x.size(-2), graph.num_targets, (x.size(-1), maps.size(0) // k),
            graph.weight.numel(), 1 / window.stride if window else 1,
            policy.is_batched(x) and not graph.weight.requires_grad,
        )  # fmt: skip
    if backend == 'dense' and policy.is_batched(x):
        is_one = x.dim() == (2 if window is None else 3)
        x = x.unsqueeze(0) if is_one else x
        out = batched.scale_sum(x, maps, graph, window, lifts)
        return out.squeeze(0) if is_one else out
    if backend != 'dense' and (window is not None or backend in PACKAGES):
        # Lifted once per frame, and only then are windows unfolded.
        x = x if maps is None else to_slots(linear(x, maps), k)
        x = x if window is None else window.unfold(x)
        maps, window, lifts = None, None, True
    if backend in PACKAGES:
        return PACKAGES[backend](x, graph.edges())
    graph = graph.sorted()
    inner = 2 if window is None else 3
    items = x.reshape(-1, *x.shape[-inner:])
    out = _scale_sum(
        items, maps, graph.weight, graph.indices, list(graph.sizes),
        list(window or (0, 1, 1)), backend, lifts,
    )  # fmt: skip
    return out.view(*x.shape[:-inner], *out.shape[1:])


def chosen(backend: str, x: Tensor, graph: ScaleGraph) -> str:
    """The backend that is taken, after :func:`~pyg_msg3d.ops.use` and ``'auto'``.

    Raises:
        ValueError: If there is no such backend.
        RuntimeError: If it cannot take these features.
    """
    policy.check_backend(backend)
    backend = policy.forced('backend') or backend
    if backend == 'auto':
        if graph.is_full and policy.is_known(x.device):
            return 'dense'
        backend = policy.backend(x.device, graph.weight.numel(), graph.num_entries)
        missing = backend == 'triton' and not trust.has_kernels('sparse', x)
        return 'csr' if missing else backend
    reason = why_not(backend, x)
    if reason is not None:
        raise RuntimeError(
            f"backend='{backend}' cannot run here: {reason}. backend='auto' picks "
            f'one that can'
        )
    return backend


def _check_shapes(
    x: Tensor, maps: Tensor | None, graph: ScaleGraph, window: Window | None
) -> None:
    """Refuses what does not fit, before anything is read."""
    k = graph.num_scales
    if maps is not None and (maps.dim() != 2 or maps.size(1) != x.size(-1)):
        raise ValueError(
            f'Expected maps of {x.size(-1)} channels, as the features have (got '
            f'{list(maps.shape)})'
        )
    num_sources = x.size(-2) * (window.size if window else 1)
    expected = graph.num_sources * (1 if maps is not None else k)
    if num_sources != expected or (maps is not None and maps.size(0) % k):
        shown = (
            ''
            if maps is None
            else f', with as many scales as the {list(maps.shape)} maps'
        )
        raise ValueError(
            f'Expected a graph of {num_sources} sources{shown} (got '
            f'{graph.num_sources} sources and {k} scales)'
        )


# The operator -------------------------------------------------------------------------


class _Given(NamedTuple):
    """Features of frames, or where windows are, of clips; the graph and the window in
    parts; and the way."""

    x: Tensor
    maps: Tensor | None
    weight: Tensor
    indices: list[Tensor]
    sizes: list[int]
    window: list[int]
    backend: str
    lifts: bool

    @property
    def graph(self) -> ScaleGraph:
        return ScaleGraph.from_parts(self.weight, self.indices, self.sizes)

    @property
    def over(self) -> Window | None:
        return Window(*self.window) if self.window[0] else None

    @property
    def sums(self) -> '_Full | _Edges':
        kind = _Edges if self.indices else _Full
        return kind(self.graph, self.over, self.backend, self.lifts)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the result."""
        x, maps, graph = self.x, self.maps, self.graph
        channels = x.size(-1) if maps is None else maps.size(0) // graph.num_scales
        frames = () if self.over is None else (self.over.count(x.size(1)),)
        return x.size(0), *frames, graph.num_targets, channels

    @property
    def chunks(self) -> list[slice]:
        """So many frames or clips at a time as have slots that fit."""
        _, *frames, targets, channels = self.shape
        k = 1 if self.maps is None else self.graph.num_scales
        if self.lifts:
            slots = self.x[0, ..., 0].numel() * k * channels
        else:
            slots = prod(frames) * targets * k * self.x.size(-1)
        return policy.chunks(self.x.size(0), slots, self.x)


class _Full:
    """A full matrix, in every frame or over every window."""

    def __init__(
        self, graph: ScaleGraph, window: Window | None, backend: str, lifts: bool
    ) -> None:
        self.window, self.lifts, self.k = window, lifts, graph.num_scales
        self.matrix = graph.weight
        if not lifts:
            # Rows (i, k) instead of columns (u, k).
            self.matrix = self.matrix.unflatten(1, (-1, self.k)).transpose(1, 2)
            self.matrix = self.matrix.flatten(0, 1)

    def product(self, h: Tensor, out: Tensor | None = None) -> Tensor:
        return dense.product(h, self.matrix, self.window, out)

    def backward(self, grad: Tensor, h: Tensor, needs_weight: bool) -> dense.Gradients:
        return dense.backward(grad, h, self.matrix, self.window, needs_weight)

    def to_weight(self, grad: Tensor) -> Tensor:
        """A gradient to the matrix, as it was given."""
        if self.lifts:
            return grad
        return grad.unflatten(0, (-1, self.k)).transpose(1, 2).flatten(1)


class _Edges:
    """Edges, in every frame. Slots are ends of edges and their scale together."""

    def __init__(
        self, graph: ScaleGraph, window: Window | None, backend: str, lifts: bool
    ) -> None:
        self.graph, self.kernel = graph, _kernel(backend)
        k = graph.num_scales
        #: Every how many pointers a row begins, in both directions.
        self.rows, self.columns = (k, 1) if lifts else (1, k)
        self.row = graph.target if lifts else graph.target * k + graph.scale
        self.column = graph.slot if lifts else graph.source

    def product(self, h: Tensor, out: Tensor | None = None) -> Tensor:
        return self.kernel.product(self.matrix, h, out)

    def backward(self, grad: Tensor, h: Tensor, needs_weight: bool) -> dense.Gradients:
        grad = grad.contiguous()
        to_h = self.kernel.product(self.transposed, grad)
        if not needs_weight:
            return to_h, None
        return to_h, self.kernel.weight_gradient(grad, h, self.row, self.column)

    def to_weight(self, grad: Tensor) -> Tensor:
        """A gradient to the weights, as they were given."""
        return grad

    @cached_property
    def matrix(self) -> Any:
        """What the kernel multiplies by, targets by sources."""
        g = self.graph
        size = g.num_sources * self.rows
        return self.kernel.matrix(g.rowptr[:: self.rows], self.column, g.weight, size)

    @cached_property
    def transposed(self) -> Any:
        """And in the backward pass."""
        g = self.graph
        row, weight = self.row[g.order], g.weight[g.order]
        size = g.num_targets * self.columns
        return self.kernel.matrix(g.colptr[:: self.columns], row, weight, size)


def _kernel(backend: str) -> Any:
    """A kernel by its name; Triton is imported only where it is used."""
    if backend == 'csr':
        return csr
    from pyg_msg3d.ops.kernels import triton

    return triton


def _forward(given: _Given) -> Tensor:
    x, sums, k = given.x, given.sums, given.graph.num_scales
    # The result first: what is computed on the way then leaves no holes behind it.
    out = empty(x, *given.shape)
    maps = given.maps
    if maps is not None and not given.lifts:
        maps = side_by_side(maps, k)
    slots = None
    for chunk in given.chunks:
        part = x[chunk]
        if maps is None:
            sums.product(part, out[chunk])
            continue
        # In the same memory each time; convolutions bring their own.
        room = None if slots is None or convolves(x) else slots[: part.size(0)]
        if given.lifts:
            mine = linear(part, maps, out=room)
            sums.product(to_slots(mine, k), out[chunk])
        else:
            mine = sums.product(part, room)
            linear(from_slots(mine, k), maps, out=out[chunk])
        slots = mine if slots is None else slots
    return out


def _backward(
    grad: Tensor, kept: list[Tensor], given: _Given, needed: list[bool]
) -> list[Tensor | None]:
    x, sums, k = given.x, given.sums, given.graph.num_scales
    maps = given.maps
    if maps is not None and not given.lifts:
        maps = side_by_side(maps, k)
    to_x, to_weight = empty(x, *x.shape), None
    to_maps: Any = None if maps is None else torch.zeros_like(maps, dtype=wide(x))
    for chunk in given.chunks:
        part, g = x[chunk], grad[chunk]
        if maps is None:
            to_x[chunk], mine = sums.backward(g, part, needed[2])
        elif given.lifts:
            # Along edges, slots are of use to the gradient of the graph alone.
            reads = needed[2] or not given.indices
            slots = to_slots(linear(part, maps), k) if reads else part
            g, mine = sums.backward(g, slots, needed[2])
            to_maps += linear_backward(from_slots(g, k), part, maps, to_x[chunk])[1]
        else:
            slots = from_slots(sums.product(part), k)
            g, of_maps = linear_backward(g, slots, maps)
            to_maps += of_maps
            to_x[chunk], mine = sums.backward(to_slots(g, k), part, needed[2])
        if mine is not None:
            mine = mine.to(wide(x))
            to_weight = mine if to_weight is None else to_weight.add_(mine)
    if maps is not None:
        to_maps = to_maps if given.lifts else one_below_the_other(to_maps, k)
        to_maps = to_maps.to(maps.dtype)
    if to_weight is not None:
        to_weight = sums.to_weight(to_weight).to(given.weight.dtype)
    return [to_x, to_maps, to_weight]


def _by_definition(given: _Given) -> Tensor:
    return reference.scale_sum(given.x, given.maps, given.graph, given.over)


def _work(given: _Given) -> tuple[float, float]:
    (items, *frames, targets, after), x = given.shape, given.x
    entries = 2 * items * prod(frames) * given.weight.numel()
    if given.maps is None:
        return entries * after, 2 * entries * after
    joints = x[..., 0].numel() if given.lifts else items * prod(frames) * targets
    mapped = 2 * joints * given.maps.numel()
    summed = entries * (after if given.lifts else x.size(-1))
    # Twice as much backward, and what comes first once more.
    return mapped + summed, 2 * (mapped + summed) + (mapped if given.lifts else summed)


_scale_sum = Operator(
    'scale_sum', _Given, _forward, _backward, _by_definition, _work,
    lowered=('x', 'maps', 'weight'),
)  # fmt: skip


def _example() -> tuple[Any, ...]:
    k, joints, edges = 2, 9, torch.arange(40)
    ends = edges * 7 % joints, edges * 5 % joints, edges % k
    graph = ScaleGraph.of(
        torch.stack(ends[:2]), ends[2], torch.rand(40), num_sources=joints, num_scales=k
    ).sorted()
    x, maps = torch.randn(4, joints, 20), torch.randn(k * 30, 20)
    indices, sizes = graph.indices, list(graph.sizes)
    return x, maps, graph.weight, indices, sizes, [0, 1, 1], 'triton', True


trust.register('sparse', _scale_sum, _example)
