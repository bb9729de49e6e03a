"""PyG's ways to look at messages, and to change them: all of them see every message,
and give what the fused way gives where nothing is changed."""

import copy
import pickle
from dataclasses import replace
from functools import partial

import pytest
import torch
from layers import CONVS, FORMS, MSGCN, K, V, by_definition, make, matrix, msgcn
from torch_geometric.explain import Explainer, GNNExplainer, ModelConfig

from pyg_msg3d.nn import G3DConv, MSGCNConv
from pyg_msg3d.nn.multi_scale import MultiScaleMessagePassing

every_case = pytest.mark.parametrize('case', CONVS)
slow = partial(pytest.param, marks=pytest.mark.slow)
every_form = pytest.mark.parametrize(
    'form', ['edges', 'matrix', slow('csr'), slow('sorted')]
)


def weighed(graph, factor):
    """A graph with each weight multiplied."""
    *rest, weight = graph
    if rest:
        return *rest, weight * factor
    if isinstance(weight, torch.Tensor):
        return (weight * factor,)
    return (replace(weight, weight=weight.weight * factor),)


# What a hook of each kind does to have every message twice. Fused ones come in the
# second list.


def message_pre(conv, inputs):
    return {**inputs[0], 'x_j': 2 * inputs[0]['x_j']}


def message(conv, inputs, out):
    assert set(inputs[0]) == {'x_j', 'edge_weight'}
    return 2 * out


def aggregate(conv, inputs, out):
    return 2 * out


def propagate_pre(conv, inputs):
    edge_index, size, kwargs = inputs
    assert edge_index.shape == (2, kwargs['edge_weight'].numel())
    return edge_index, size, {**kwargs, 'edge_weight': 2 * kwargs['edge_weight']}


def propagate(conv, inputs, out):
    return 2 * out


def fused_pre(conv, inputs):
    graph, kwargs = inputs
    return graph, {**kwargs, 'x': 2 * kwargs['x']}


def fused(conv, inputs, out):
    return 2 * out


HOOKS = {
    'register_message_forward_pre_hook': message_pre,
    'register_message_forward_hook': message,
    'register_aggregate_forward_hook': aggregate,
    'register_propagate_forward_pre_hook': propagate_pre,
    'register_propagate_forward_hook': propagate,
}
FUSED_HOOKS = {
    'register_message_and_aggregate_forward_pre_hook': fused_pre,
    'register_message_and_aggregate_forward_hook': fused,
}
PRE_AGGREGATE = 'register_aggregate_forward_pre_hook'


def with_gradients(conv, x, *graph):
    out = conv(x, *graph)
    cotangent = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return out, torch.autograd.grad(out, [x, *conv.parameters()], cotangent)


@pytest.mark.parametrize('kind', [*HOOKS, *FUSED_HOOKS, PRE_AGGREGATE])
@every_form
@every_case
def test_a_hook_that_looks_sees_all_and_changes_nothing(case, form, kind):
    conv, edges, x = make(case)
    x.requires_grad_()
    graph = FORMS[form](edges)
    expected = with_gradients(conv, x, *graph)
    calls = []
    handle = getattr(conv, kind)(lambda *args: calls.append(args))
    torch.testing.assert_close(with_gradients(conv, x, *graph), expected)
    assert len(calls) == 1
    handle.remove()
    torch.testing.assert_close(with_gradients(conv, x, *graph), expected)
    assert len(calls) == 1


@pytest.mark.parametrize('kind', HOOKS)
@every_form
@every_case
def test_a_hook_changes_every_message(case, form, kind):
    conv, edges, x = make(case)
    conv.eval()
    x.requires_grad_()
    graph = FORMS[form](edges)
    getattr(conv, kind)(HOOKS[kind])
    actual = with_gradients(conv, x, *graph)
    plain, _, _ = make(case)
    plain.load_state_dict(conv.state_dict())
    plain.eval()
    torch.testing.assert_close(actual, with_gradients(plain, x, *weighed(graph, 2)))


@pytest.mark.parametrize('kind', FUSED_HOOKS)
@every_form
@every_case
def test_a_hook_changes_the_fused_sum(case, form, kind):
    conv, edges, x = make(case)
    conv.eval()
    graph = FORMS[form](edges)
    expected = by_definition(conv, x, *weighed(graph, 2))
    getattr(conv, kind)(FUSED_HOOKS[kind])
    torch.testing.assert_close(conv(x, *graph), expected)


