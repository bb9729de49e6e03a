"""MS-GCN, equation (3), in every form of the graph."""

import pytest
import torch
from layers import BONES, FORMS, MSGCN, K, V, by_definition, graph, make, matrix, msgcn
from torch_geometric import EdgeIndex
from torch_geometric.testing import assert_module

from pyg_msg3d import skeleton
from pyg_msg3d.graph import disentangle
from pyg_msg3d.nn import MSGCNConv
from pyg_msg3d.ops import BACKENDS

every_backend = pytest.mark.parametrize('backend', ['auto', *BACKENDS], indirect=True)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('case', MSGCN)
@every_backend
def test_every_form_and_backend_is_the_definition(case, backend, form):
    conv, edges, x = make(case, backend=backend)
    expected = by_definition(conv, x, *edges)
    torch.testing.assert_close(conv(x, *FORMS[form](edges)), expected)


@pytest.mark.parametrize('form', ['edges', 'matrix', 'sorted'])
@pytest.mark.parametrize('case', MSGCN)
@every_backend
def test_gradients_are_those_of_the_definition(case, backend, form):
    conv, edges, x = make(case, backend=backend)
    x.requires_grad_()
    edges[2].requires_grad_()
    inputs = [x, edges[2], *conv.parameters()]
    out, expected = conv(x, *FORMS[form](edges)), by_definition(conv, x, *edges)
    cotangent = torch.randn_like(out)
    torch.testing.assert_close(
        torch.autograd.grad(out, inputs, cotangent),
        torch.autograd.grad(expected, inputs, cotangent),
    )


def test_gradients_to_every_entry_of_a_matrix():
    conv, edges, x = msgcn()
    full = matrix(edges).requires_grad_()
    out, expected = conv(x, full), by_definition(conv, x, full)
    cotangent = torch.randn_like(out)
    actual = torch.autograd.grad(out, full, cotangent)
    torch.testing.assert_close(actual, torch.autograd.grad(expected, full, cotangent))
    assert (actual[0] != 0).all()  # Those that are zero have a gradient too.


@every_backend
def test_torch_sparse_matrices(backend, torch_sparse):
    conv, edges, x = msgcn(backend=backend)
    expected = by_definition(conv, x, *edges)
    adj_t = torch_sparse.SparseTensor.from_dense(matrix(edges))
    torch.testing.assert_close(conv(x, adj_t), expected)
    with_ones = by_definition(conv, x, edges[0], edges[1])
    adj_t = adj_t.set_value(None)
    torch.testing.assert_close(conv(x, adj_t), with_ones)


def test_gradients_of_sparse_matrices():
    conv, edges, x = msgcn()
    full = matrix(edges).requires_grad_()
    expected = torch.autograd.grad(conv(x, full).square().sum(), full)[0]
    for convert in (torch.Tensor.to_sparse_csr, torch.Tensor.to_sparse_coo):
        leaf = convert(full.detach()).requires_grad_()
        conv(x, leaf).square().sum().backward()
        seen = full != 0
        torch.testing.assert_close(leaf.grad.to_dense()[seen], expected[seen])


def test_gradients_of_torch_sparse_matrices(torch_sparse):
    conv, edges, x = msgcn()
    full = matrix(edges).requires_grad_()
    expected = torch.autograd.grad(conv(x, full).square().sum(), full)[0]
    value = full.detach()[full != 0].requires_grad_()
    target, source = full.nonzero().t()
    adj_t = torch_sparse.SparseTensor(
        row=target, col=source, value=value, sparse_sizes=(V, V * K)
    )
    conv(x, adj_t).square().sum().backward()
    torch.testing.assert_close(value.grad, expected[full != 0])


def test_parallel_edges_add():
    conv, (edge_index, edge_type, weight), x = msgcn()
    expected = conv(x, edge_index, edge_type, weight)
    twice = edge_index.repeat(1, 2), edge_type.repeat(2), weight.repeat(2) / 2
    for backend in ('dense', 'csr', 'scatter'):
        conv.backend = backend
        torch.testing.assert_close(conv(x, *twice), expected)


def test_pygs_own_checks():
    conv, (edge_index, edge_type, weight), x = msgcn()
    assert_module(
        conv,
        x[0, 0],
        edge_index,
        edge_type=edge_type,
        edge_weight=weight,
        expected_size=(V, 4),
        test_edge_permutation=False,  # It would permute the edges but not their types.
        test_node_permutation=False,
        test_sparse_layouts=[],
        atol=1e-6,
    )


