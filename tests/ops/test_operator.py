"""What is registered, once for all operators."""

import problems
import pytest
import test_collapse
import test_ms_tcn
import torch
from problems import K, V, full_graph, leaf, sparse_graph
from torch.autograd import forward_ad
from torch.utils.flop_counter import FlopCounterMode

from pyg_msg3d.ops import Window, linear, scale_sum, use

OPS = torch.ops.pyg_msg3d
CHECKS = ('test_schema', 'test_autograd_registration', 'test_faketensor')


def calls():
    """An operator and its arguments, in every form that they have."""
    window = Window(3, 2)
    for over in (None, window):
        graph = full_graph(V * (over.size if over else 1), 5)
        x = leaf(3, 6, V, 3) if over else leaf(3, V, 3)
        way = list(over or (0, 1, 1)), 'dense'
        sizes = list(graph.sizes)
        yield 'scale_sum', (x, leaf(K * 5, 3), graph.weight, [], sizes, *way, True)
        yield 'scale_sum', (x, leaf(K * 5, 3), graph.weight, [], sizes, *way, False)
        given = test_collapse.problem(over)
        yield 'collapse', (*given, 1e-5, list(over or (0, 1, 1)))
        given = test_collapse.problem(over, training=False)
        yield 'collapse', (*given, 1e-5, list(over or (0, 1, 1)))
    graph = sparse_graph(V, 5).sorted()
    rest = graph.weight, graph.indices, list(graph.sizes), [0, 1, 1], 'csr', True
    yield 'scale_sum', (leaf(3, V, 3), leaf(K * 5, 3), *rest)
    yield 'scale_sum', (leaf(3, V * K, 3), None, *rest)
    yield 'joint_maps', (leaf(2, 5, V, 3), leaf(6, 3), leaf(V, 2))
    given = test_ms_tcn.problem(2)
    yield 'ms_tcn', (*given.values(), [1e-5, 1e-3], 2, test_ms_tcn.DILATIONS)


@pytest.mark.parametrize('number', range(len(list(calls()))))
def test_registered_as_torch_wants_it(number):
    name, args = list(calls())[number]
    torch.library.opcheck(getattr(OPS, name).default, args, test_utils=CHECKS)


@pytest.mark.parametrize('number', range(len(list(calls()))))
def test_forward_mode_of_the_operator_itself_is_refused(number):
    """Torch's answer would be a tangent of zero."""
    name, args = list(calls())[number]
    x, *rest = args
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match=name):
        getattr(OPS, name)(forward_ad.make_dual(x, torch.ones_like(x)), *rest)


def test_autocast():
    x, maps, graph = torch.randn(2, 6, V, 3), torch.randn(K * 5, 3), full_graph(V, V)
    expected = scale_sum(x, maps, graph)
    with torch.autocast('cpu', torch.bfloat16):
        low = scale_sum(x, maps, graph)
        double = scale_sum(x.double(), maps.double(), graph)
    assert low.dtype == torch.bfloat16
    assert double.dtype == torch.float64
    torch.testing.assert_close(low.float(), expected, rtol=0.05, atol=0.2)


def test_torch_counts_what_is_multiplied():
    x, maps, graph = leaf(2, 6, V, 3), leaf(K * 5, 3), full_graph(V, V)
    with FlopCounterMode(display=False) as counter:
        out = scale_sum(x, maps, graph)
    # Sums first: 12 frames, 4 x 2 slots from 4 joints of 3 channels, then 6 to 5.
    summed, mapped = 2 * 12 * 4 * 2 * 4 * 3, 2 * 12 * 4 * 6 * 5
    assert counter.get_total_flops() == summed + mapped
    with FlopCounterMode(display=False) as counter:
        out.sum().backward()
    assert counter.get_total_flops() == 2 * (summed + mapped) + summed


def test_one_tensor_twice():
    """Each of two arguments has its gradient, of the second order too."""
    graph = full_graph(3, 3)
    x = leaf(3, 3)
    maps = torch.cat([x, x])  # [K C', C]

    def run():
        return scale_sum(x, maps, graph)

    problems.assert_is_definition(run, [x, graph.weight], ['dense'])
    (grad,) = torch.autograd.grad(run().square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(grad.sum(), x, retain_graph=True)
    with use('reference'):
        (grad,) = torch.autograd.grad(run().square().sum(), x, create_graph=True)
    torch.testing.assert_close(second, torch.autograd.grad(grad.sum(), x)[0])


@pytest.mark.parametrize('product', ['matmul', 'convolution'])
@pytest.mark.parametrize('bias', [True, False])
def test_linear_is_torchs(product, bias):
    x, weight = leaf(2, 3, 5), leaf(7, 5)
    b = torch.randn(7, dtype=torch.float64) if bias else None
    with use(product):
        out = linear(x, weight, b)
        assert torch.autograd.gradcheck(linear, (x, weight))
    torch.testing.assert_close(out, torch.nn.functional.linear(x, weight, b))
    assert out.is_contiguous()
