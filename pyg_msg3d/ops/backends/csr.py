"""Aggregation as a product with torch's own CSR matrix."""

import torch
from torch import Tensor

# Products of features and gradients held at once for the gradient of the weights.
_CHUNK = 1 << 24


def check_csr(x: Tensor) -> str | None:
    """Why torch's CSR product cannot take these features, or ``None``."""
    if x.device.type == 'cpu' and x.dtype not in (torch.float32, torch.float64):
        return f"torch's CSR product on the CPU has no {x.dtype}"
    return None


def aggregate_csr(
    x: Tensor, source: Tensor, target: Tensor, weight: Tensor, num_targets: int
) -> Tensor:
    """Sorts the edges by target and multiplies by their CSR matrix."""
    columns, lead = _to_columns(x)
    out = _CSRProduct.apply(columns, source, target, weight, num_targets)
    return _from_columns(out, lead, x.size(-1))


def csr_product(matrix: Tensor, x: Tensor) -> Tensor:
    """The same for a torch CSR matrix that is there already."""
    crow, source = matrix.crow_indices(), matrix.col_indices()
    row = torch.arange(matrix.size(0), device=x.device)
    target = row.repeat_interleave(crow.diff())
    return aggregate_csr(x, source, target, matrix.values(), matrix.size(0))


def _to_columns(x: Tensor) -> tuple[Tensor, torch.Size]:
    """``[*, S, C]`` to the ``[S, * C]`` that a sparse product takes."""
    lead = x.shape[:-2]
    return x.reshape(-1, *x.shape[-2:]).transpose(0, 1).flatten(1), lead


def _from_columns(out: Tensor, lead: torch.Size, channels: int) -> Tensor:
    out = out.view(out.size(0), lead.numel(), channels).transpose(0, 1)
    return out.reshape(*lead, out.size(1), channels)


def _matrix(row: Tensor, col: Tensor, value: Tensor, size: tuple[int, int]) -> Tensor:
    order = (row * size[1] + col).argsort()
    crow = torch.zeros(size[0] + 1, dtype=torch.long, device=row.device)
    crow[1:] = torch.bincount(row, minlength=size[0]).cumsum(0)
    return torch.sparse_csr_tensor(
        crow, col[order], value[order], size, check_invariants=False
    )


class _CSRProduct(torch.autograd.Function):
    # torch differentiates its CSR product by sampled products that need MKL, and
    # not on every device; transposing and sampling by hand works everywhere.

    @staticmethod
    def forward(ctx, columns, source, target, weight, num_targets):
        ctx.save_for_backward(columns, source, target, weight)
        matrix = _matrix(target, source, weight, (num_targets, columns.size(0)))
        return matrix @ columns

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        columns, source, target, weight = ctx.saved_tensors
        grad_columns = grad_weight = None
        if ctx.needs_input_grad[0]:
            size = (columns.size(0), grad.size(0))
            grad_columns = _matrix(source, target, weight, size) @ grad
        if ctx.needs_input_grad[3]:
            size = max(1, _CHUNK // max(1, grad.size(1)))
            parts = [
                (columns[s] * grad[t]).sum(1)
                for s, t in zip(source.split(size), target.split(size), strict=True)
            ]
            grad_weight = torch.cat(parts)
        return grad_columns, None, None, grad_weight, None
