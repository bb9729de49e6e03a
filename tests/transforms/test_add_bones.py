"""Clips as graphs of PyG's: bones by a transform, or by the skeleton."""

import pytest
import torch
import torch_geometric.transforms as PyG
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.utils import to_networkx

import pyg_msg3d.transforms as T
from pyg_msg3d import Skeleton, skeleton
from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.datasets import SyntheticActions

BONES = skeleton('coco-17').edge_index
PARTS = Skeleton('parts', [*'abc'], [('a', 'b')], allow_disconnected=True)


def clip(joints=17, name='clip'):
    return SkeletonData(torch.randn(2, 4, joints, 3), 1, name)


def test_bones_of_a_clip():
    data = clip()
    out = T.AddBones('coco-17')(data)
    assert out.edge_index.equal(BONES)
    assert out.x is data.x
    assert 'edge_index' not in data
    assert str(T.AddBones('coco-17')) == "AddBones('coco-17')"
    with pytest.raises(SkeletonDataError, match="'clip' has 5 .*'coco-17' has 17"):
        T.AddBones('coco-17')(clip(5))


@pytest.mark.parametrize('make', [
    lambda x: T.AddBones('coco-17')(SkeletonData(x, 1, 'clip')),
    lambda x: skeleton('coco-17').to_data(x, y=1, name='clip'),
])  # fmt: skip
def test_what_pyg_says_of_clips_and_of_their_batches(make):
    clips = [make(torch.randn(2, 4, 17, 3)) for _ in range(3)]
    (batch,) = DataLoader(clips, batch_size=3)
    for data, count in ((clips[0], 1), (batch, 3)):
        assert data.num_nodes == count * 17
        assert data.num_edges == count * BONES.size(1)
        assert data.validate()
        assert data.is_undirected()
        assert not data.has_isolated_nodes()
        assert not data.has_self_loops()
        assert data.num_node_features == 3
    assert batch.x.shape == (3, 2, 4, 17, 3)
    assert batch.batch.tolist() == [0] * 17 + [1] * 17 + [2] * 17
    assert batch.ptr.tolist() == [0, 17, 34, 51]
    assert batch.edge_index.equal(torch.cat([BONES, BONES + 17, BONES + 34], dim=1))
    for one, data in zip(batch.to_data_list(), clips, strict=True):
        assert one.edge_index.equal(BONES)
        assert one.x.equal(data.x)
        assert one.num_nodes == 17


def test_what_pyg_says_of_a_skeleton_in_parts():
    data = PARTS.to_data(torch.randn(1, 2, 3, 3))
    assert data.has_isolated_nodes()
    one_way = data.clone()
    one_way.edge_index = data.edge_index[:, :1]
    assert not one_way.is_undirected()
    data.edge_index = BONES
    with pytest.raises(ValueError, match='larger indices than the number of nodes'):
        data.validate()


def test_transforms_of_pyg_find_the_graph():
    data = T.AddBones('coco-17')(clip())
    assert PyG.AddSelfLoops()(data).num_edges == BONES.size(1) + 17
    assert PyG.ToUndirected()(data).edge_index.size(1) == BONES.size(1)
    assert PyG.GCNNorm()(data).edge_weight.numel() == BONES.size(1) + 17


def test_recordings_of_several_clips_have_one_skeleton():
    several = T.Compose([T.UniformSampleFrames(4, num_clips=3), T.AddBones('coco-17')])
    assert several(clip()).num_nodes == 17
    assert several(clip()).x.shape == (3, 2, 4, 17, 3)


def test_clips_of_a_data_set():
    bones = T.Compose([T.SampleFrames(4), T.AddBones('ntu-rgb+d')])
    clips = SyntheticActions('test', 1, 1, transform=bones)
    batch = next(iter(DataLoader(clips, batch_size=5)))
    assert batch.num_nodes == batch.batch.numel() == 5 * 25
    assert batch.validate()


# The skeleton itself ----------------------------------------------------------


def test_a_skeleton_as_a_graph():
    data = skeleton('coco-17').to_data()
    assert type(data) is Data
    assert data.edge_index.equal(BONES)
    assert (data.num_nodes, data.joints) == (17, skeleton('coco-17').joints)
    assert data.validate()
    assert data.is_undirected()
    graph = to_networkx(data, node_attrs=['joints'], to_undirected=True)
    assert graph.nodes[0]['joints'] == 'nose'
    assert graph.number_of_edges() == len(skeleton('coco-17').bones)
    alone = Skeleton('one', ['joint'], []).to_data()
    assert (alone.num_nodes, alone.num_edges) == (1, 0)


def test_a_skeleton_with_a_clip():
    x = torch.randn(2, 4, 17, 3)
    data = skeleton('coco-17').to_data(x, y=3, name='clip', image_size=(480, 640))
    assert type(data) is SkeletonData
    assert data.x is x
    assert (data.y.tolist(), data.name, data.image_size) == ([3], 'clip', (480, 640))
    for wrong in (x[0], x[..., :5, :]):
        with pytest.raises(SkeletonDataError, match="'coco-17': expected a clip .* 17"):
            skeleton('coco-17').to_data(wrong)
