import resource
import sys
import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_msg3d import skeleton
from pyg_msg3d.graph import (
    ScaleGraph,
    adjacency_powers,
    disentangle,
    factored_window,
    window_graph,
)


def matrices(graph, n, num_scales):
    """[K, target, source] of a graph in edges."""
    (source, target), edge_type, weight = graph
    dense = torch.zeros(num_scales, n, n, dtype=torch.float64)
    dense[edge_type, target, source] = weight.double()
    assert int((dense != 0).sum()) == weight.numel(), 'an edge is given twice'
    return dense


def exact_hops(adjacency, num_scales):
    """The definition, by matrix powers: pairs at exactly k hops, and loops."""
    n = len(adjacency)
    reach = [np.eye(n, dtype=bool)]
    for _ in range(1, num_scales):
        reach.append(reach[-1].astype(int) @ (adjacency + np.eye(n)) > 0)
    scales = [np.eye(n)]
    scales += [
        (b & ~a | np.eye(n, dtype=bool)).astype(float) for a, b in pairwise(reach)
    ]
    return np.stack(scales).transpose(0, 2, 1)  # [K, target, source]


@st.composite
def graphs(draw):
    n = draw(st.integers(1, 12))
    node = st.integers(0, n - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=30))
    if draw(st.booleans()):
        edges += [(v, u) for u, v in edges]
    return torch.tensor(edges, dtype=torch.long).view(-1, 2).t(), n


@given(graphs(), st.integers(1, 6), st.sampled_from(['sym', 'col', None]))
def test_disentangle_is_exact_hops_normalised(graph, num_scales, normalization):
    edge_index, n = graph
    adjacency = np.zeros((n, n))
    adjacency[edge_index[0], edge_index[1]] = 1
    expected = exact_hops(adjacency, num_scales)
    into, out_of = expected.sum(2, keepdims=True), expected.sum(1, keepdims=True)
    if normalization == 'sym':
        expected = expected / np.sqrt(into * out_of)
    elif normalization == 'col':
        expected = expected / into

    found = disentangle(edge_index, n, num_scales, normalization)
    actual = matrices(found, n, num_scales)
    torch.testing.assert_close(actual, torch.tensor(expected), rtol=3e-7, atol=0)
    (source, target), edge_type, _ = found
    key = (target * n + source) * num_scales + edge_type
    assert (key.diff() > 0).all()


@pytest.mark.parametrize('normalization', ['sym', 'col', None])
def test_powers(normalization):
    bones = skeleton('coco-17').edge_index
    first = disentangle(bones, 17, 2, normalization)
    adjacency = matrices(first, 17, 2)[1]
    found = matrices(adjacency_powers(bones, 17, 4, normalization), 17, 4)
    for k in range(4):
        expected = torch.linalg.matrix_power(adjacency, k)
        torch.testing.assert_close(found[k], expected, rtol=1e-6, atol=1e-9)


def test_window_graph():
    bones = torch.tensor([[0, 1, 1, 2, 1], [1, 0, 2, 1, 1]])  # With a self-loop.
    tied = torch.eye(3)
    tied[bones[0], bones[1]] = 1
    expected = tied.tile(2, 2) - torch.eye(6)
    actual = torch.zeros(6, 6)
    edges = window_graph(bones, 3, window_size=2)
    actual[edges[0], edges[1]] += 1
    assert edges.size(1) == int(expected.sum())
    assert actual.equal(expected)
    assert window_graph(bones, 3, 1).size(1) == 4


def test_published_numbers_of_edges():
    bones = skeleton('ntu-rgb+d').edge_index
    assert disentangle(bones, 25, 13)[1].numel() == 925
    for window_size, edges in ((3, 3300), (5, 8750)):
        window = window_graph(bones, 25, window_size)
        assert disentangle(window, 25 * window_size, 6)[1].numel() == edges


def path(n):
    one_way = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
    return torch.cat([one_way, one_way.flip(0)], dim=1)


def grid(rows, columns):
    node = torch.arange(rows * columns).view(rows, columns)
    right = torch.stack([node[:, :-1].flatten(), node[:, 1:].flatten()])
    down = torch.stack([node[:-1].flatten(), node[1:].flatten()])
    one_way = torch.cat([right, down], dim=1)
    return torch.cat([one_way, one_way.flip(0)], dim=1)


@pytest.mark.parametrize(
    'edge_index', [path(100_000), grid(250, 400)], ids=['path', 'grid']
)
def test_large_graphs_stay_sparse(edge_index):
    unit = 1 if sys.platform == 'darwin' else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    start = time.perf_counter()
    edges, edge_type, _ = disentangle(edge_index, 100_000, 4)
    seconds = time.perf_counter() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before
    assert seconds < 30
    assert grown < 2e9
    # An inner node of the grid has 4 k nodes at k hops, of the path 2.
    inner = 50_200
    count = torch.bincount(edge_type[edges[1] == inner]).tolist()
    assert count in ([1, 3, 3, 3], [1, 5, 9, 13])


