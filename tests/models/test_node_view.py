"""PyG's explainers on batched clips and on the whole model."""

import pytest
import torch
from torch_geometric.explain import Explainer, GNNExplainer, ModelConfig

from pyg_msg3d import MSG3D, skeleton
from pyg_msg3d.graph import disentangle
from pyg_msg3d.models import NodeView
from pyg_msg3d.nn import MSGCNConv

BONES = skeleton('coco-17').edge_index


def explained(view, task, masks, *args, **kwargs):
    explainer = Explainer(
        view,
        GNNExplainer(epochs=20),
        explanation_type='model',
        model_config=ModelConfig(*task),
        **masks,
    )
    return explainer(*args, **kwargs)


def test_which_joint_counts():
    """Of a model that sees one joint alone, that joint is found."""
    model = MSG3D(
        'coco-17', 3, num_persons=1, channels=(12, 18), gcn_scales=2, g3d_scales=2,
        window_sizes=(3,),
    ).eval()  # fmt: skip
    x = torch.randn(2, 1, 9, 17, 3)
    view = NodeView(model, x.shape[:-2])
    torch.testing.assert_close(view(view.nodes(x), BONES), model(x))

    class OneJoint(torch.nn.Module):
        def forward(self, x):
            return model(x * (torch.arange(17) == 9).unsqueeze(1))

    view = NodeView(OneJoint(), x.shape[:-2])
    task = 'multiclass_classification', 'graph', 'raw'
    found = explained(view, task, {'node_mask_type': 'object'}, view.nodes(x), BONES)
    assert found.node_mask.shape == (17, 1)
    assert found.node_mask.argmax() == 9
    assert (found.node_mask > 0).sum() == 1
    every = {'node_mask_type': 'attributes'}
    found = explained(view, task, every, view.nodes(x), BONES)
    assert found.node_mask.shape == (17, 2 * 1 * 9 * 3)


def test_edges_of_batched_clips():
    conv = MSGCNConv(3, 4, num_scales=2)
    x = torch.randn(2, 9, 17, 3)
    edge_index, edge_type, edge_weight = disentangle(BONES, 17, 2)
    view = NodeView(conv, x.shape[:-2])
    kwargs = {'edge_type': edge_type, 'edge_weight': edge_weight}
    expected = view.nodes(conv(x, edge_index, **kwargs))
    torch.testing.assert_close(view(view.nodes(x), edge_index, **kwargs), expected)
    task = 'regression', 'node', 'raw'
    masks = {'edge_mask_type': 'object', 'node_mask_type': 'attributes'}
    found = explained(view, task, masks, view.nodes(x), edge_index, **kwargs)
    assert found.edge_mask.shape == edge_type.shape
    assert found.edge_mask.max() > 0


def test_a_mask_of_bones_fits_no_layer_of_a_model():
    model = MSG3D(
        'coco-17', 3, num_persons=1, channels=(12,), gcn_scales=2, g3d_scales=2,
        window_sizes=(3,),
    ).eval()  # fmt: skip
    x = torch.randn(1, 1, 9, 17, 3)
    view = NodeView(model, x.shape[:-2])
    task = 'multiclass_classification', 'graph', 'raw'
    with pytest.raises(ValueError, match=r'own graph .got one of.*NodeView'):
        explained(view, task, {'edge_mask_type': 'object'}, view.nodes(x), BONES)
