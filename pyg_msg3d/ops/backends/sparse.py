"""Aggregation along sorted edges, as one operator over several kernels."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import torch
from torch import Tensor

from pyg_msg3d.ops.backends import csr
from pyg_msg3d.ops.scale_graph import ScaleGraph


class Kernel(Protocol):
    """What computes products with a sparse matrix."""

    def matrix(
        self, pointer: Tensor, column: Tensor, value: Tensor, num_columns: int
    ) -> Any:
        """What :meth:`product` takes; row ``i`` holds the entries ``pointer[i]`` to
        ``pointer[i + 1]``."""

    def product(self, matrix: Any, x: Tensor, out: Tensor | None = None) -> Tensor:
        """``[n, S, C]`` to ``[n, S', C]``, in ``out`` if that is given."""

    def weight_gradient(
        self, grad: Tensor, x: Tensor, row: Tensor, column: Tensor
    ) -> Tensor:
        """The gradient to the values, ``[E]``."""


KERNELS = ('csr', 'triton')


def get_kernel(name: str) -> Kernel:
    """A kernel by its name; Triton is imported only where it is used."""
    if name == 'csr':
        return csr
    from pyg_msg3d.ops.backends import triton

    return triton


def check_kernel(name: str, x: Tensor) -> str | None:
    """Why a kernel cannot take these features, or ``None``."""
    if name == 'csr':
        return None
    if find_spec('triton') is None:
        return 'the package triton is not installed'
    if x.is_cuda or os.environ.get('TRITON_INTERPRET') == '1':
        return None
    return (
        f'Triton compiles for GPUs, and the features are on {x.device} (with '
        f'TRITON_INTERPRET=1 in the environment it runs there, slowly, for tests)'
    )


def aggregate_sparse(x: Tensor, graph: ScaleGraph, kernel: str) -> Tensor:
    """Adds up weighted features along the edges of a graph of one scale,
    ``[*, S, C]`` to ``[*, S', C]``."""
    frames = x.reshape(-1, *x.shape[-2:])
    weight = graph.weight.to(x.dtype)
    out = _aggregate(frames, weight, graph.indices, graph.num_targets, kernel)
    return out.view(*x.shape[:-2], *out.shape[1:])


@torch.library.custom_op('pyg_msg3d::aggregate', mutates_args=())
def _aggregate(
    x: Tensor,
    weight: Tensor,
    indices: Sequence[Tensor],
    num_targets: int,
    kernel: str,
) -> Tensor:
    source, _, _, rowptr, _, _ = indices
    multiply = get_kernel(kernel)
    return multiply.product(multiply.matrix(rowptr, source, weight, x.size(1)), x)


@_aggregate.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    indices: Sequence[Tensor],
    num_targets: int,
    kernel: str,
) -> Tensor:
    return x.new_empty(x.size(0), num_targets, x.size(2))


@torch.library.custom_op('pyg_msg3d::aggregate_backward', mutates_args=())
def _aggregate_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    indices: Sequence[Tensor],
    kernel: str,
    needs_weight: bool,
) -> tuple[Tensor, Tensor]:
    source, target, _, _, order, colptr = indices
    multiply = get_kernel(kernel)
    transposed = multiply.matrix(colptr, target[order], weight[order], grad.size(1))
    to_x = multiply.product(transposed, grad)
    if not needs_weight:
        return to_x, torch.zeros_like(weight)
    to_weight = multiply.weight_gradient(grad, x, target, source)
    return to_x, to_weight.to(weight.dtype)


@_aggregate_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    indices: Sequence[Tensor],
    kernel: str,
    needs_weight: bool,
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape)


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weight, indices, _, ctx.kernel = inputs
    ctx.save_for_backward(x, weight, *indices)


def _differentiate(ctx: Any, grad: Tensor) -> tuple:
    x, weight, *indices = ctx.saved_tensors
    to_x, to_weight = _aggregate_backward(
        grad.contiguous(), x, weight, indices, ctx.kernel, ctx.needs_input_grad[1]
    )
    return to_x, to_weight, [None] * len(indices), None, None


_aggregate.register_autograd(_differentiate, setup_context=_save)
