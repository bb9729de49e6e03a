import problems
import pytest
import torch
from problems import (
    DTYPES,
    PACKAGES,
    WAYS,
    WINDOWS,
    K,
    V,
    assert_is_definition,
    full_graph,
    leaf,
    sparse_graph,
)

from pyg_msg3d.graph import ScaleGraph
from pyg_msg3d.ops import Window, aggregate, chosen, policy, scale_sum, use

# Narrow ones go another way than wide ones.
CHANNELS = [(3, 5), (5, 3), (20, 33), (33, 20)]


def problem(kind, window, channels, dtype=torch.float64, targets=9):
    x = leaf(2, 3, 6, V, channels[0], dtype=dtype)
    maps = leaf(K * channels[1], channels[0], dtype=dtype)
    sources = (window.size if window else 1) * V
    make = {'edges': sparse_graph, 'full': full_graph}[kind]
    return x, maps, make(sources, targets, dtype=dtype)


@pytest.mark.parametrize('way', WAYS, ids='-'.join)
@pytest.mark.parametrize('window', [None, *WINDOWS], ids=str)
@pytest.mark.parametrize('kind', ['edges', 'full'])
def test_every_way_is_the_definition(way, window, kind):
    for channels in CHANNELS:
        x, maps, graph = problem(kind, window, channels)
        inputs = x, maps, graph.weight
        assert_is_definition(lambda: scale_sum(*inputs[:2], graph, window), inputs, way)  # noqa: B023


@pytest.mark.parametrize('way', WAYS, ids='-'.join)
@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('window', [None, Window(3, 2)], ids=str)
def test_every_way_in_every_type(way, dtype, window):
    for targets in (3, 9):
        x, maps, graph = problem('edges', window, (17, 6), dtype, targets)
        inputs = x, maps, graph.weight
        assert_is_definition(lambda: scale_sum(x, maps, graph, window), inputs, way)  # noqa: B023


@pytest.mark.parametrize('backend', PACKAGES, indirect=True)
@pytest.mark.parametrize('window', [None, *WINDOWS], ids=str)
@pytest.mark.parametrize('kind', ['edges', 'full'])
def test_packages_too(backend, window, kind):
    for channels in CHANNELS:
        x, maps, graph = problem(kind, window, channels)
        inputs = x, maps, graph.weight
        run = lambda: scale_sum(*inputs[:2], graph, window)  # noqa: B023, E731
        assert_is_definition(run, inputs, [backend])


@pytest.mark.parametrize('backend', ['dense', 'csr', *PACKAGES], indirect=True)
@pytest.mark.parametrize('window', [None, Window(3)], ids=str)
def test_without_maps(backend, window):
    graph = sparse_graph(V * (window.size if window else 1), 5)
    h = leaf(2, 6, V * K, 4)
    inputs = h, graph.weight
    assert_is_definition(lambda: scale_sum(h, None, graph, window), inputs, [backend])


@pytest.mark.parametrize('backend', ['dense', 'csr', *PACKAGES], indirect=True)
def test_no_edges(backend):
    graph = sparse_graph(V, 5, num_edges=0)
    x, maps = leaf(2, 6, V, 3), leaf(K * 4, 3)
    with use(backend):
        out = scale_sum(x, maps, graph)
        out.sum().backward()
    assert out.shape == (2, 6, 5, 4)
    assert (out == 0).all()
    assert (x.grad == 0).all()
    assert (maps.grad == 0).all()


@pytest.mark.parametrize('backend', ['auto', 'dense', 'csr', *PACKAGES], indirect=True)
def test_edges_by_hand(backend):
    """Edge by edge, frame by frame."""
    window = Window(3, stride=2, dilation=2)
    x = torch.randn(2, 9, 7, 4, dtype=torch.float64)
    source, target = torch.randint(0, 21, (40,)), torch.randint(0, 5, (40,))
    weight = torch.randn(40, dtype=torch.float64)
    expected = x.new_zeros(2, window.count(9), 6, 4)
    for i in range(window.count(9)):
        for s, t, w in zip(source.tolist(), target.tolist(), weight, strict=True):
            at = i * window.stride + s // 7 * window.dilation - window.padding
            if 0 <= at < 9:
                expected[:, i, t] += w * x[:, at, s % 7]
    out = aggregate(x, source, target, weight, 6, window, backend)
    torch.testing.assert_close(out, expected)
    ones = aggregate(x, source, target, None, 6, window, backend)
    same = aggregate(x, source, target, torch.ones_like(weight), 6, window, backend)
    torch.testing.assert_close(ones, same)


