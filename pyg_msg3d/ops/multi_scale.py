"""The sum over scales of MS-GCN and G3D, without its :math:`K`-fold intermediate."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from pyg_msg3d.ops.chunks import as_autocast, chunks, wide
from pyg_msg3d.ops.linear import convolves, linear, linear_backward
from pyg_msg3d.ops.mixers import DenseFrames, DenseWindows, Mixer, SparseFrames
from pyg_msg3d.ops.results import empty
from pyg_msg3d.ops.scale_graph import ScaleGraph
from pyg_msg3d.ops.window import Window

Shape = Sequence[int]


def multi_scale_product(
    x: Tensor,
    weight: Tensor,
    graph: Tensor | ScaleGraph,
    window: Window | None = None,
    kernel: str = 'csr',
) -> Tensor:
    r"""The sum over scales that MS-GCN and G3D share, equations (3) and (5) of the
    `"Disentangling and Unifying Graph Convolutions for Skeleton-Based Action
    Recognition" <https://arxiv.org/abs/2003.14111>`_ paper,

    .. math::
        \mathbf{y}_i = \sum_{k=0}^{K-1} \sum_{u} [\mathbf{A}_{(k)}]_{i,u} \,
        \mathbf{\Theta}_{(k)} \mathbf{x}_u,

    in every frame, or in every temporal window, whose sources :math:`u` are the
    joints of its :math:`\tau` frames.

    Maps and aggregation are linear, so they can go in either order: first lift each
    joint to its :math:`K` slots, once per frame, or first gather :math:`K` slots at
    each target. The one with fewer operations is taken. The slots are computed clip
    by clip, or some frames at a time, and again in the backward pass: nothing of
    :math:`K` times the size of the features is kept, nor is any window unfolded.

    Args:
        x (Tensor): The features.
        weight (Tensor): The maps :math:`\mathbf{\Theta}_{(k)}`, one below the other.
        graph (Tensor or ScaleGraph): The adjacency as a full matrix, column
            :math:`u K + k`, or its edges, which take no window.
        window (Window, optional): The temporal window. (default: :obj:`None`)
        kernel (str, optional): What aggregates along edges: :obj:`"csr"` or
            :obj:`"triton"`. (default: :obj:`"csr"`)

    Shapes:
        - **x:** :math:`(*, V, C)`, over windows :math:`(*, T, V, C)`
        - **weight:** :math:`(K C', C)`
        - **graph:** :math:`(S', V K)`, over windows :math:`(S', \tau V K)`
        - **output:** :math:`(*, S', C')`, over windows :math:`(*, T', S', C')`
    """
    _check_shapes(x, weight, graph, window)
    x, weight = as_autocast(x), as_autocast(weight)
    inner = 2 if window is None else 3
    items = x.reshape(-1, *x.shape[-inner:])
    if isinstance(graph, ScaleGraph):
        edge_weight = graph.weight.to(x.dtype)
        out = _sparse(items, weight, edge_weight, graph.indices, graph.sizes, kernel)
    else:
        out = _dense(items, weight, graph.to(x.dtype), list(window or ()))
    return out.view(*x.shape[:-inner], *out.shape[1:])


def _check_shapes(
    x: Tensor, weight: Tensor, graph: Tensor | ScaleGraph, window: Window | None
) -> None:
    """Refuses what does not fit, before anything is read."""
    if isinstance(graph, ScaleGraph) and window is not None:
        raise ValueError(
            'Expected a full matrix over windows, or edges without a window '
            '(got edges and a window)'
        )
    if weight.dim() != 2 or weight.size(1) != x.size(-1):
        raise ValueError(
            f'Expected maps of {x.size(-1)} channels, as the features have (got '
            f'{list(weight.shape)})'
        )
    num_sources = x.size(-2) * (window.size if window else 1)
    if isinstance(graph, ScaleGraph):
        fits, slots = graph.num_sources == num_sources, graph.num_scales * num_sources
    else:
        slots = graph.size(-1)
        fits = graph.dim() == 2 and slots > 0 and slots % num_sources == 0
    if not fits or weight.size(0) % (slots // num_sources):
        shown = graph.sizes if isinstance(graph, ScaleGraph) else list(graph.shape)
        raise ValueError(
            f'Expected a graph of {num_sources} sources, with as many scales as the '
            f'{list(weight.shape)} maps (got {shown})'
        )


# One chunk after the other ---------------------------------------------------------


def _forward(x: Tensor, weight: Tensor, mixer: Mixer) -> Tensor:
    # The result first: what is computed on the way then leaves no holes behind it.
    out = empty(x, *mixer.shape(x, weight))
    k = mixer.num_scales
    maps = weight if mixer.lifted else _collapsing(weight, k)
    slots = None
    for chunk in _chunks(x, weight, mixer):
        part = x[chunk]
        # In the same memory each time; convolutions bring their own.
        room = None if slots is None or convolves(x) else slots[: part.size(0)]
        if mixer.lifted:
            mine = linear(part, maps, out=room)
            mixer.product(_to_slots(mine, k), out[chunk])
        else:
            mine = mixer.product(part, room)
            linear(_from_slots(mine, k), maps, out=out[chunk])
        slots = mine if slots is None else slots
    return out


def _backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    graph: Tensor,
    mixer: Mixer,
    needs_graph: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients to the features, the maps and the weights of the graph."""
    k = mixer.num_scales
    collapsing = weight if mixer.lifted else _collapsing(weight, k)
    grad_x = empty(x, *x.shape)
    grad_weight = torch.zeros_like(collapsing, dtype=wide(x))
    grad_graph = None
    for chunk in _chunks(x, weight, mixer):
        part, g = x[chunk], grad[chunk]
        if mixer.lifted:
            slots = _to_slots(linear(part, weight), k)
            g, to_graph = mixer.backward(g, slots, needs_graph)
            g = _from_slots(g, k)
            _, to_weight = linear_backward(g, part, weight, grad_x[chunk])
        else:
            slots = _from_slots(mixer.product(part), k)
            g, to_weight = linear_backward(g, slots, collapsing)
            to_part, to_graph = mixer.backward(_to_slots(g, k), part, needs_graph)
            grad_x[chunk] = to_part
        grad_weight += to_weight
        if to_graph is not None:
            to_graph = to_graph.to(wide(x))
            grad_graph = to_graph if grad_graph is None else grad_graph + to_graph
    if not mixer.lifted:
        grad_weight = _expanding(grad_weight, k)
    if grad_graph is None:
        graph_result = torch.zeros_like(graph)
    else:
        graph_result = mixer.to_graph(grad_graph).to(graph.dtype)
    return grad_x, grad_weight.to(weight.dtype), graph_result.contiguous()