def test_a_hub_that_outgrows_the_memory_bound(monkeypatch):
    module = sys.modules['pyg_msg3d.graph.disentangle']
    leaves = torch.arange(1, 60)
    star = torch.stack([torch.zeros_like(leaves), leaves])
    star = torch.cat([star, star.flip(0)], dim=1)
    expected = disentangle(star, 60, 3)
    monkeypatch.setattr(module, '_CHUNK', 64)
    for a, b in zip(disentangle(star, 60, 3), expected, strict=True):
        assert a.equal(b)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((torch.zeros(3, 2, dtype=torch.long), 5, 2), r'\[2, num_edges\].*\[3, 2\]'),
        ((torch.zeros(2, 2), 5, 2), 'float32'),
        ((torch.tensor([[0], [5]]), 5, 2), 'node 5, but the graph has 5 nodes'),
        ((torch.tensor([[-1], [0]]), 5, 2), 'node -1'),
        ((torch.tensor([[0], [1]]), 5, 0), "'num_scales' must be at least 1"),
        ((torch.tensor([[0], [1]]), 5, 2, 'row'), "'sym', 'col' or None"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        disentangle(*arguments)
    with pytest.raises(ValueError, match=message):
        adjacency_powers(*arguments)


def test_window_refusal():
    with pytest.raises(ValueError, match='window_size'):
        window_graph(torch.tensor([[0], [1]]), 2, 0)


@pytest.mark.parametrize('normalization', ['sym', 'col', None])
@pytest.mark.parametrize(
    ('window_size', 'num_scales'), [(1, 3), (3, 1), (3, 6), (4, 5)]
)
def test_factors_of_a_window_are_its_graph(window_size, num_scales, normalization):
    bones, v, tau = skeleton('ntu-rgb+d').edge_index, 25, window_size
    edges, scale, weight = factored_window(
        bones, v, num_scales=num_scales, window_size=tau, normalization=normalization
    )
    whole = ScaleGraph.of(
        edges, scale, weight, num_sources=v, num_targets=2 * v, num_scales=num_scales
    ).unfactored(tau)
    factors = torch.zeros(num_scales, 2, v, v)
    factors[scale, edges[1] // v, edges[1] % v, edges[0]] = weight
    ones, own = torch.ones(tau, tau), torch.eye(tau)
    expanded = torch.stack(
        [torch.kron(ones, b) + torch.kron(own, d) for b, d in factors]
    )

    window = window_graph(bones, v, tau)
    edges, scale, weight = disentangle(window, tau * v, num_scales, normalization)
    expected = torch.zeros(num_scales, tau * v, tau * v)
    expected[scale, edges[1], edges[0]] = weight
    assert torch.equal(expanded, expected)
    assert whole.sizes == (tau * v, tau * v, num_scales)
    assert torch.equal(whole.weight, expected.permute(1, 2, 0).flatten(1))


@pytest.mark.parametrize('normalization', ['sym', 'col', None])
@pytest.mark.parametrize('window_size', [1, 2, 3, 5])
def test_a_window_in_one_call(window_size, normalization):
    bones, v = skeleton('ntu-rgb+d').edge_index, 25
    found = disentangle(bones, v, 6, normalization, window_size=window_size)
    window = window_graph(bones, v, window_size)
    expected = disentangle(window, window_size * v, 6, normalization)
    assert all(a.equal(b) for a, b in zip(found, expected, strict=True))


def test_windows_and_scales_have_one_order():
    """That of the layer; and no call may mean one for the other."""
    bones = skeleton('coco-17').edge_index
    with pytest.raises(TypeError, match='positional arguments'):
        factored_window(bones, 17, 3, 6)
    with pytest.raises(TypeError, match='positional arguments'):
        disentangle(bones, 17, 6, 'sym', 3)
    with pytest.raises(ValueError, match=r"'window_size' must be at least 1 .got 0"):
        disentangle(bones, 17, 6, window_size=0)
    with pytest.raises(ValueError, match='node 9, but the graph has 5 nodes'):
        disentangle(torch.tensor([[0], [9]]), 5, 2, window_size=3)


def test_numbers_of_pairs_beyond_int32():
    """Indices may be as short as nodes allow."""
    edges = torch.tensor([[99_998, 99_999], [99_999, 99_998]])
    expected = disentangle(edges, 100_000, 2)
    found = disentangle(edges.int(), 100_000, 2)
    assert all(a.equal(b) for a, b in zip(found, expected, strict=True))
