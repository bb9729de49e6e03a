"""Adjacencies of small graphs against networkx, against numbers by hand, and searched
within little memory."""

import sys

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_msg3d import skeleton
from pyg_msg3d.graph import (
    adjacency_powers,
    disentangle,
    factored_window,
    window_graph,
)

GRAPHS = {
    'one node': nx.empty_graph(1),
    'no edges': nx.empty_graph(4),
    'path': nx.path_graph(7),
    'cycle': nx.cycle_graph(6),
    'star': nx.star_graph(5),
    'complete': nx.complete_graph(5),
    'Petersen': nx.petersen_graph(),
    'two parts': nx.disjoint_union(nx.path_graph(3), nx.cycle_graph(4)),
    'one way': nx.path_graph(5, create_using=nx.DiGraph),
    'around': nx.cycle_graph(5, create_using=nx.DiGraph),
}
for _name in ('ntu-rgb+d', 'coco-17'):
    _bones = nx.Graph(skeleton(_name).edge_index.t().tolist())
    GRAPHS[_name] = nx.relabel_nodes(_bones, {v: v for v in sorted(_bones)})


def edges_of(graph):
    return (
        torch.tensor(list(graph.to_directed().edges), dtype=torch.long).view(-1, 2).t()
    )


def dense(found, targets, sources, num_scales):
    """[K, target, source]; every entry is given once, and none is zero."""
    (source, target), edge_type, weight = found
    assert weight.dtype == torch.float32
    assert edge_type.shape == weight.shape == source.shape
    matrices = np.zeros((num_scales, targets, sources))
    assert min(source.min(), target.min()) >= 0
    for place in zip(edge_type.tolist(), target.tolist(), source.tolist(), strict=True):
        assert matrices[place] == 0
        matrices[place] = 1
    matrices[edge_type, target, source] = weight
    return matrices


def published(graph, num_scales, normalization='sym'):
    """Equation 4 of the paper, entry by entry, from networkx's shortest paths; and
    D^-1/2 A D^-1/2, where a node's degree counts its self-loop."""
    nodes = sorted(graph)
    hops = dict(nx.all_pairs_shortest_path_length(graph))
    matrices = np.zeros((num_scales, len(nodes), len(nodes)))
    for k in range(num_scales):
        for v in nodes:
            for u in nodes:
                if u == v or hops[u].get(v) == k:
                    matrices[k, v, u] = 1
        into = np.diag(matrices[k].sum(1))
        out_of = np.diag(matrices[k].sum(0))
        if normalization == 'sym':
            half = np.linalg.inv(np.sqrt(into)), np.linalg.inv(np.sqrt(out_of))
            matrices[k] = half[0] @ matrices[k] @ half[1]
        elif normalization == 'col':
            matrices[k] = np.linalg.inv(into) @ matrices[k]
    return matrices


@pytest.mark.parametrize('name', GRAPHS)
@pytest.mark.parametrize('normalization', ['sym', 'col', None])
def test_scales_are_the_published_ones(name, normalization):
    graph, n = GRAPHS[name], len(GRAPHS[name])
    for num_scales in (1, 2, 5, 13):
        found = disentangle(edges_of(graph), n, num_scales, normalization)
        np.testing.assert_allclose(
            dense(found, n, n, num_scales),
            published(graph, num_scales, normalization),
            rtol=3e-7,
        )


@pytest.mark.parametrize('name', GRAPHS)
def test_the_paper_normalises_symmetrically(name):
    """By default, in all functions; undirected graphs have symmetric matrices."""
    graph, n = GRAPHS[name], len(GRAPHS[name])
    edges = edges_of(graph)
    for function in (disentangle, adjacency_powers):
        a, b = function(edges, n, 4), function(edges, n, 4, 'sym')
        assert all(one.equal(other) for one, other in zip(a, b, strict=True))
        matrices = dense(a, n, n, 4)
        if not graph.is_directed():
            np.testing.assert_array_equal(matrices, matrices.transpose(0, 2, 1))
    a, b = (
        factored_window(edges, n, num_scales=4, window_size=3, **given)
        for given in ({}, {'normalization': 'sym'})
    )
    assert all(one.equal(other) for one, other in zip(a, b, strict=True))


