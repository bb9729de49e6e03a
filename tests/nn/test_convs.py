import pytest
import torch
from torch_geometric import EdgeIndex
from torch_geometric.explain import Explainer, GNNExplainer, ModelConfig
from torch_geometric.testing import assert_module

from pyg_msg3d import skeleton
from pyg_msg3d.graph import disentangle, factored_window, window_graph
from pyg_msg3d.nn import MSTCN, G3DConv, MSGCNConv
from pyg_msg3d.ops import BACKENDS, ScaleGraph, to_matrix

every_backend = pytest.mark.parametrize('backend', BACKENDS, indirect=True)
V, K = 5, 3
BONES = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])  # Joint 4 is alone.


def graph(window_size=1, dtype=torch.float64):
    edges, n = window_graph(BONES, V, window_size), window_size * V
    edge_index, edge_type, weight = disentangle(edges, n, K)
    return edge_index, edge_type, torch.rand_like(weight).to(dtype)


def matrix(graph, n):
    """[n, n K], column u K + k."""
    (source, target), edge_type, weight = graph
    dense = weight.new_zeros(n, n * K)
    dense[target, source * K + edge_type] = weight
    return dense


def msgcn_by_definition(conv, x, graph):
    """Equation (3), a loop over scales."""
    n = x.size(-2)
    adjacency = matrix(graph, n).view(n, n, K)
    theta = conv.lin.weight.view(K, -1, x.size(-1))
    return conv.bias + sum(adjacency[..., k] @ x @ theta[k].t() for k in range(K))


def g3d_by_definition(conv, x, graph):
    """Equations (5) and (6), windows in memory."""
    if conv.embed is not None:
        x = conv.embed_norm(conv.embed(x)).relu()
    h = msgcn_by_definition(conv, conv.window.unfold(x), graph)
    h = conv.norm(h).relu().unflatten(-2, (conv.window.size, V))
    phi = conv.collapse.weight.unflatten(1, (conv.window.size, -1))
    out = sum(h[..., t, :, :] @ phi[:, t].t() for t in range(conv.window.size))
    return out + conv.collapse.bias


def msgcn(channels, backend='auto'):
    conv = MSGCNConv(*channels, num_scales=K, backend=backend).double()
    torch.nn.init.uniform_(conv.bias)
    return conv, graph(), torch.randn(2, 6, V, channels[0], dtype=torch.float64)


def g3d(channels, backend='auto', **kwargs):
    window_size = kwargs.setdefault('window_size', 3)
    conv = G3DConv(*channels, num_scales=K, backend=backend, **kwargs).double()
    torch.nn.init.uniform_(conv.bias)
    x = torch.randn(2, 6, V, channels[0], dtype=torch.float64)
    return conv, graph(window_size), x


CASES = {
    'msgcn narrowing': (msgcn, msgcn_by_definition, (6, 4), {}),
    'msgcn widening': (msgcn, msgcn_by_definition, (2, 4), {}),
    'g3d': (g3d, g3d_by_definition, (4, 6), {}),
    'g3d widening': (g3d, g3d_by_definition, (2, 6), {'hidden_channels': 5}),
    'g3d strided': (g3d, g3d_by_definition, (4, 6), {'stride': 2, 'window_size': 5}),
    'g3d dilated': (g3d, g3d_by_definition, (4, 6), {'dilation': 2}),
    'g3d embedded': (g3d, g3d_by_definition, (4, 6), {'embed_factor': 2}),
}
every_case = pytest.mark.parametrize('case', CASES)


@every_case
@every_backend
def test_every_backend_is_the_definition(case, backend):
    make, definition, channels, kwargs = CASES[case]
    conv, edges, x = make(channels, backend, **kwargs)
    x.requires_grad_()
    edges[2].requires_grad_()
    inputs = [x, edges[2], *conv.parameters()]

    out = conv(x, *edges)
    cotangent = torch.randn_like(out)
    expected = definition(conv, x, edges)
    torch.testing.assert_close(out, expected)
    actual_grads = torch.autograd.grad((out * cotangent).sum(), inputs)
    expected_grads = torch.autograd.grad((expected * cotangent).sum(), inputs)
    for actual, expect in zip(actual_grads, expected_grads, strict=True):
        torch.testing.assert_close(actual, expect)


@every_case
def test_dense_matrix(case):
    make, definition, channels, kwargs = CASES[case]
    conv, edges, x = make(channels, **kwargs)
    dense = matrix(edges, edges[0].max() + 1).requires_grad_()
    out = conv(x, dense)
    torch.testing.assert_close(out, definition(conv, x, edges))
    out.sum().backward()
    assert torch.isfinite(dense.grad).all()
    assert dense.grad.abs().sum() > 0


@every_case
@pytest.mark.parametrize('backend', ['auto', *BACKENDS], indirect=True)
def test_adj_t(case, backend, torch_sparse):
    make, definition, channels, kwargs = CASES[case]
    conv, edges, x = make(channels, backend, **kwargs)
    expected = definition(conv, x, edges)
    dense = matrix(edges, int(edges[0].max()) + 1)
    for adj_t in (
        torch_sparse.SparseTensor.from_dense(dense),
        dense.to_sparse_csr(),
        dense.to_sparse_coo(),
        dense.to_sparse_csc(),
    ):
        torch.testing.assert_close(conv(x, adj_t), expected)


