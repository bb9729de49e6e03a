"""Scales of graphs whose edges have weights, against all shortest paths, one by one."""

import math
import sys
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.utils import coalesce

from pyg_msg3d import skeleton
from pyg_msg3d.graph import disentangle, window_graph

NORMALIZATIONS = ['sym', 'col', None]
# Zeros too, and so different that products of long paths differ by much.
weights = st.sampled_from([0.0, 1e-3, 0.25, 0.5, 1.0, 1.0, 2.0, 3.7, 1e3])


@st.composite
def graphs(draw):
    """One way or both, with or without self-loops, in any order; no edge twice."""
    n = draw(st.integers(1, 8))
    node = st.integers(0, n - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=24, unique=True))
    if draw(st.booleans()):
        edges = list(dict.fromkeys([*edges, *((v, u) for u, v in edges)]))
    weight = draw(st.lists(weights, min_size=len(edges), max_size=len(edges)))
    edge_index = torch.tensor(edges, dtype=torch.long).view(-1, 2).t()
    return edge_index, torch.tensor(weight, dtype=torch.double), n


def by_paths(edge_index, edge_weight, n, num_scales, normalization):
    """[K, target, source] by the definition: of all shortest paths between two nodes,
    the largest product. And whether there is an entry at all."""
    weight = dict(
        zip(map(tuple, edge_index.t().tolist()), edge_weight.tolist(), strict=True)
    )
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(weight)
    found = np.zeros((num_scales, n, n))
    there = np.zeros((num_scales, n, n), bool)
    for u in range(n):
        for v, hops in nx.single_source_shortest_path_length(graph, u).items():
            if 0 < hops < num_scales:
                paths = nx.all_shortest_paths(graph, u, v)
                found[hops, v, u] = max(
                    math.prod(weight[edge] for edge in pairwise(path)) for path in paths
                )
                there[hops, v, u] = True
    found += np.eye(n)
    there |= np.eye(n, dtype=bool)
    into, out_of = found.sum(2, keepdims=True), found.sum(1, keepdims=True)
    if normalization == 'sym':
        found = found / np.sqrt(into * out_of)
    elif normalization == 'col':
        found = found / into
    return found, there


def dense(graph, n, num_scales):
    (source, target), edge_type, weight = graph
    assert weight.dtype == torch.float32
    there = np.zeros((num_scales, n, n), bool)
    there[edge_type, target, source] = True
    assert there.sum() == weight.numel(), 'an edge is given twice'
    found = np.zeros((num_scales, n, n))
    found[edge_type, target, source] = weight
    key = (target * n + source) * num_scales + edge_type
    assert (key.diff() > 0).all()
    return found, there


@given(graphs(), st.integers(1, 5), st.sampled_from(NORMALIZATIONS))
def test_weights_are_the_largest_products_of_shortest_paths(
    graph, num_scales, normalization
):
    edges, weight, n = graph
    found = disentangle(edges, n, num_scales, normalization, edge_weight=weight)
    expected, there = by_paths(edges, weight, n, num_scales, normalization)
    actual, entries = dense(found, n, num_scales)
    np.testing.assert_array_equal(entries, there)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


@given(graphs(), st.integers(1, 5), st.sampled_from(NORMALIZATIONS))
def test_weights_of_one_change_nothing(graph, num_scales, normalization):
    edges, weight, n = graph
    plain = disentangle(edges, n, num_scales, normalization)
    for ones in (torch.ones(len(weight)), torch.ones_like(weight)):
        found = disentangle(edges, n, num_scales, normalization, edge_weight=ones)
        assert all(a.equal(b) for a, b in zip(found, plain, strict=True))


@pytest.mark.parametrize('normalization', NORMALIZATIONS)
@pytest.mark.parametrize('name', ['ntu-rgb+d', 'coco-17'])
def test_weights_of_one_on_skeletons_and_their_windows(name, normalization):
    bones, n = skeleton(name).edge_index, skeleton(name).num_joints
    ones = torch.ones(bones.size(1))
    for tau in (1, 3):
        plain = disentangle(bones, n, 6, normalization, window_size=tau)
        found = disentangle(
            bones, n, 6, normalization, window_size=tau, edge_weight=ones
        )
        assert all(a.equal(b) for a, b in zip(found, plain, strict=True))