def test_a_path_of_three_by_hand():
    """Node 1 in the middle: at one hop, rows have 2, 3 and 2 ones; at two hops, 2, 1
    and 2."""
    a, b = 0.5, 6**-0.5
    expected = [
        np.eye(3),
        [[a, b, 0], [b, 1 / 3, b], [0, b, a]],
        [[a, 0, a], [0, 1, 0], [a, 0, a]],
        np.eye(3),
    ]
    found = disentangle(edges_of(nx.path_graph(3)), 3, 4)
    np.testing.assert_allclose(dense(found, 3, 3, 4), expected, rtol=1e-6)
    assert found[0].tolist()[1] == sorted(found[0].tolist()[1])


def test_one_way_streets_lead_from_source_to_target():
    edges = torch.tensor([[0], [1]])
    for function in (disentangle, adjacency_powers):
        found = dense(function(edges, 2, 2, None), 2, 2, 2)
        assert found[1].tolist() == [[1, 0], [1, 1]]
    found = dense(disentangle(edges, 2, 2, 'col'), 2, 2, 2)
    assert found[1].tolist() == [[1, 0], [0.5, 0.5]]
    r = 0.5**0.5
    found = dense(disentangle(edges, 2, 2), 2, 2, 2)
    np.testing.assert_allclose(found[1], [[r, 0], [0.5, r]], rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_loops_and_repeated_edges_change_nothing(n, seed, num_scales):
    """Nor does the order of the edges, for windows and powers either."""
    graph = nx.gnp_random_graph(n, 0.3, seed, directed=True)
    edges = edges_of(graph)
    loops = torch.arange(n).expand(2, -1)
    noisy = torch.cat([edges.flip(1), loops, edges, loops], dim=1)
    for function in (disentangle, adjacency_powers):
        a, b = function(edges, n, num_scales), function(noisy, n, num_scales)
        assert all(one.equal(other) for one, other in zip(a, b, strict=True))
    plain, other = (window_graph(e, n, 2) for e in (torch.unique(edges, dim=1), noisy))
    assert plain.unique(dim=1).equal(other.unique(dim=1))
    assert (
        plain.size(1) == plain.unique(dim=1).size(1) == 4 * (edges.size(1) + n) - 2 * n
    )


# Powers -------------------------------------------------------------------------------


@pytest.mark.parametrize('name', GRAPHS)
@pytest.mark.parametrize('normalization', ['sym', 'col', None])
def test_powers_of_the_normalised_adjacency(name, normalization):
    """By numpy; sorted by target, source and scale, as all edges are."""
    graph, n = GRAPHS[name], len(GRAPHS[name])
    first = published(graph, 2, normalization)[1]
    expected = np.stack([np.linalg.matrix_power(first, k) for k in range(4)])
    found = adjacency_powers(edges_of(graph), n, 4, normalization)
    matrices = dense(found, n, n, 4)
    np.testing.assert_allclose(matrices, expected, rtol=1e-6, atol=1e-12)
    (source, target), edge_type, _ = found
    order = [*zip(target.tolist(), source.tolist(), edge_type.tolist(), strict=True)]
    assert order == sorted(order)
    alone = adjacency_powers(edges_of(graph), n, 1, normalization)
    assert alone[0].tolist() == [[*range(n)]] * 2
    assert alone[2].tolist() == [1] * n


# Windows ------------------------------------------------------------------------------


@pytest.mark.parametrize('name', GRAPHS)
@pytest.mark.parametrize('window_size', [1, 2, 4])
def test_a_window_ties_all_its_frames(name, window_size):
    """Joint v of frame t is node t V + v."""
    graph, n = GRAPHS[name], len(GRAPHS[name])
    tied = set(graph.to_directed().edges) | {(v, v) for v in graph}
    frames = range(window_size)
    expected = {
        (s * n + u, t * n + v) for s in frames for t in frames for u, v in tied
    } - {(v, v) for v in range(window_size * n)}
    edges = window_graph(edges_of(graph), n, window_size)
    assert edges.shape == (2, len(expected))
    assert set(map(tuple, edges.t().tolist())) == expected


@pytest.mark.parametrize('name', GRAPHS)
@pytest.mark.parametrize('normalization', ['sym', 'col', None])
def test_two_factors_make_the_adjacency_of_the_window(name, normalization):
    """Ones around B plus an identity around D, against networkx on the window."""
    graph, n, tau = GRAPHS[name], len(GRAPHS[name]), 3
    window = nx.DiGraph()
    window.add_nodes_from(range(tau * n))
    for s in range(tau):
        for t in range(tau):
            window.add_edges_from((s * n + v, t * n + v) for v in graph)
            window.add_edges_from(
                (s * n + u, t * n + v) for u, v in graph.to_directed().edges
            )
    for num_scales in (1, 2, 4):
        factors = factored_window(
            edges_of(graph), n, num_scales=num_scales, window_size=tau,
            normalization=normalization,
        )  # fmt: skip
        b, d = np.split(dense(factors, 2 * n, n, num_scales), 2, axis=1)
        found = np.kron(np.ones((1, tau, tau)), b) + np.kron(np.eye(tau)[None], d)
        expected = published(window, num_scales, normalization)
        np.testing.assert_allclose(found, expected, rtol=3e-7)


# What is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ('edges', 'message'),
    [
        (torch.zeros(2, dtype=torch.long), r'integers of shape \[2, num_edges\]'),
        (torch.zeros(2, 1, 1, dtype=torch.long), r'integers of shape'),
        (torch.zeros(1, 2, dtype=torch.long), r'integers of shape'),
        (torch.zeros(2, 1, dtype=torch.float64), 'float64'),
        (torch.tensor([[0], [-1]]), 'to node -1, .* has 3 nodes, numbered 0 to 2'),
        (torch.tensor([[3], [0]]), 'to node 3, .* has 3 nodes, numbered 0 to 2'),
        (torch.tensor([[9], [-2]]), 'to node -2'),
    ],
)
def test_edges_between_nodes_there_are(edges, message):
    for function in (
        lambda: disentangle(edges, 3, 2),
        lambda: adjacency_powers(edges, 3, 2),
        lambda: window_graph(edges, 3, 2),
        lambda: factored_window(edges, 3, num_scales=2, window_size=2),
    ):
        with pytest.raises(ValueError, match=message):
            function()