def _like(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _chunks(x: Tensor, weight: Tensor, mixer: Mixer) -> list[slice]:
    channels = weight.size(0) // mixer.num_scales if mixer.lifted else x.size(-1)
    # An item is a clip where windows are, and elsewhere a frame.
    frames = x.size(1) if x.dim() == 4 else 1
    return chunks(x.size(0), frames * mixer.num_slots * channels, x)


def _to_slots(h: Tensor, num_scales: int) -> Tensor:
    """``[*, V, K C]`` to ``[*, V K, C]``."""
    return h.unflatten(-1, (num_scales, -1)).flatten(-3, -2)


def _from_slots(h: Tensor, num_scales: int) -> Tensor:
    """``[*, V K, C]`` to ``[*, V, K C]``."""
    return h.unflatten(-2, (-1, num_scales)).flatten(-2)


def _collapsing(weight: Tensor, num_scales: int) -> Tensor:
    """``[K C', C]``, which lifts, to ``[C', K C]``, which collapses slots."""
    return weight.unflatten(0, (num_scales, -1)).transpose(0, 1).flatten(1)


def _expanding(weight: Tensor, num_scales: int) -> Tensor:
    """The way back."""
    return weight.unflatten(1, (num_scales, -1)).transpose(0, 1).flatten(0, 1)


# The operators -----------------------------------------------------------------------


@torch.library.custom_op('pyg_msg3d::multi_scale_dense', mutates_args=())
def _dense(x: Tensor, weight: Tensor, matrix: Tensor, window: Sequence[int]) -> Tensor:
    return _forward(x, weight, _dense_mixer(x, weight, matrix, window))


@_dense.register_fake
def _(x: Tensor, weight: Tensor, matrix: Tensor, window: Sequence[int]) -> Tensor:
    return x.new_empty(_dense_mixer(x, weight, matrix, window).shape(x, weight))


@torch.library.custom_op('pyg_msg3d::multi_scale_dense_backward', mutates_args=())
def _dense_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    matrix: Tensor,
    window: Sequence[int],
    needs_graph: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    mixer = _dense_mixer(x, weight, matrix, window)
    return _backward(grad, x, weight, matrix, mixer, needs_graph)


@_dense_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    matrix: Tensor,
    window: Sequence[int],
    needs_graph: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return _like(x), _like(weight), _like(matrix)


def _dense_mixer(
    x: Tensor, weight: Tensor, matrix: Tensor, window: Sequence[int]
) -> DenseFrames | DenseWindows:
    num_joints, before = x.shape[-2:]
    tau = window[0] if window else 1
    after = weight.size(0) * tau * num_joints // matrix.size(1)
    if not window:
        return DenseFrames(matrix, num_joints, (before, after))
    return DenseWindows(matrix, num_joints, (before, after), Window(*window), x.size(1))


def _save_dense(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weight, matrix, ctx.window = inputs
    ctx.save_for_backward(x, weight, matrix)


def _differentiate_dense(ctx: Any, grad: Tensor) -> tuple:
    grads = _dense_backward(
        grad.contiguous(), *ctx.saved_tensors, ctx.window, ctx.needs_input_grad[2]
    )
    return *grads, None


_dense.register_autograd(_differentiate_dense, setup_context=_save_dense)


@torch.library.custom_op('pyg_msg3d::multi_scale_sparse', mutates_args=())
def _sparse(
    x: Tensor,
    weight: Tensor,
    edge_weight: Tensor,
    indices: Sequence[Tensor],
    sizes: Sequence[int],
    kernel: str,
) -> Tensor:
    mixer = _sparse_mixer(x, weight, edge_weight, indices, sizes, kernel)
    return _forward(x, weight, mixer)


@_sparse.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    edge_weight: Tensor,
    indices: Sequence[Tensor],
    sizes: Sequence[int],
    kernel: str,
) -> Tensor:
    mixer = _sparse_mixer(x, weight, edge_weight, indices, sizes, kernel)
    return x.new_empty(mixer.shape(x, weight))


@torch.library.custom_op('pyg_msg3d::multi_scale_sparse_backward', mutates_args=())
def _sparse_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    edge_weight: Tensor,
    indices: Sequence[Tensor],
    sizes: Sequence[int],
    kernel: str,
    needs_graph: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    mixer = _sparse_mixer(x, weight, edge_weight, indices, sizes, kernel)
    return _backward(grad, x, weight, edge_weight, mixer, needs_graph)


@_sparse_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    edge_weight: Tensor,
    indices: Sequence[Tensor],
    sizes: Sequence[int],
    kernel: str,
    needs_graph: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return _like(x), _like(weight), _like(edge_weight)


def _sparse_mixer(
    x: Tensor,
    weight: Tensor,
    edge_weight: Tensor,
    indices: Sequence[Tensor],
    sizes: Sequence[int],
    kernel: str,
) -> SparseFrames:
    graph = ScaleGraph(edge_weight, *indices, *sizes)  # type: ignore[arg-type]
    channels = x.size(-1), weight.size(0) // graph.num_scales
    return SparseFrames(graph, channels, kernel)


def _save_sparse(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weight, edge_weight, indices, ctx.sizes, ctx.kernel = inputs
    ctx.save_for_backward(x, weight, edge_weight, *indices)


def _differentiate_sparse(ctx: Any, grad: Tensor) -> tuple:
    x, weight, edge_weight, *indices = ctx.saved_tensors
    grads = _sparse_backward(
        grad.contiguous(),
        x,
        weight,
        edge_weight,
        indices,
        ctx.sizes,
        ctx.kernel,
        ctx.needs_input_grad[2],
    )
    return *grads, [None] * len(indices), None, None


_sparse.register_autograd(_differentiate_sparse, setup_context=_save_sparse)


# What torch.utils.flop_counter counts -------------------------------------------------


@register_flop_formula(torch.ops.pyg_msg3d.multi_scale_dense)
def _(
    x: Shape,
    weight: Shape,
    matrix: Shape,
    window: Sequence[int],
    *args: Any,
    **kwargs: Any,
) -> int:
    features, maps, full = (torch.empty(s, device='meta') for s in (x, weight, matrix))
    mixer = _dense_mixer(features, maps, full, window)
    return 2 * round(prod(x[:-2]) * mixer.operations)


@register_flop_formula(torch.ops.pyg_msg3d.multi_scale_sparse)
def _(
    x: Shape,
    weight: Shape,
    edge_weight: Shape,
    indices: Any,
    sizes: Sequence[int],
    *args: Any,
    **kwargs: Any,
) -> int:
    num_sources, num_targets, k = sizes
    channels = x[-1], weight[0] // k
    count = Mixer.count(k, num_sources, num_targets, channels, edge_weight[0])
    return 2 * round(x[0] * min(count))