@settings(max_examples=50, deadline=None)
@given(graphs(), st.integers(1, 4), st.integers(1, 3), st.sampled_from(NORMALIZATIONS))
def test_windows_have_the_weights_of_their_frames(
    graph, num_scales, window_size, normalization
):
    """And a joint is tied to itself in other frames by a weight of one."""
    edges, weight, n = graph
    found = disentangle(
        edges, n, num_scales, normalization, window_size=window_size, edge_weight=weight
    )
    of = dict(zip(map(tuple, edges.t().tolist()), weight.tolist(), strict=True))
    window = window_graph(edges, n, window_size)
    pairs = [(u % n, v % n) for u, v in window.t().tolist()]
    tied = torch.tensor([1.0 if u == v else of[u, v] for u, v in pairs]).double()
    m = window_size * n
    expected, there = by_paths(window, tied, m, num_scales, normalization)
    actual, entries = dense(found, m, num_scales)
    np.testing.assert_array_equal(entries, there)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_a_square_by_hand():
    """Two ways lead from 0 to 3: by 1, 2 * 3, and by 2, 5 * 1. The first counts."""
    edges = torch.tensor([[0, 0, 1, 2], [1, 2, 3, 3]])
    weight = torch.tensor([2.0, 5.0, 3.0, 1.0])
    (source, target), hops, value = disentangle(edges, 4, 3, None, edge_weight=weight)
    two = (hops == 2) & (source != target)
    assert (source[two], target[two], value[two]) == (0, 3, 6)
    # Row 3 of scale 2 holds 6 and its own 1; so does column 0.
    value = disentangle(edges, 4, 3, edge_weight=weight)[2]
    assert value[two].item() == pytest.approx(6 / 7)
    value = disentangle(edges, 4, 3, 'col', edge_weight=weight)[2]
    assert value[two].item() == pytest.approx(6 / 7)


def test_self_loops_are_ignored_with_their_weights():
    edges = torch.tensor([[0, 1, 1, 1], [1, 0, 1, 1]])
    with_loops = disentangle(edges, 2, 2, edge_weight=torch.tensor([3.0, 2, 9, 9]))
    plain = disentangle(edges[:, :2], 2, 2, edge_weight=torch.tensor([3.0, 2]))
    assert all(a.equal(b) for a, b in zip(with_loops, plain, strict=True))


def test_an_edge_of_weight_zero_is_a_hop():
    edges = torch.tensor([[0, 1], [1, 2]])
    graph = disentangle(edges, 3, 3, edge_weight=torch.tensor([0.0, 4.0]))
    (source, target), hops, value = graph
    far = source != target
    assert source[far].tolist() == [0, 0, 1]
    assert target[far].tolist() == [1, 2, 2]
    assert hops[far].tolist() == [1, 2, 1]
    assert value[far].tolist() == [0, 0, pytest.approx(0.8)]


def test_little_memory_changes_nothing(monkeypatch):
    star = torch.stack([torch.zeros(40, dtype=torch.long), torch.arange(1, 41)])
    star = torch.cat([star, star.flip(0)], dim=1)
    weight = torch.rand(80)
    expected = disentangle(star, 41, 4, edge_weight=weight)
    monkeypatch.setattr(sys.modules['pyg_msg3d.graph.disentangle'], '_CHUNK', 64)
    found = disentangle(star, 41, 4, edge_weight=weight)
    assert all(a.equal(b) for a, b in zip(found, expected, strict=True))


EDGES = torch.tensor([[0, 1, 2], [1, 2, 0]])


@pytest.mark.parametrize(
    ('weight', 'message'),
    [
        ([1.0, 2.0], r'real numbers of shape \[3\], .* \(got torch.float32 of .*\[2\]'),
        ([[1.0], [2.0], [3.0]], r'shape \[3\].*\[3, 1\]'),
        ([1, 2, 3], r'real numbers .* \(got torch.int64'),
        ([1.0, -0.5, 1.0], r'not below zero.*-0.5 for the edge from 1 to 2'),
        ([1.0, 1.0, math.nan], r'must be finite.*nan for the edge from 2 to 0'),
        ([math.inf, 1.0, 1.0], r'must be finite.*inf for the edge from 0 to 1'),
        ([1e30, 1e30, 1.0], r'up to 1e\+60.*more than float32 holds; divide'),
    ],
)
def test_weights_that_are_refused(weight, message):
    for normalization in NORMALIZATIONS:
        with pytest.raises(ValueError, match=message):
            disentangle(EDGES, 3, 3, normalization, edge_weight=torch.tensor(weight))


def test_edges_given_twice_are_refused():
    """But not where there are no weights."""
    edges = torch.tensor([[4, 0, 4, 1], [2, 1, 2, 0]])
    weight = torch.ones(4)
    with pytest.raises(ValueError, match='from 4 to 2 is given more than once'):
        disentangle(edges, 5, 2, edge_weight=weight)
    merged = disentangle(edges, 5, 2, None, edge_weight=None)
    edges, weight = coalesce(edges, weight)
    found = disentangle(edges, 5, 2, None, edge_weight=weight)
    assert found[0].equal(merged[0])
    assert found[2].max() == 2


def test_a_gradient_that_would_be_lost_is_refused():
    weight = torch.ones(3, requires_grad=True)
    with pytest.raises(ValueError, match=r'No gradient .* edge_weight.detach\(\)'):
        disentangle(EDGES, 3, 2, edge_weight=weight)