def test_the_first_and_the_last_node_may_be_tied():
    edges = torch.tensor([[0, 2], [2, 0]])
    assert disentangle(edges, 3, 2)[1].tolist() == [0, 1, 1, 0, 1, 1, 0, 1]
    assert disentangle(edges.int(), 3, 2)[1].tolist() == [0, 1, 1, 0, 1, 1, 0, 1]
    assert window_graph(edges, 3, 1).size(1) == 2
    none = torch.zeros(2, 0, dtype=torch.long)
    assert window_graph(none, 3, 2).size(1) == 6


def test_numbers_that_are_too_small():
    edges = torch.tensor([[0], [1]])
    for size in (0, -1):
        with pytest.raises(
            ValueError, match=f"'window_size' .* at least 1 .got {size}"
        ):
            factored_window(edges, 2, num_scales=2, window_size=size)
        with pytest.raises(
            ValueError, match=f"'window_size' .* at least 1 .got {size}"
        ):
            window_graph(edges, 2, size)
        with pytest.raises(ValueError, match=f"'num_scales' .* at least 1 .got {size}"):
            factored_window(edges, 2, num_scales=size, window_size=2)
        with pytest.raises(ValueError, match=f"'num_scales' .* at least 1 .got {size}"):
            adjacency_powers(edges, 2, size)
    for function in (disentangle, adjacency_powers):
        with pytest.raises(ValueError, match="'sym', 'col' or None .got 'row'"):
            function(edges, 2, 2, 'row')
    with pytest.raises(ValueError, match="'sym', 'col' or None .got 'row'"):
        factored_window(edges, 2, num_scales=2, window_size=2, normalization='row')