def test_gradients_of_adj_t(torch_sparse):
    conv, edges, x = msgcn((6, 4))
    dense = matrix(edges, V).requires_grad_()
    expected = torch.autograd.grad(conv(x, dense).square().sum(), dense)[0]
    for convert in (torch.Tensor.to_sparse_csr, torch.Tensor.to_sparse_coo):
        leaf = convert(dense.detach()).requires_grad_()
        conv(x, leaf).square().sum().backward()
        seen = dense != 0
        torch.testing.assert_close(leaf.grad.to_dense()[seen], expected[seen])
    value = dense.detach()[dense != 0].requires_grad_()
    target, source = dense.nonzero().t()
    adj_t = torch_sparse.SparseTensor(
        row=target, col=source, value=value, sparse_sizes=(V, V * K)
    )
    conv(x, adj_t).square().sum().backward()
    torch.testing.assert_close(value.grad, expected[dense != 0])


@every_case
def test_explain_sees_every_edge(case):
    make, _, channels, kwargs = CASES[case]
    conv, edges, x = make(channels, **kwargs)
    expected = conv.eval()(x, *edges)
    conv.explain = True
    conv._edge_mask = torch.full_like(edges[2], 40.0)  # A sigmoid of one.
    conv._loop_mask = torch.ones_like(edges[2], dtype=torch.bool)
    conv._apply_sigmoid = True
    torch.testing.assert_close(conv(x, *edges), expected)
    conv._edge_mask = torch.full_like(edges[2], -1e3)
    assert not torch.allclose(conv(x, *edges), expected)


def test_pygs_explainer():
    conv, edges, x = msgcn((6, 4))
    explainer = Explainer(
        conv,
        GNNExplainer(epochs=2),
        explanation_type='model',
        edge_mask_type='object',
        model_config=ModelConfig('regression', 'node', 'raw'),
    )
    found = explainer(x[0, 0], edges[0], edge_type=edges[1], edge_weight=edges[2])
    assert found.edge_mask.shape == (edges[0].size(1),)
    assert found.edge_mask.max() > 0


@every_case
@pytest.mark.parametrize('backend', ['auto', 'scatter', 'dense'])
def test_compiles_without_graph_breaks(case, backend):
    make, _, channels, kwargs = CASES[case]
    conv, edges, x = make(channels, backend, **kwargs)
    assert torch._dynamo.explain(conv)(x, *edges).graph_break_count == 0
    torch._dynamo.reset()
    compiled = torch.compile(conv, fullgraph=True, backend='aot_eager')
    torch.testing.assert_close(compiled(x, *edges), conv(x, *edges))
    compiled(x, *edges).sum().backward()


@pytest.mark.slow
@every_case
def test_compiles_with_inductor(case):
    make, _, channels, kwargs = CASES[case]
    conv, edges, x = make(channels, **kwargs)
    compiled = torch.compile(conv, fullgraph=True)
    torch.testing.assert_close(compiled(x, *edges), conv(x, *edges))
    compiled(x, *edges).sum().backward()


def test_pygs_own_checks():
    conv, (edge_index, edge_type, weight), x = msgcn((6, 4))
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
    conv, (edge_index, edge_type, weight), x = msgcn((6, 4))
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
    conv, edges, x = msgcn((6, 4))
    out = conv(x, *edges)
    assert out.shape == (2, 6, V, 4)
    for i in range(2):
        torch.testing.assert_close(conv(x[i], *edges), out[i])
    torch.testing.assert_close(conv(x[0, 0], *edges), out[0, 0])

    conv, edges, x = g3d((4, 6))
    conv.eval()
    out = conv(x, *edges)
    torch.testing.assert_close(conv(x[0], *edges), out[0])
    torch.testing.assert_close(conv(x[None], *edges), out[None])


def test_padding_frames_are_zero_whatever_the_bias():
    """The first of three windows holds a frame before the clip: it must count as
    zero, not as what a bias in the lift would make of it."""
    conv, edges, x = g3d((4, 6))
    conv.eval()
    padded = torch.cat([torch.zeros_like(x[:, :1]), x], dim=1)
    torch.testing.assert_close(conv(padded, *edges)[:, 1:], conv(x, *edges))


def test_pygs_edge_index_class():
    conv, edges, x = msgcn((6, 4))
    typed = EdgeIndex(edges[0], sparse_size=(V, V))
    for backend in ('auto', 'scatter'):
        conv.backend = backend
        torch.testing.assert_close(conv(x, typed, *edges[1:]), conv(x, *edges))


def test_lazy_channels():
    x = torch.randn(2, 6, V, 7)
    conv = MSGCNConv(-1, 4, num_scales=K)
    assert conv(x, *graph(dtype=torch.float)).shape == (2, 6, V, 4)
    assert conv.lin.weight.shape == (K * 4, 7)
    conv = G3DConv(-1, 4, num_scales=K, window_size=3, hidden_channels=6)
    assert conv(x, *graph(3, torch.float)).shape == (2, 6, V, 4)
    with pytest.raises(ValueError, match='hidden_channels'):
        G3DConv(-1, 4, num_scales=K, window_size=3)