def test_order_of_edges_and_joints_does_not_matter():
    conv, (edge_index, edge_type, weight), x = msgcn()
    out = conv(x, edge_index, edge_type, weight)
    order = torch.randperm(weight.numel())
    shuffled = conv(x, edge_index[:, order], edge_type[order], weight[order])
    torch.testing.assert_close(shuffled, out)

    new = torch.randperm(V)
    renumbered = torch.empty_like(x)
    renumbered[..., new, :] = x
    moved = conv(renumbered, new[edge_index], edge_type, weight)
    torch.testing.assert_close(moved[..., new, :], out)


def test_static_batches_of_any_shape():
    conv, edges, x = msgcn()
    out = conv(x, *edges)
    assert out.shape == (2, 6, V, 4)
    for i in range(2):
        torch.testing.assert_close(conv(x[i], *edges), out[i])
    torch.testing.assert_close(conv(x[0, 0], *edges), out[0, 0])


def test_pygs_edge_index_class():
    conv, edges, x = msgcn()
    typed = EdgeIndex(edges[0], sparse_size=(V, V))
    for backend in ('auto', 'scatter'):
        conv.backend = backend
        torch.testing.assert_close(conv(x, typed, *edges[1:]), conv(x, *edges))


def test_lazy_channels():
    x = torch.randn(2, 6, V, 7)
    conv = MSGCNConv(-1, 4, num_scales=K)
    assert conv(x, *graph(dtype=torch.float)).shape == (2, 6, V, 4)
    assert conv.lin.weight.shape == (K * 4, 7)


def test_without_bias_and_one_scale():
    conv = MSGCNConv(6, 4, num_scales=1, bias=False)
    x = torch.randn(V, 6)
    out = conv(x, torch.arange(V).expand(2, -1))  # Loops only, no types, no weights.
    torch.testing.assert_close(out, x @ conv.lin.weight.t())


def test_repr():
    assert str(MSGCNConv(6, 4, num_scales=3)) == 'MSGCNConv(6, 4, num_scales=3)'


def test_reset_parameters_draws_all_anew():
    conv = MSGCNConv(6, 4, K)
    for parameter in conv.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    conv.reset_parameters()
    assert conv.lin.weight.unique().numel() == conv.lin.weight.numel()
    assert (conv.bias == 0).all()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num_scales': 0}, 'num_scales'),
        ({'backend': 'cuda'}, "Unknown backend 'cuda'; known ones: auto, reference"),
        ({'aggr': 'max'}, "aggr='add'"),
        ({'node_dim': 0}, 'node_dim=-2'),
        ({'flow': 'target_to_source'}, 'flip'),
    ],
)
def test_refused_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MSGCNConv(**{'in_channels': 6, 'out_channels': 4, 'num_scales': K, **arguments})


def test_refused_graphs():
    conv, (edge_index, edge_type, weight), x = msgcn()
    with pytest.raises(ValueError, match="'edge_type', the scale of each edge"):
        conv(x, edge_index)
    with pytest.raises(ValueError, match=r"'edge_weight' of shape \[\d+\].*got \[3\]"):
        conv(x, edge_index, edge_type, weight[:3])
    with pytest.raises(
        ValueError, match='to scale 4, but num_scales are 3, numbered 0'
    ):
        conv(x, *disentangle(BONES, V, 5))
    with pytest.raises(ValueError, match=r'\[5, 15\].*got \[5, 5\]'):
        conv(x, torch.eye(5, dtype=torch.float64))
    with pytest.raises(ValueError, match=r'\[2, num_edges\]'):
        conv(x, edge_index[0], edge_type, weight)
    with pytest.raises(ValueError, match="to node 4, but the features' nodes are 3"):
        conv(x[..., :3, :], edge_index, edge_type, weight)
    with pytest.raises(TypeError, match="'edge_type' as whole numbers.*The order of"):
        conv(x, edge_index, weight, edge_type)
    with pytest.raises(TypeError, match="'edge_weight' as real numbers"):
        conv(x, edge_index, edge_type, edge_type)
    with pytest.raises(TypeError, match=r'features as real numbers .got torch.int64'):
        conv(x.long(), edge_index, edge_type, weight)
    with pytest.raises(ValueError, match=r'channels. with 6 channels .got .*, 5'):
        conv(x[..., :5], edge_index, edge_type, weight)
    with pytest.raises(ValueError, match=r'nodes, channels. with 6 channels .got .6'):
        conv(x[0, 0, 0], edge_index, edge_type, weight)


def test_real_skeleton_in_every_dtype():
    bones = skeleton('ntu-rgb+d').edge_index
    edges = disentangle(bones, 25, 13)
    conv = MSGCNConv(8, 8, 13)
    x = torch.randn(4, 25, 8)
    expected = conv(x, *edges)
    double = conv.double()(x.double(), edges[0], edges[1], edges[2].double())
    torch.testing.assert_close(expected.double(), double, rtol=1e-4, atol=1e-5)
    low = conv.bfloat16()(x.bfloat16(), *edges)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.double(), double, rtol=0.1, atol=0.1)
