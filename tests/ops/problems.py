"""Inputs of the operators, and how fast ways are compared with the definition."""

import torch

from pyg_msg3d.graph import ScaleGraph
from pyg_msg3d.ops import ORDERS, Window, use

V, K = 4, 2
WINDOWS = [Window(3), Window(5, 2), Window(3, 2, 2), Window(4), Window(1, 3)]
#: Every kernel that needs no package, each with all that it can be made of, whatever
#: the machine's own choice would be.
PLAIN_WAYS = [
    ('dense', 'matmul'),
    ('dense', 'convolution'),
    ('csr', 'matmul'),
    ('csr', 'convolution'),
    ('dense', 'batched'),
]
WAYS = [(*way, order) for way in PLAIN_WAYS for order in ORDERS]
PACKAGES = ['scatter', 'torch_scatter', 'torch_sparse', 'triton']
TOLERANCES = {
    torch.float64: {'rtol': 1e-9, 'atol': 1e-9},
    torch.float32: {'rtol': 2e-4, 'atol': 2e-4},
    torch.bfloat16: {'rtol': 0.1, 'atol': 0.3},
}
DTYPES = list(TOLERANCES)


def leaf(*shape, dtype=torch.float64, device='cpu'):
    return torch.randn(*shape, dtype=dtype, device=device).requires_grad_()


def sparse_graph(num_sources, num_targets, num_edges=13, **kwargs):
    """Random edges, some of them parallel, the last target without any."""
    source = torch.randint(0, num_sources, (num_edges,))
    target = torch.randint(0, max(1, num_targets - 1), (num_edges,))
    return ScaleGraph.of(
        torch.stack([source, target]),
        torch.randint(0, K, (num_edges,)),
        leaf(num_edges, **kwargs),
        num_sources=num_sources,
        num_targets=num_targets,
        num_scales=K,
    )


def full_graph(num_sources, num_targets, **kwargs):
    matrix = leaf(num_targets, num_sources * K, **kwargs)
    return ScaleGraph.of(
        matrix, num_sources=num_sources, num_targets=num_targets, num_scales=K
    )


def assert_is_definition(run, inputs, ways, tolerance=None):
    """Values and gradients of ``run()`` in some ways are those of the reference."""
    tolerance = TOLERANCES[inputs[0].dtype] if tolerance is None else tolerance
    with use('reference'):
        expected = first(run())
    cotangent = torch.randn_like(expected)
    theirs = torch.autograd.grad(expected, inputs, cotangent, allow_unused=True)
    with use(*ways):
        actual = first(run())
        ours = torch.autograd.grad(actual, inputs, cotangent, allow_unused=True)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    torch.testing.assert_close(actual, expected, **tolerance)
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine is None) == (other is None)
        if mine is None:
            continue
        if mine.dtype == torch.bfloat16 or actual.dtype == torch.bfloat16:
            # Rounded to the other side of a ReLU, a value has another gradient.
            bound = 0.3 * other.norm() + 0.2 * cotangent.norm()
            assert (mine - other).norm() <= bound
        else:
            # Sums over all frames, of which rounding grows with them.
            scale = max(1.0, other.abs().max().item())
            torch.testing.assert_close(mine / scale, other / scale, **tolerance)


def first(out):
    return out[0] if isinstance(out, tuple) else out
