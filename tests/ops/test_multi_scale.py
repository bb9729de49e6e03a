import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pyg_msg3d.ops import (
    ScaleGraph,
    Window,
    chunks,
    collapse_windows,
    combine,
    multi_scale_product,
    sum_windows,
    window_moments,
)

WINDOWS = [Window(3), Window(5, stride=2), Window(3, stride=2, dilation=2), Window(1)]
V, K = 4, 2


@pytest.fixture(params=['in one', 'by the clip'], autouse=True)
def _chunks(request, monkeypatch):
    """Everything once in many chunks, as large inputs are."""
    if request.param == 'by the clip':
        monkeypatch.setitem(chunks.CHUNK_BYTES, 'cpu', 1)


def product_by_definition(x, weight, matrix, window=None):
    x = x if window is None else window.unfold(x)
    n = x.size(-2)
    maps = weight.view(K, -1, x.size(-1))
    matrices = matrix.view(-1, n, K)
    return sum(matrices[..., k] @ x @ maps[k].t() for k in range(K))


def double(*shape):
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def assert_same_with_gradients(actual, expected, inputs):
    torch.testing.assert_close(actual, expected)
    cotangent = torch.randn_like(expected)
    ours = torch.autograd.grad(actual, inputs, cotangent)
    theirs = torch.autograd.grad(expected, inputs, cotangent)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize('channels', [(3, 5), (5, 3), (4, 4)])
@pytest.mark.parametrize('window', [None, *WINDOWS], ids=str)
@pytest.mark.parametrize('num_targets', [3, 9])
def test_full_matrix(channels, window, num_targets):
    x, weight = double(3, 6, V, channels[0]), double(K * channels[1], channels[0])
    matrix = double(num_targets, (window.size if window else 1) * V * K)
    actual = multi_scale_product(x, weight, matrix, window)
    expected = product_by_definition(x, weight, matrix, window)
    assert_same_with_gradients(actual, expected, (x, weight, matrix))


@pytest.mark.parametrize('channels', [(3, 5), (5, 3)])
@pytest.mark.parametrize('num_targets', [3, 9])
@pytest.mark.parametrize('num_edges', [0, 13])
def test_edges(channels, num_targets, num_edges):
    x, weight = double(3, 6, V, channels[0]), double(K * channels[1], channels[0])
    source = torch.randint(0, V, (num_edges,))
    target = torch.randint(0, num_targets, (num_edges,))
    scale = torch.randint(0, K, (num_edges,))
    edge_weight = double(num_edges)
    matrix = x.new_zeros(num_targets, V * K).index_put(
        (target, source * K + scale), edge_weight, accumulate=True
    )
    graph = ScaleGraph.build(source, target, scale, edge_weight, V, num_targets, K)
    actual = multi_scale_product(x, weight, graph)
    expected = product_by_definition(x, weight, matrix)
    assert_same_with_gradients(actual, expected, (x, weight, edge_weight))
    with pytest.raises(ValueError, match='edges and a window'):
        multi_scale_product(x, weight, graph, Window(3))


@pytest.mark.parametrize('window', WINDOWS, ids=str)
@pytest.mark.parametrize('frames', [7, 200])
def test_factors_of_windows(window, frames):
    x, own = double(2, frames, V, 3), double(2, frames, V, 3)
    unfolded = (window.unfold(part).unflatten(2, (window.size, V)) for part in (x, own))
    shared, slots = unfolded
    expected = shared.sum(2)
    assert_same_with_gradients(sum_windows(x, window), expected, (x,))
    expected = (expected.unsqueeze(2) + slots).transpose(2, 3)
    actual = combine(sum_windows(x, window), own, window)
    assert_same_with_gradients(actual, expected, (x, own))