def test_without_bias_and_one_scale():
    conv = MSGCNConv(6, 4, num_scales=1, bias=False)
    x = torch.randn(V, 6)
    out = conv(x, torch.arange(V).expand(2, -1))  # Loops only, no types, no weights.
    torch.testing.assert_close(out, x @ conv.lin.weight.t())
    assert G3DConv(4, 6, K, 3, bias=False).bias is None


def test_repr():
    assert str(MSGCNConv(6, 4, num_scales=3)) == 'MSGCNConv(6, 4, num_scales=3)'
    assert str(G3DConv(6, 4, 3, window_size=5, stride=2)) == (
        'G3DConv(6, 4, num_scales=3, window_size=5, stride=2, dilation=1)'
    )
    assert str(MSTCN(6, 12)) == 'MSTCN(6, 12, stride=1, dilations=(1, 2, 3, 4))'


@pytest.mark.parametrize(
    'module',
    [MSGCNConv(6, 4, K), G3DConv(6, 4, K, 3, embed_factor=2), MSTCN(6, 12, stride=2)],
    ids=lambda module: type(module).__name__,
)
def test_reset_parameters_draws_all_anew(module):
    drawn = {name: p for name, p in module.named_parameters() if p.dim() > 1}
    assert drawn
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    module.reset_parameters()
    for name, parameter in module.named_parameters():
        assert (parameter != 7).all(), name


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num_scales': 0}, 'num_scales'),
        ({'backend': 'cuda'}, "Unknown backend 'cuda'; known ones: auto, dense"),
        ({'aggr': 'max'}, "aggr='add'"),
        ({'node_dim': 0}, 'node_dim=-2'),
        ({'flow': 'target_to_source'}, 'flip'),
    ],
)
def test_refused_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MSGCNConv(**{'in_channels': 6, 'out_channels': 4, 'num_scales': K, **arguments})


def test_refused_graphs():
    conv, (edge_index, edge_type, weight), x = msgcn((6, 4))
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
    conv, edges, x = g3d((4, 6))
    with pytest.raises(ValueError, match='frames, nodes, channels'):
        conv(x[0, 0], *edges)
    with pytest.raises(ValueError, match='at least 1 frames'):
        conv(x[:, :0], *edges)


def test_mstcn_shapes_and_refusals():
    x = torch.randn(2, 3, 7, V, 6)
    assert MSTCN(6, 14, stride=2)(x).shape == (2, 3, 4, V, 14)
    assert MSTCN(6, 14)(x[0, 0]).shape == (7, V, 14)
    out = MSTCN(6, 6, activation=False)(x)
    assert out.shape == x.shape
    assert (out < 0).any()
    assert (MSTCN(6, 6)(x) >= 0).all()
    assert MSTCN(6, 6, residual=False).residual is None
    with pytest.raises(ValueError, match='at least 6'):
        MSTCN(6, 5)
    with pytest.raises(ValueError, match='odd'):
        MSTCN(6, 6, kernel_size=2)
    with pytest.raises(ValueError, match=r'6\] .got \[2, 3, 7, 5, 5\]'):
        MSTCN(6, 6)(x[..., :5])


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


@pytest.mark.parametrize('given', ['edges', 'matrix', 'ScaleGraph'])
@pytest.mark.parametrize('window_size', [1, 3, 4])
@pytest.mark.parametrize(('stride', 'dilation'), [(1, 1), (2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize(('frames', 'channels'), [(2, 40), (7, 4)])
def test_g3d_in_two_factors_is_the_whole_window(
    given, window_size, stride, dilation, frames, channels
):
    n = window_size * V
    conv = G3DConv(channels, 6, K, window_size, stride, dilation).double()
    torch.nn.init.uniform_(conv.bias)
    whole = disentangle(window_graph(BONES, V, window_size), n, K)
    edge_index, edge_type, weight = factored_window(
        BONES, V, num_scales=K, window_size=window_size
    )
    x = torch.randn(2, frames, V, channels, dtype=torch.float64, requires_grad=True)
    if conv.window.count(frames) < 1:
        with pytest.raises(ValueError, match='frames'):
            conv(x, *whole)
        return
    expected = conv(x, *whole)
    parameters = [x, *conv.parameters()]
    gradients = torch.autograd.grad(expected.square().sum(), parameters)

    source, target = edge_index
    graph = {
        'edges': (edge_index, edge_type, weight),
        'matrix': (
            to_matrix(source * K + edge_type, target, weight.double(), V * K, 2 * V),
        ),
        'ScaleGraph': (
            ScaleGraph.build(source, target, edge_type, weight, V, 2 * V, K),
        ),
    }[given]
    conv.factored = True
    actual = conv(x, *graph)
    torch.testing.assert_close(actual, expected)
    for a, b in zip(
        torch.autograd.grad(actual.square().sum(), parameters), gradients, strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)
