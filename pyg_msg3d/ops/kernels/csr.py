"""Products with torch's own CSR matrices."""

import torch
from torch import Tensor
from torch_geometric.warnings import filterwarnings

from pyg_msg3d.graph.scale_graph import pointers
from pyg_msg3d.ops.policy import chunks, wide

# Nothing to whoever uses a layer.
filterwarnings('ignore', '.*Sparse CSR tensor support is in beta state.*')


def matrix(pointer: Tensor, column: Tensor, value: Tensor, num_columns: int) -> Tensor:
    """Row ``i`` holds the entries ``pointer[i]`` to ``pointer[i + 1]``."""
    if value.device.type == 'cpu':
        # MKL takes no longer indices, and would have them copied for every frame.
        pointer, column = pointer.int(), column.int()
        if value.dtype in (torch.float16, torch.bfloat16):
            # Which the product on the CPU does not have.
            value = value.float()
    size = (pointer.numel() - 1, num_columns)
    return torch.sparse_csr_tensor(pointer, column, value, size, check_invariants=False)


def product(matrix: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """The sparse matrix times the features of each frame, ``[n, S, C]`` to
    ``[n, S', C]``, in ``out`` if that is given."""
    dtype, x = x.dtype, x.to(matrix.dtype)
    if out is None or out.dtype != x.dtype:
        y = x.new_empty(x.size(0), matrix.size(0), x.size(2))
    else:
        y = out
    # Frame by frame: side by side they would have to be transposed before and after.
    for frame, result in zip(x.unbind(), y.unbind(), strict=True):
        # Not mm, which adds to zeros that it makes and copies first.
        torch.addmm(result, matrix, frame, beta=0, out=result)
    if out is None or y is out:
        return y.to(dtype)
    return out.copy_(y)


def weight_gradient(grad: Tensor, x: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The gradient of :func:`product` to the values: for each entry the product of
    both its ends, summed over frames and channels. Entries are sorted by their rows."""
    dtype = wide(x)
    size = (grad.size(1), x.size(1))
    pointer = pointers(row, size[0])
    total = x.new_zeros(row.numel(), dtype=dtype)
    for part in chunks(x.size(0), (size[0] + size[1]) * x.size(2), x):
        # Frames side by side: one long product for each entry.
        above, below = (
            end[part].transpose(0, 1).flatten(1).to(dtype) for end in (grad, x)
        )
        matrix = torch.sparse_csr_tensor(
            pointer, column, total, size, check_invariants=False
        )
        total = torch.sparse.sampled_addmm(matrix, above, below.t()).values()
    return total