@pytest.mark.parametrize('window', [None, Window(3)], ids=str)
def test_gradients_by_differences(window):
    tau = window.size if window else 1
    x, maps, matrix = leaf(2, 3, 2, 2), leaf(2 * K, 2), leaf(3, 2 * tau * K)

    def run(x, maps, matrix):
        sizes = {'num_sources': 2 * tau, 'num_targets': 3, 'num_scales': K}
        return scale_sum(x, maps, ScaleGraph.of(matrix, **sizes), window)

    assert torch.autograd.gradcheck(run, (x, maps, matrix))
    assert torch.autograd.gradcheck(run, (x.detach(), maps, matrix.detach()))
    assert torch.autograd.gradgradcheck(run, (x, maps, matrix))


def test_unknown_and_missing_backends(monkeypatch):
    graph = sparse_graph(V, 5)
    x = torch.randn(2, V, 3)
    maps = torch.randn(K * 2, 3)
    with pytest.raises(ValueError, match="Unknown backend 'cuda'.*dense, scatter"):
        scale_sum(x, maps, graph, backend='cuda')
    for package in ('torch_sparse', 'torch_scatter'):
        monkeypatch.setattr(f'torch_geometric.typing.WITH_{package.upper()}', False)
        with pytest.raises(RuntimeError, match='not installed'):
            scale_sum(x, maps, graph, backend=package)


@pytest.mark.parametrize('backend', ['torch_sparse'], indirect=True)
def test_backends_without_bfloat16_say_so(backend):
    x, maps = torch.randn(2, V, 3).bfloat16(), torch.randn(K * 2, 3).bfloat16()
    graph = sparse_graph(V, 5)
    with pytest.raises(RuntimeError, match=f"backend='{backend}'.*bfloat16.*auto"):
        scale_sum(x, maps, graph, backend=backend)
    assert scale_sum(x, maps, graph).dtype == torch.bfloat16  # auto


def test_what_auto_stands_for():
    cpu = torch.device('cpu')
    assert policy.backend(cpu, num_edges=925, num_entries=25 * 325) == 'dense'
    assert policy.backend(cpu, num_edges=100_000, num_entries=10**9) == 'csr'
    assert policy.backend(cpu, num_edges=10**6, num_entries=2 * 10**6) == 'dense'
    for device in map(torch.device, ('meta', 'cuda')):
        assert policy.backend(device, num_edges=9, num_entries=9) == 'dense'
        assert policy.backend(device, num_edges=9, num_entries=10**6) == 'triton'
    assert policy.backend(torch.device('mps'), 9, 9) == 'reference'
    x, graph = torch.randn(2, V, 3), full_graph(V, 5)
    assert chosen('auto', x, graph) == 'dense'
    assert chosen('csr', x, graph) == 'csr'
    with use('reference'):
        assert chosen('csr', x, graph) == 'reference'


def test_what_does_not_fit():
    graph = sparse_graph(V, 5)
    maps = torch.randn(K * 2, 3)
    with pytest.raises(ValueError, match='maps of 2 channels'):
        scale_sum(torch.randn(V, 2), maps, graph)
    with pytest.raises(ValueError, match=f'a graph of 5 sources.*got {V} sources'):
        scale_sum(torch.randn(5, 3), maps, graph)
    with pytest.raises(ValueError, match='with as many scales as the'):
        scale_sum(torch.randn(V, 3), torch.randn(5, 3), graph)
    with pytest.raises(ValueError, match=f'a graph of {3 * V} sources'):
        scale_sum(torch.randn(7, V, 3), maps, graph, Window(3))


@pytest.mark.parametrize('window', problems.WINDOWS, ids=str)
def test_window_unfolds_every_frame_once_in_its_place(window):
    x = torch.arange(1.0, 12).view(1, 11, 1, 1)
    out = window.unfold(x)
    assert out.shape == (1, window.count(11), window.size, 1)
    for i in range(window.count(11)):
        for t in range(window.size):
            at = i * window.stride + t * window.dilation - window.padding
            assert out[0, i, t, 0] == (at + 1 if 0 <= at < 11 else 0)
