"""G3D, equations (5) and (6), in every form of the graph."""

import pytest
import torch
from layers import (
    BONES,
    FORMS,
    G3D,
    K,
    V,
    by_definition,
    g3d,
    graph,
    make,
    matrix,
    scale_graph,
    statistics,
)

from pyg_msg3d.graph import disentangle, factored_window, window_graph
from pyg_msg3d.nn import G3DConv
from pyg_msg3d.ops import BACKENDS, use

every_case = pytest.mark.parametrize('case', G3D)
every_backend = pytest.mark.parametrize('backend', ['auto', *BACKENDS], indirect=True)


@pytest.mark.parametrize('training', [True, False])
@every_case
@every_backend
def test_every_form_and_backend_is_the_definition(case, backend, training):
    conv, edges, x = make(case, backend=backend)
    conv.train(training)
    expected = by_definition(conv, x, *edges)
    for form in FORMS.values():
        torch.testing.assert_close(conv(x, *form(edges)), expected)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('form', ['edges', 'matrix', 'sorted'])
@every_case
@every_backend
def test_gradients_are_those_of_the_definition(case, backend, form, training):
    conv, edges, x = make(case, backend=backend)
    conv.train(training)
    x.requires_grad_()
    edges[2].requires_grad_()
    inputs = [x, edges[2], *conv.parameters()]
    out, expected = conv(x, *FORMS[form](edges)), by_definition(conv, x, *edges)
    cotangent = torch.randn_like(out)
    torch.testing.assert_close(
        torch.autograd.grad(out, inputs, cotangent),
        torch.autograd.grad(expected, inputs, cotangent),
    )


@every_case
def test_gradients_to_every_entry_of_a_matrix(case):
    conv, edges, x = make(case)
    full = matrix(edges).requires_grad_()
    out, expected = conv(x, full), by_definition(conv, x, full)
    cotangent = torch.randn_like(out)
    actual = torch.autograd.grad(out, full, cotangent)[0]
    theirs = torch.autograd.grad(expected, full, cotangent)[0]
    if conv.factored:
        # Of the second factor, what is off the diagonal is none of the graph.
        kept = torch.eye(V, dtype=torch.bool).repeat_interleave(K, 1)
        assert (actual[V:][~kept] == 0).all()
        assert (actual[V:][kept] != 0).all()
        actual, theirs = (
            torch.cat([grad[:V], grad[V:] * kept]) for grad in (actual, theirs)
        )
    torch.testing.assert_close(actual, theirs)
    assert (actual[:V] != 0).all()


@every_case
def test_running_statistics_are_those_of_the_definition(case):
    conv, edges, x = make(case)
    expected, _, _ = make(case)
    expected.load_state_dict(conv.state_dict())
    before = statistics(conv)
    for i in range(3):
        conv(x + i, *edges)
        with use('reference'):
            expected(x + i, *edges)
    after = statistics(conv)
    torch.testing.assert_close(after, statistics(expected))
    assert after['norm.module.num_batches_tracked'] == 3
    for name, value in after.items():
        assert not value.equal(before[name]), name


@every_case
@every_backend
def test_torch_sparse_matrices(case, backend, torch_sparse):
    conv, edges, x = make(case, backend=backend)
    expected = by_definition(conv, x, *edges)
    adj_t = torch_sparse.SparseTensor.from_dense(matrix(edges))
    torch.testing.assert_close(conv(x, adj_t), expected)


def test_static_batches_of_any_shape():
    for factored in (True, False):
        conv, edges, x = g3d(factored=factored)
        conv.eval()
        out = conv(x, *edges)
        torch.testing.assert_close(conv(x[0], *edges), out[0])
        torch.testing.assert_close(conv(x[None], *edges), out[None])


def test_padding_frames_are_zero_whatever_the_bias():
    """The first of three windows holds a frame before the clip: it must count as
    zero, not as what a bias in the lift would make of it."""
    conv, edges, x = g3d()
    conv.eval()
    padded = torch.cat([torch.zeros_like(x[:, :1]), x], dim=1)
    torch.testing.assert_close(conv(padded, *edges)[:, 1:], conv(x, *edges))


