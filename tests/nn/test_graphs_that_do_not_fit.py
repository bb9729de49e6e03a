"""Refused by every backend, before anything is read."""

from dataclasses import replace

import pytest
import torch

from pyg_msg3d.graph import ScaleGraph, disentangle, window_graph
from pyg_msg3d.nn import G3DConv, MSGCNConv
from pyg_msg3d.ops import aggregate, scale_sum

BACKENDS = ('auto', 'reference', 'dense', 'scatter', 'csr')
every_backend = pytest.mark.parametrize('backend', BACKENDS)


def path_graph(nodes):
    i = torch.arange(nodes - 1)
    return torch.stack([torch.cat([i, i + 1]), torch.cat([i + 1, i])])


@every_backend
@pytest.mark.parametrize('nodes', [30, 1500])
def test_nodes_beyond_the_features(backend, nodes):
    graph = disentangle(path_graph(nodes), nodes, 3)
    conv = MSGCNConv(16, 4, 3, backend=backend)
    few = nodes * 2 // 3
    message = f"to node {nodes - 1}, but the features' nodes are {few}"
    with pytest.raises(ValueError, match=message):
        conv(torch.randn(few, 16), *graph)
    # A smaller graph fits: the other nodes have no edges.
    smaller = disentangle(path_graph(few), few, 3)
    assert conv(torch.randn(nodes, 16), *smaller).shape == (nodes, 4)


@every_backend
def test_windows_of_other_nodes(backend):
    bones = window_graph(path_graph(6), 6, 3)
    graph = disentangle(bones, 18, 2)
    conv = G3DConv(4, 5, 2, 3, backend=backend)
    assert conv(torch.randn(7, 6, 4), *graph).shape == (7, 6, 5)
    with pytest.raises(ValueError, match='to node 17, but'):
        conv(torch.randn(7, 5, 4), *graph)
    with pytest.raises(ValueError, match='with 4 channels'):
        conv(torch.randn(7, 6, 3), *graph)


@every_backend
def test_a_whole_window_is_no_factored_one(backend):
    graph = disentangle(window_graph(path_graph(6), 6, 3), 18, 2)
    conv = G3DConv(4, 5, 2, 3, factored=True, backend=backend)
    with pytest.raises(ValueError, match="to node 17, but the features' nodes are 6"):
        conv(torch.randn(7, 6, 4), *graph)


@every_backend
@pytest.mark.parametrize('change', ['swapped', 'scales', 'negative', 'types', 'whole'])
def test_edges_that_are_none(backend, change):
    index, hops, weight = disentangle(path_graph(9), 9, 3)
    graphs = {
        'swapped': (index, weight, hops),
        'scales': (index, hops + 1, weight),
        'negative': (index - 1, hops, weight),
        'types': (index.double(), hops, weight),
        'whole': (index, hops, weight.long()),
    }
    conv = MSGCNConv(6, 4, 3, backend=backend)
    with pytest.raises((ValueError, TypeError), match='edge_|edges refer|an adj'):
        conv(torch.randn(9, 6), *graphs[change])


@every_backend
def test_matrices_and_graphs_of_other_sizes(backend):
    index, hops, weight = disentangle(path_graph(9), 9, 3)
    graph = ScaleGraph.of(index, hops, weight, num_sources=9, num_scales=3)
    conv = MSGCNConv(6, 4, 3, backend=backend)
    assert conv(torch.randn(9, 6), graph).shape == (9, 4)
    message = (
        'Expected a ScaleGraph of 8 sources, 8 targets and 3 scales .got 9, 9 and 3'
    )
    for given in (graph, graph.sorted(), graph.full()):
        with pytest.raises(ValueError, match=message):
            conv(torch.randn(8, 6), given)
    matrix = graph.full().weight
    for given in (matrix, matrix.to_sparse_csr(), matrix.to_sparse_coo()):
        with pytest.raises(ValueError, match=r'adjacency of shape \[8, 24\]'):
            conv(torch.randn(8, 6), given)


@every_backend
def test_the_operators_alone(backend):
    source, target = path_graph(9)
    with pytest.raises(ValueError, match='to node 8'):
        aggregate(torch.randn(5, 3), source, target, None, 9, backend=backend)
    with pytest.raises(ValueError, match='to node 8, but targets are 5'):
        aggregate(torch.randn(9, 3), source, target, None, 5, backend=backend)
    edges = torch.stack([source, target])
    with pytest.raises(ValueError, match='to node 8'):
        ScaleGraph.of(edges, num_sources=5, num_targets=9)
    graph = ScaleGraph.of(edges, num_sources=9)
    maps = torch.randn(4, 3)
    for wrong in (graph, graph.sorted(), graph.full()):
        with pytest.raises(ValueError, match='a graph of 5 sources'):
            scale_sum(torch.randn(5, 3), maps, wrong, None, backend)
    with pytest.raises(ValueError, match='maps of 2 channels'):
        scale_sum(torch.randn(9, 2), maps, graph, None, backend)
    three = replace(graph, num_scales=3)
    with pytest.raises(ValueError, match='as many scales as the .4, 3. maps'):
        scale_sum(torch.randn(9, 3), maps, three, None, backend)


def test_compiled_code_refuses_too():
    """There, by an assertion that waits for nothing."""
    index, hops, weight = disentangle(path_graph(9), 9, 3)
    conv = MSGCNConv(6, 4, 3, backend='scatter')
    compiled = torch.compile(conv, backend='aot_eager', fullgraph=True)
    torch.testing.assert_close(
        compiled(torch.ones(9, 6), index, hops, weight),
        conv(torch.ones(9, 6), index, hops, weight),
    )
    with pytest.raises(RuntimeError, match='An edge refers to a node beyond 8'):
        compiled(torch.ones(9, 6), index + 4, hops, weight)