@pytest.mark.parametrize('form', ['edges', 'matrix'])
@pytest.mark.parametrize('case', MSGCN)
def test_a_hook_sends_messages_elsewhere(case, form):
    conv, edges, x = make(case)
    graph = FORMS[form](edges)
    expected = conv(x, *graph).flip(-2)

    def mirrored(conv, inputs):
        return {**inputs[0], 'index': V - 1 - inputs[0]['index']}

    conv.register_aggregate_forward_pre_hook(mirrored)
    torch.testing.assert_close(conv(x, *graph), expected)


@pytest.mark.parametrize(
    'kind', [*HOOKS, 'register_message_and_aggregate_forward_hook']
)
@every_case
def test_what_a_hook_holds_on_to_stays(case, kind):
    """Biases, norms and activations, which come next, may not be written into it."""
    conv, edges, x = make(case)
    held = []

    def hold(conv, inputs, out=None):
        out = inputs[-1].get('x', inputs[-1].get('x_j')) if out is None else out
        held.extend((out, out.clone()))

    getattr(conv, kind)(hold)
    conv(x, *edges)
    assert held[0].equal(held[1])


@pytest.mark.parametrize(
    'change',
    [{'fuse': False}, {'decomposed_layers': 2}],
    ids=str,
)
@every_form
@every_case
def test_message_by_message_it_is_the_same(case, form, change):
    conv, edges, x = make(case)
    x.requires_grad_()
    graph = FORMS[form](edges)
    expected = with_gradients(conv, x, *graph)
    for name, value in change.items():
        setattr(conv, name, value)
    assert len(messages(conv, x, *graph)) == change.get('decomposed_layers', 1)
    torch.testing.assert_close(with_gradients(conv, x, *graph), expected)
    conv.fuse, conv.decomposed_layers = True, 1
    assert not messages(conv, x, *graph)
    torch.testing.assert_close(with_gradients(conv, x, *graph), expected)


def messages(conv, *args):
    """The messages of one call, caught without a trace on the layer."""
    caught = []
    inner = MultiScaleMessagePassing.message

    def message(self, x_j, edge_weight):
        caught.append(x_j)
        return inner(self, x_j, edge_weight)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MultiScaleMessagePassing, 'message', message)
        conv(*args)
    return caught


@every_form
@every_case
def test_by_default_no_message_is_made(case, form):
    conv, edges, x = make(case)
    assert not messages(conv, x, *FORMS[form](edges))
    conv.fuse = False
    assert messages(conv, x, *FORMS[form](edges))


@pytest.mark.parametrize('form', ['edges', 'matrix', 'csr'])
def test_a_message_of_a_subclass(form):
    class Rectified(MSGCNConv):
        def message(self, x_j, edge_weight):
            return edge_weight.view(-1, 1) * x_j.relu()

    class Heir(Rectified):
        pass

    for cls in (Rectified, Heir):
        conv = cls(6, 4, K).double()
        _, edges, x = msgcn()
        slots = conv.lin(x).relu().unflatten(-1, (K, -1)).flatten(-3, -2)
        expected = matrix(edges) @ slots + conv.bias
        torch.testing.assert_close(conv(x, *FORMS[form](edges)), expected)


@pytest.mark.parametrize('form', ['edges', 'matrix'])
def test_a_message_of_a_subclass_of_g3d(form):
    class Doubled(G3DConv):
        def message(self, x_j, edge_weight):
            return 2 * edge_weight.view(-1, 1) * x_j

    for case in ('g3d', 'g3d factored'):
        plain, edges, x = make(case)
        conv = Doubled(4, 6, K, 3, factored=plain.factored).double()
        conv.load_state_dict(plain.state_dict())
        graph = FORMS[form](edges)
        expected = plain.eval()(x, *weighed(graph, 2))
        torch.testing.assert_close(conv.eval()(x, *graph), expected)


class Aggregated(MSGCNConv):
    def aggregate(self, inputs, index, ptr=None, dim_size=None):
        return 2 * super().aggregate(inputs, index, ptr, dim_size)


class Updated(MSGCNConv):
    def update(self, inputs):
        return 2 * inputs


class Fused(MSGCNConv):
    def message_and_aggregate(self, graph, x, window=None):
        return 2 * super().message_and_aggregate(graph, x, window)


@pytest.mark.parametrize('form', ['edges', 'matrix'])
@pytest.mark.parametrize('cls', [Aggregated, Updated, Fused])
def test_other_methods_of_a_subclass(cls, form):
    plain, edges, x = msgcn()
    conv = cls(6, 4, K).double()
    conv.load_state_dict(plain.state_dict())
    graph = FORMS[form](edges)
    torch.testing.assert_close(conv(x, *graph), plain(x, *weighed(graph, 2)))


