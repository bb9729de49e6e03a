from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from pyg_msg3d.ops.backends.dense import dense_product, to_matrix
from pyg_msg3d.ops.backends.scatter import aggregate_scatter
from pyg_msg3d.ops.backends.sparse import KERNELS, aggregate_sparse, check_kernel
from pyg_msg3d.ops.backends.torch_scatter import (
    aggregate_torch_scatter,
    check_torch_scatter,
)
from pyg_msg3d.ops.backends.torch_sparse import (
    aggregate_torch_sparse,
    check_torch_sparse,
)
from pyg_msg3d.ops.scale_graph import ScaleGraph, check_edges
from pyg_msg3d.ops.window import Window

Aggregate = Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]

_PACKAGES: dict[str, tuple[Aggregate, Callable[[Tensor], str | None]]] = {
    'scatter': (aggregate_scatter, lambda x: None),
    'torch_sparse': (aggregate_torch_sparse, check_torch_sparse),
    'torch_scatter': (aggregate_torch_scatter, check_torch_scatter),
}

BACKENDS = ('dense', 'scatter', *KERNELS, 'torch_sparse', 'torch_scatter')


class _Rule(NamedTuple):
    """When a product with the full matrix is taken."""

    #: Entries up to which it is, whatever the density.
    always: int
    #: The density from which on it is ...
    density: float
    #: ... up to so many entries.
    bound: int


_RULES = {
    # As benchmarks/operators.py measured them. Few nodes are soon multiplied with,
    # while a sparse product has its price in every frame.
    'cpu': _Rule(1 << 15, 0.08, 1 << 24),
    # Estimated: a GPU multiplies full matrices much faster than it gathers.
    'cuda': _Rule(1 << 17, 0.25, 1 << 24),
}


def aggregate(
    x: Tensor,
    source: Tensor,
    target: Tensor,
    weight: Tensor | None,
    num_targets: int,
    window: Window | None = None,
    backend: str = 'auto',
) -> Tensor:
    r"""Adds up weighted features along edges, in every frame or in every temporal
    window of a static graph:

    .. math::
        \mathbf{y}_i = \sum_{e : \, \mathrm{target}(e) = i}
        w_e \, \mathbf{x}_{\mathrm{source}(e)}.

    Over windows the sources are the :math:`S` rows of each of a window's
    :math:`\tau` frames: row :math:`j` of its frame :math:`t` is source
    :math:`t S + j`.

    Args:
        x (Tensor): The features.
        source (Tensor): The source of each edge.
        target (Tensor): The target of each edge.
        weight (Tensor, optional): The weight of each edge; one by default.
        num_targets (int): The number of targets :math:`S'`.
        window (Window, optional): The temporal window. (default: :obj:`None`)
        backend (str, optional): :obj:`"scatter"` (PyG's gather and scatter, the
            reference), :obj:`"dense"` (a matrix product, over windows as a
            convolution), :obj:`"csr"` (torch's CSR product), :obj:`"triton"` (a kernel
            of ours for GPUs), :obj:`"torch_sparse"`, :obj:`"torch_scatter"`, or
            :obj:`"auto"`, which picks by the size and density of the graph.
            (default: :obj:`"auto"`)

    Shapes:
        - **x:** :math:`(*, S, C)`, over windows :math:`(*, T, S, C)`
        - **source, target, weight:** :math:`(E)`
        - **output:** :math:`(*, S', C)`, over windows :math:`(*, T', S', C)`

    Raises:
        ValueError: If there is no such backend, or an edge refers to a node that there
            is not.
        RuntimeError: If the named backend cannot run on this input; the message
            says why.
    """
    if weight is None:
        weight = x.new_ones(source.numel())
    num_sources = x.size(-2) * (window.size if window else 1)
    check_edges(source, target, None, weight, num_sources, num_targets)
    if backend == 'auto':
        backend = choose_backend(x, source.numel(), num_sources * num_targets)
    check_backend(backend, x)

    if backend == 'dense':
        matrix = to_matrix(source, target, weight, num_sources, num_targets)
        return dense_product(x, matrix.to(x.dtype), window)
    if window is not None:
        x = window.unfold(x)
    if backend in KERNELS:
        size = x.size(-2)
        graph = ScaleGraph.build(source, target, None, weight, size, num_targets)
        return aggregate_sparse(x, graph, backend)
    return _PACKAGES[backend][0](x, source, target, weight.to(x.dtype), num_targets)


def choose_backend(x: Tensor, num_edges: int, num_entries: int) -> str:
    """The backend that :obj:`"auto"` stands for, given the features, the number of
    edges and the entries of the matrix that they are part of."""
    rule = _RULES.get(x.device.type, _RULES['cuda'])
    density = num_edges / max(1, num_entries)
    if num_entries <= rule.always or (
        density >= rule.density and num_entries <= rule.bound
    ):
        return 'dense'
    return 'triton' if x.is_cuda and check_kernel('triton', x) is None else 'csr'


def check_backend(backend: str, x: Tensor) -> None:
    """Refuses backends that do not exist, or that cannot take these features."""
    if backend not in BACKENDS:
        raise ValueError(
            f"Unknown backend '{backend}'; known ones: auto, {', '.join(BACKENDS)}"
        )
    reason = None
    if backend in KERNELS:
        reason = check_kernel(backend, x)
    elif backend != 'dense':
        reason = _PACKAGES[backend][1](x)
    if reason is not None:
        raise RuntimeError(
            f"backend='{backend}' cannot run here: {reason}. backend='auto' picks "
            f'one that can'
        )