# Memory -------------------------------------------------------------------------------


class Search:
    """From which roots was searched, how many pairs of root and node were looked at
    at once, and whether the search came to its end."""

    def __init__(self, roots):
        self.roots, self.most, self.done = roots.tolist(), 0, False


@pytest.fixture
def searches(monkeypatch):
    """Notes the searches of a graph."""
    module = sys.modules['pyg_msg3d.graph.disentangle']
    search, unique = module._hop_distances, torch.unique
    noted = []

    def watched_search(roots, *args):
        noted.append(Search(roots))
        found = search(roots, *args)
        noted[-1].done = found is not None
        return found

    def watched_unique(pairs, *args, **kwargs):
        if noted:
            noted[-1].most = max(noted[-1].most, len(pairs))
        return unique(pairs, *args, **kwargs)

    monkeypatch.setattr(module, '_hop_distances', watched_search)
    monkeypatch.setattr(torch, 'unique', watched_unique)
    return noted


@pytest.mark.parametrize('name', GRAPHS)
@pytest.mark.parametrize('bound', [2, 64, 64 * 4])
def test_little_memory_changes_nothing(name, bound, searches, monkeypatch):
    monkeypatch.setattr(sys.modules['pyg_msg3d.graph.disentangle'], '_CHUNK', bound)
    graph, n = GRAPHS[name], len(GRAPHS[name])
    found = disentangle(edges_of(graph), n, 5)
    np.testing.assert_allclose(dense(found, n, n, 5), published(graph, 5), rtol=3e-7)
    # From every node once, the first first.
    assert [v for search in searches if search.done for v in search.roots] == [
        *range(n)
    ]
    assert all(search.done or len(search.roots) > 1 for search in searches)
    assert all(search.most <= bound or len(search.roots) == 1 for search in searches)


def test_enough_memory_is_used(searches, monkeypatch):
    """All nodes at once, where they fit."""
    module = sys.modules['pyg_msg3d.graph.disentangle']
    monkeypatch.setattr(module, '_CHUNK', 64 * 8)
    disentangle(edges_of(nx.cycle_graph(8)), 8, 4)
    assert [search.roots for search in searches] == [[*range(8)]]


@pytest.mark.parametrize('bound', [64 * 8, 64 * 2])
def test_a_hub_is_searched_from_fewer_nodes_at_once(bound, searches, monkeypatch):
    """From eight of its leaves, or two, all nodes would be a little too many pairs."""
    monkeypatch.setattr(sys.modules['pyg_msg3d.graph.disentangle'], '_CHUNK', bound)
    edge_type = disentangle(edges_of(nx.star_graph(65)), 66, 3)[1]
    assert edge_type.bincount().tolist() == [66, 66 + 2 * 65, 66 + 65 * 64]
    assert all(search.most <= bound or len(search.roots) == 1 for search in searches)
    assert 1 <= sum(not search.done for search in searches) <= 3
    assert len(searches) <= 66 + 3


def test_graphs_stay_on_the_device_of_their_edges():
    """Whichever is the default, here one that holds no numbers."""
    edges, n = edges_of(nx.star_graph(5)), 6
    for normalization in ('sym', 'col', None):
        for function in (
            lambda norm: disentangle(edges, n, 3, norm),
            lambda norm: factored_window(
                edges, n, num_scales=3, window_size=2, normalization=norm
            ),
            lambda norm: [window_graph(edges, n, 2)],
        ):
            expected = function(normalization)
            with torch.device('meta'):
                found = function(normalization)
            assert all(a.equal(b) for a, b in zip(found, expected, strict=True))