@pytest.mark.parametrize('window', [None, *WINDOWS], ids=str)
@pytest.mark.parametrize('training', [True, False])
def test_collapse(window, training):
    tau = window.size if window else 3
    h, own = double(2, 5, V, tau, 3), None
    inputs = [h, double(3), double(3), double(4, tau * 3), double(4)]
    _, gamma, beta, weight, bias = inputs
    whole = h
    if window:
        h, own = double(2, window.count(7), V, 3), double(2, 7, V, 3)
        inputs[:1] = h, own
        whole = combine(h, own, window)
    norm = torch.nn.BatchNorm1d(3).double().train(training)
    torch.nn.init.normal_(norm.running_mean)
    rows = whole.reshape(-1, 3)
    y = torch.nn.functional.batch_norm(
        rows, norm.running_mean.clone(), norm.running_var, gamma, beta, training
    )
    y = y.relu().view(whole.shape).flatten(-2)
    expected = torch.nn.functional.linear(y, weight, bias)

    mean, variance = norm.running_mean, norm.running_var
    if training:
        mean, variance = window_moments(h, own, window)
        torch.testing.assert_close(mean, rows.mean(0))
        torch.testing.assert_close(variance, rows.var(0, correction=0))
    actual = collapse_windows(
        h, mean, variance, norm.eps, gamma, beta, weight, bias, own, window, training
    )
    assert_same_with_gradients(actual, expected, inputs)


def test_gradients_by_differences():
    x, weight, matrix = double(2, 3, 2, 2), double(2, 2), double(3, 6 * 1)
    window = Window(3)

    def product(x, weight, matrix):
        return multi_scale_product(x, weight, matrix, window)

    assert torch.autograd.gradcheck(product, (x, weight, matrix))
    assert torch.autograd.gradcheck(product, (x.detach(), weight, matrix.detach()))


def test_the_mean_of_a_running_norm_has_a_gradient():
    h, mean, weight = double(2, 3, V, 3, 2), double(2), double(4, 6)
    ones = torch.ones(2, dtype=torch.float64)

    def run(h, mean, weight):
        return collapse_windows(h, mean, ones, 1e-5, ones, ones, weight, None)

    assert torch.autograd.gradcheck(run, (h, mean, weight))


@pytest.mark.parametrize('window', [None, Window(3, stride=2)], ids=str)
def test_registered_as_torch_wants_it(window):
    checks = ('test_schema', 'test_autograd_registration', 'test_faketensor')
    size = list(window or ())
    matrix = double(V, (window.size if window else 1) * V * K)
    x = double(3, 6, V, 3) if window else double(3, V, 3)
    op = torch.ops.pyg_msg3d.multi_scale_dense.default
    torch.library.opcheck(op, (x, double(K * 5, 3), matrix, size), test_utils=checks)
    edges = torch.randint(0, V, (2, 9))
    scale = torch.randint(0, K, (9,))
    graph = ScaleGraph.build(edges[0], edges[1], scale, double(9).detach(), V, V, K)
    args = list(graph.indices), list(graph.sizes), 'csr'
    op = torch.ops.pyg_msg3d.multi_scale_sparse.default
    given = double(3, V, 3), double(K * 5, 3), graph.weight, *args
    torch.library.opcheck(op, given, test_utils=checks)
    h = double(2, 4, V, 3) if window else double(2, 5, V, 3, 3)
    own = double(2, 7, V, 3) if window else None
    of_channel = [torch.rand(3, dtype=torch.float64) for _ in range(4)]
    op = torch.ops.pyg_msg3d.collapse_windows.default
    mean, variance, *affine = of_channel
    given = h, own, mean, variance, 1e-5, *affine, double(4, 9), size, True
    torch.library.opcheck(op, given, test_utils=checks)


def test_autocast():
    x, weight, matrix = (
        torch.randn(2, 6, V, 3),
        torch.randn(K * 5, 3),
        torch.randn(V, 8),
    )
    expected = multi_scale_product(x, weight, matrix)
    with torch.autocast('cpu', torch.bfloat16):
        low = multi_scale_product(x, weight, matrix)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), expected, rtol=0.05, atol=0.2)


def test_torch_counts_what_is_multiplied():
    x, weight, matrix = (
        torch.randn(2, 6, V, 3),
        torch.randn(K * 5, 3),
        torch.randn(V, 8),
    )
    with FlopCounterMode(display=False) as counter:
        multi_scale_product(x, weight, matrix)
    # Gathering first: 12 frames, 4 x 2 slots from 4 joints of 3 channels, then 6 to 5.
    assert counter.get_total_flops() == 2 * 12 * (4 * 2 * 4 * 3 + 4 * 6 * 5)
