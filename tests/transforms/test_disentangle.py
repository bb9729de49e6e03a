"""Scales of any graph of PyG's, by a transform."""

import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData, InMemoryDataset
from torch_geometric.edge_index import EdgeIndex
from torch_geometric.loader import DataLoader
from torch_geometric.utils import erdos_renyi_graph

import pyg_msg3d.transforms as T
from pyg_msg3d import skeleton
from pyg_msg3d.data import SkeletonData
from pyg_msg3d.graph import disentangle
from pyg_msg3d.nn import MSGCNConv

KEYS = ('edge_index', 'edge_type', 'edge_weight')


def graph(nodes, weighted=False, **kwargs):
    edge_index = erdos_renyi_graph(nodes, 0.3)
    if weighted:
        kwargs['edge_weight'] = torch.rand(edge_index.size(1))
    return Data(torch.randn(nodes, 4), edge_index, y=torch.tensor([nodes]), **kwargs)


@pytest.mark.parametrize('normalization', ['sym', 'col', None])
@pytest.mark.parametrize('weighted', [False, True])
def test_it_is_disentangle_of_a_graph(normalization, weighted):
    data = graph(9, weighted)
    before = data.clone()
    out = T.Disentangle(3, normalization)(data)
    expected = disentangle(
        data.edge_index, 9, 3, normalization, edge_weight=data.edge_weight
    )
    assert all(out[k].equal(e) for k, e in zip(KEYS, expected, strict=True))
    assert out.x.equal(data.x)
    assert out.num_nodes == 9
    # What comes in stays what it is.
    assert data.edge_index.equal(before.edge_index)
    assert 'edge_type' not in data
    assert sorted(out.edge_attrs()) == sorted(KEYS)
    assert out.validate()


def test_defaults():
    assert str(T.Disentangle(3)) == "Disentangle(3, normalization='sym')"
    data = graph(5)
    one, other = T.Disentangle(3)(data), T.Disentangle(3, 'sym')(data)
    assert all(one[key].equal(other[key]) for key in KEYS)


@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('backend', ['auto', 'scatter'])
def test_a_batch_of_different_graphs_is_one_at_a_time(weighted, backend):
    transform = T.Disentangle(4)
    graphs = [transform(graph(nodes, weighted)) for nodes in (5, 1, 9, 7)]
    conv = MSGCNConv(4, 6, num_scales=4, backend=backend).double()

    def run(data):
        weight = data.edge_weight.double()
        return conv(data.x.double(), data.edge_index, data.edge_type, weight)

    (batch,) = DataLoader(graphs, batch_size=4)
    assert batch.edge_type.equal(torch.cat([data.edge_type for data in graphs]))
    assert int(batch.edge_index.max()) == 5 + 1 + 9 + 7 - 1
    torch.testing.assert_close(run(batch), torch.cat([run(data) for data in graphs]))
    for one, data in zip(batch.to_data_list(), graphs, strict=True):
        assert all(one[key].equal(data[key]) for key in KEYS)


def test_once_for_a_data_set(tmp_path):
    graphs = [graph(nodes) for nodes in (5, 8)]

    class Graphs(InMemoryDataset):
        processed_file_names = 'graphs.pt'

        def process(self):
            made = [self.pre_transform(data) for data in graphs]
            self.save(made, self.processed_paths[0])

    dataset = Graphs(str(tmp_path), pre_transform=T.Disentangle(3))
    dataset.load(dataset.processed_paths[0])
    for one, data in zip(dataset, graphs, strict=True):
        expected = disentangle(data.edge_index, data.num_nodes, 3)
        assert all(one[k].equal(e) for k, e in zip(KEYS, expected, strict=True))


def test_nodes_without_edges_are_nodes():
    data = Data(torch.randn(6, 2), torch.tensor([[0, 1], [1, 0]]))
    assert T.Disentangle(2)(data).edge_index[1].unique().tolist() == [*range(6)]
    data = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=3)
    assert T.Disentangle(2)(data).edge_type.tolist() == [0, 1] * 3


def test_an_edge_index_of_pyg():
    data = graph(6)
    plain = T.Disentangle(3)(data)
    data.edge_index = EdgeIndex(data.edge_index, sparse_size=(6, 6))
    found = T.Disentangle(3)(data)
    assert type(found.edge_index) is torch.Tensor
    assert all(found[key].equal(plain[key]) for key in KEYS)


def test_clips_with_bones():
    clip = SkeletonData(torch.randn(2, 5, 17, 3), 1, 'clip')
    out = T.Compose([T.AddBones('coco-17'), T.Disentangle(5)])(clip)
    expected = disentangle(skeleton('coco-17').edge_index, 17, 5)
    assert all(out[k].equal(e) for k, e in zip(KEYS, expected, strict=True))
    conv = MSGCNConv(3, 4, num_scales=5)
    assert conv(out.x, *(out[key] for key in KEYS)).shape == (2, 5, 17, 4)


def refusal(data):
    with pytest.raises((TypeError, ValueError)) as error:
        T.Disentangle(3)(data)
    return f'{error.type.__name__}: {error.value}'


def test_what_is_refused():
    assert 'TypeError: Expected a Data of one graph' in refusal(HeteroData())
    assert '(got HeteroData)' in refusal(HeteroData())
    assert '(got DataBatch)' in refusal(Batch.from_data_list([graph(3), graph(4)]))
    assert "with 'edge_index' (got Data(x=[3, 1]))" in refusal(Data(torch.ones(3, 1)))
    assert 'AddBones' in refusal(SkeletonData(torch.randn(1, 2, 17, 3)))
    twice = T.Disentangle(3)(graph(4))
    assert "have 'edge_type' already" in refusal(twice)
    data = Data(torch.randn(6, 2), torch.tensor([[0, 1, 2], [1, 2, 3]]))
    data.edge_attr, data.length = torch.ones(3, 2), torch.ones(3)
    assert "have 'edge_attr', 'length', which says nothing" in refusal(data)
    data = Data(torch.randn(6, 2), torch.tensor([[0, 1, 2], [1, 2, 3]]))
    data.edge_weight = -torch.ones(3)
    assert "'edge_weight' must be finite and not below zero" in refusal(data)


def test_node_attributes_are_no_edges_where_there_are_as_many():
    """Four nodes and four edges; names are a list, as long as both."""
    square = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
    data = Data(torch.randn(4, 2), square, names=['a', 'b', 'c', 'd'])
    assert T.Disentangle(2)(data).names == ['a', 'b', 'c', 'd']