def test_lazy_channels():
    x = torch.randn(2, 6, V, 7)
    conv = G3DConv(-1, 4, num_scales=K, window_size=3, hidden_channels=6)
    assert conv(x, *graph(3, torch.float)).shape == (2, 6, V, 4)
    with pytest.raises(ValueError, match='hidden_channels'):
        G3DConv(-1, 4, num_scales=K, window_size=3)


def test_lazy_channels_of_a_factored_graph():
    conv = G3DConv(-1, 4, K, 3, hidden_channels=6, factored=True)
    edges = graph(3, torch.float, factored=True)
    assert conv(torch.randn(2, 6, V, 7), *edges).shape == (2, 6, V, 4)
    assert conv.lin.weight.shape == (K * 6, 7)


@pytest.mark.parametrize('factored', [True, False])
@pytest.mark.parametrize('training', [True, False])
def test_without_bias(training, factored):
    conv = G3DConv(4, 6, K, 3, bias=False, factored=factored).double().train(training)
    assert conv.bias is None
    assert conv.collapse.bias is None
    _, edges, x = g3d(factored=factored)
    expected = by_definition(conv, x, *edges)
    torch.testing.assert_close(conv(x, *edges), expected)


def test_repr():
    assert str(G3DConv(6, 4, 3, window_size=5, stride=2)) == (
        'G3DConv(6, 4, num_scales=3, window_size=5, stride=2, dilation=1)'
    )


def test_reset_parameters_draws_all_anew():
    conv = G3DConv(6, 4, K, 3, embed_factor=2)
    drawn = {name: p for name, p in conv.named_parameters() if p.dim() > 1}
    assert len(drawn) == 3
    for parameter in conv.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    conv.reset_parameters()
    for name, parameter in conv.named_parameters():
        assert (parameter != 7).all(), name


def test_refused():
    conv, edges, x = g3d()
    with pytest.raises(ValueError, match='frames, nodes, channels'):
        conv(x[0, 0], *edges)
    with pytest.raises(ValueError, match='at least 1 frames'):
        conv(x[:, :0], *edges)
    for name in ('window_size', 'stride', 'dilation', 'embed_factor', 'num_scales'):
        arguments = {'num_scales': K, 'window_size': 3, name: 0}
        with pytest.raises(ValueError, match=f"'{name}' must be at least 1"):
            G3DConv(6, 4, **arguments)


@pytest.mark.parametrize('given', ['edges', 'matrix', 'ScaleGraph'])
@pytest.mark.parametrize('window_size', [1, 3, 4])
@pytest.mark.parametrize(('stride', 'dilation'), [(1, 1), (2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize(('frames', 'channels'), [(2, 40), (7, 4)])
def test_in_two_factors_it_is_the_whole_window(
    given, window_size, stride, dilation, frames, channels
):
    n = window_size * V
    conv = G3DConv(channels, 6, K, window_size, stride, dilation).double()
    torch.nn.init.uniform_(conv.bias)
    whole = disentangle(window_graph(BONES, V, window_size), n, K)
    edges = factored_window(BONES, V, num_scales=K, window_size=window_size)
    x = torch.randn(2, frames, V, channels, dtype=torch.float64, requires_grad=True)
    if conv.window.count(frames) < 1:
        with pytest.raises(ValueError, match='frames'):
            conv(x, *whole)
        return
    expected = conv(x, *whole)
    parameters = [x, *conv.parameters()]
    gradients = torch.autograd.grad(expected.square().sum(), parameters)

    graph = {
        'edges': edges,
        'matrix': (matrix((*edges[:2], edges[2].double())),),
        'ScaleGraph': (scale_graph(edges).sorted(),),
    }[given]
    conv.factored = True
    actual = conv(x, *graph)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(
        torch.autograd.grad(actual.square().sum(), parameters),
        gradients,
        atol=1e-6,
        rtol=1e-6,
    )