@pytest.mark.parametrize('name', ['message', 'aggregate', 'update'])
@pytest.mark.parametrize('form', ['edges', 'matrix'])
def test_a_method_of_one_layer(name, form):
    conv, edges, x = msgcn()
    graph = FORMS[form](edges)
    expected = conv(x, *weighed(graph, 2))
    inner = getattr(conv, name)
    setattr(conv, name, lambda *args, **kwargs: 2 * inner(*args, **kwargs))
    torch.testing.assert_close(conv(x, *graph), expected)


@pytest.mark.parametrize('form', ['edges', 'matrix'])
def test_a_hook_on_the_aggregation_module(form):
    conv, edges, x = msgcn()
    graph = FORMS[form](edges)
    expected = conv(x, *weighed(graph, 2))
    conv.aggr_module.register_forward_hook(lambda module, inputs, out: 2 * out)
    torch.testing.assert_close(conv(x, *graph), expected)


def test_a_subclass_that_changes_nothing_is_fused():
    class Named(MSGCNConv):
        pass

    conv = Named(6, 4, K).double()
    assert conv.is_fused()
    _, edges, x = msgcn()
    torch.testing.assert_close(conv(x, *edges), by_definition(conv, x, *edges))


@pytest.mark.parametrize('copied', ['deepcopy', 'pickle'])
def test_copies_are_hooked_by_themselves(copied):
    conv, edges, x = msgcn()
    expected = conv(x, *edges)
    one = (
        copy.deepcopy(conv)
        if copied == 'deepcopy'
        else pickle.loads(pickle.dumps(conv))
    )
    one.register_message_forward_hook(message)
    torch.testing.assert_close(one(x, *edges) - one.bias, 2 * (expected - conv.bias))
    torch.testing.assert_close(conv(x, *edges), expected)


# Explanations -------------------------------------------------------------------------


def explained(conv, mask):
    """A layer that weighs its messages by a mask, as explainers make it."""
    conv.explain = True
    conv._edge_mask = mask
    conv._loop_mask = torch.ones_like(mask, dtype=torch.bool)
    conv._apply_sigmoid = False
    return conv


@every_case
@pytest.mark.parametrize('form', ['edges', 'ScaleGraph', 'csr', 'coo', 'csc'])
def test_explanations_weigh_every_edge(case, form):
    conv, edges, x = make(case)
    conv.eval()
    graph = FORMS[form](edges)
    seen = matrix(edges) != 0
    mask = torch.rand(edges[2].numel(), dtype=torch.float64).requires_grad_()
    if form in ('edges', 'ScaleGraph'):
        expected = by_definition(conv, x, *edges[:2], edges[2] * mask)
    else:
        # Row by row, whatever the layout.
        full = torch.zeros(seen.shape, dtype=torch.float64).masked_scatter(seen, mask)
        expected = by_definition(conv, x, matrix(edges) * full)
    actual = explained(conv, mask)(x, *graph)
    torch.testing.assert_close(actual, expected)
    cotangent = torch.randn_like(actual)
    torch.testing.assert_close(
        torch.autograd.grad(actual, mask, cotangent),
        torch.autograd.grad(expected, mask, cotangent),
    )
    conv.explain = False
    torch.testing.assert_close(conv(x, *graph), by_definition(conv, x, *graph))


@every_case
@pytest.mark.parametrize('form', ['matrix', 'full'])
def test_explanations_weigh_every_entry_of_a_matrix(case, form):
    conv, edges, x = make(case)
    conv.eval()
    full = matrix(edges)
    mask = torch.rand(full.numel(), dtype=torch.float64).requires_grad_()
    expected = by_definition(conv, x, full * mask.view_as(full))
    actual = explained(conv, mask)(x, *FORMS[form](edges))
    torch.testing.assert_close(actual, expected)


@every_case
def test_explainers_masks_pass_a_sigmoid(case):
    conv, edges, x = make(case)
    conv.eval()
    expected = conv(x, *edges)
    explained(conv, torch.full_like(edges[2], 40.0))._apply_sigmoid = True  # One.
    torch.testing.assert_close(conv(x, *edges), expected)
    conv._edge_mask = torch.full_like(edges[2], -1e3)  # Zero.
    nothing = by_definition(conv, torch.zeros_like(x), *edges)
    if conv.__class__ is MSGCNConv:
        torch.testing.assert_close(conv(x, *edges), nothing)
    assert not torch.allclose(conv(x, *edges), expected)


def test_pygs_explainer():
    conv, edges, x = msgcn()
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
