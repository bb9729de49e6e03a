"""Derivatives of every kind and order, as torch takes them of its own modules."""

from contextlib import suppress
from functools import partial

import pytest
import torch
from layers import (
    G3D,
    MSGCN,
    MSTCNS,
    K,
    V,
    by_definition,
    clips,
    make,
    scale_graph,
    scramble,
    small_model,
    statistics,
)
from torch.autograd import forward_ad
from torch.func import functional_call

from pyg_msg3d.nn import MSTCN, G3DConv, MSGCNConv

MODELS = ['model dense', 'model tied', 'model None']
#: One of each, small enough for whole Jacobians.
FEW = ['msgcn narrowing', 'g3d', 'g3d factored', 'mstcn strided', *MODELS]
ALL = [*MSGCN, *G3D, *MSTCNS, *MODELS]
every_case = pytest.mark.parametrize('case', ALL)
slow = partial(pytest.param, marks=pytest.mark.slow)
every_mode = pytest.mark.parametrize('training', [True, False])


def build(case, training=False, frames=4):
    """A layer, its graph and features: few, and away from the kinks of ReLUs."""
    if case in MODELS:
        residual = {'dense': 'dense', 'tied': 'tied', 'None': None}[case.split()[1]]
        return small_model(residual).train(training), (), clips(frames=frames)
    layer, edges, x = make(case)
    return layer.train(training), edges, x[:, :frames]


def without_counting(layer):
    """With norms that count nothing, as torch.func asks for in training."""
    return torch.func.replace_all_batch_norm_modules_(layer)


def numerically(function, x, tangent, step=1e-6):
    """The derivative along a tangent, by differences."""
    with torch.no_grad():
        above, below = function(x + step * tangent), function(x - step * tangent)
    return (above - below) / (2 * step)


def close(actual, expected, tolerance=1e-5):
    """Differences know fewer digits."""
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


# Forward mode -------------------------------------------------------------------------


@every_case
def test_jvp(case):
    layer, edges, x = build(case)
    tangent = torch.randn_like(x)
    out, actual = torch.func.jvp(lambda x: layer(x, *edges), (x,), (tangent,))
    torch.testing.assert_close(out, layer(x, *edges))
    close(actual, numerically(lambda x: layer(x, *edges), x, tangent))


@every_mode
@every_case
def test_dual_numbers(case, training):
    layer, edges, x = build(case, training)
    tangent = torch.randn_like(x)
    expected = numerically(lambda x: by_definition(layer, x, *edges), x, tangent)
    before = statistics(layer)
    with forward_ad.dual_level():
        out = layer(forward_ad.make_dual(x, tangent), *edges)
        primal, actual = forward_ad.unpack_dual(out)
    close(actual, expected)
    close(primal, by_definition(layer, x, *edges))
    if training:
        for name, value in layer.named_buffers():
            if 'running' in name:
                assert not value.equal(before[name]), name


@every_mode
@every_case
def test_dual_parameters(case, training):
    layer, edges, x = build(case, training)
    parameters = {n: p.detach() for n, p in layer.named_parameters()}
    tangents = {n: torch.randn_like(p) for n, p in parameters.items()}

    def along(step):
        moved = {n: p + step * tangents[n] for n, p in parameters.items()}
        buffers = statistics(layer)
        return functional_call(layer, {**moved, **buffers}, (x, *edges))

    with torch.no_grad():
        expected = (along(1e-6) - along(-1e-6)) / 2e-6
    with forward_ad.dual_level():
        duals = {n: forward_ad.make_dual(p, tangents[n]) for n, p in parameters.items()}
        out = functional_call(layer, {**duals, **statistics(layer)}, (x, *edges))
        close(forward_ad.unpack_dual(out).tangent, expected)


@pytest.mark.parametrize('case', [*MSGCN, *G3D])
def test_dual_weights_of_edges(case):
    layer, edges, x = build(case)
    tangent = torch.randn_like(edges[2])

    def of_weight(weight):
        return layer(x, *edges[:2], weight)

    actual = torch.func.jvp(of_weight, (edges[2],), (tangent,))[1]
    close(actual, numerically(of_weight, edges[2], tangent))

    def of_matrix(weight):
        graph = scale_graph((*edges[:2], weight)).full()
        return layer(x, graph.weight)

    torch.testing.assert_close(
        torch.func.jvp(of_matrix, (edges[2],), (tangent,))[1], actual
    )


# torch.func ---------------------------------------------------------------------------


@every_case
def test_vjp(case):
    layer, edges, x = build(case)
    out, back = torch.func.vjp(lambda x: layer(x, *edges), x)
    cotangent, tangent = torch.randn_like(out), torch.randn_like(x)
    actual = (back(cotangent)[0] * tangent).sum()
    expected = numerically(lambda x: layer(x, *edges), x, tangent)
    close(actual, (expected * cotangent).sum(), 1e-4)


@every_mode
@every_case
def test_vmap_over_clips(case, training):
    layer, edges, x = build(case, training)
    if training:
        without_counting(layer)
    several = torch.stack([x, -x, 2 * x])
    actual = torch.func.vmap(lambda x: layer(x, *edges))(several)
    expected = torch.stack([by_definition(layer, x, *edges) for x in several])
    torch.testing.assert_close(actual, expected)
    last = torch.func.vmap(lambda x: layer(x, *edges), -1, -1)(several.movedim(0, -1))
    torch.testing.assert_close(last, expected.movedim(0, -1))


@every_mode
@every_case
def test_vmap_over_stacked_parameters(case, training):
    """An ensemble, and each member's gradients."""
    layers = [build(case, training) for _ in range(2)]
    _, edges, x = layers[0]
    layers = [without_counting(layer) if training else layer for layer, _, _ in layers]
    parameters, buffers = torch.func.stack_module_state(layers)
    # Graphs are the same for all, and need no copies.
    buffers = {n: b for n, b in buffers.items() if 'running' in n}

    def loss(parameters, buffers):
        return (
            functional_call(layers[0], (parameters, buffers), (x, *edges))
            .square()
            .sum()
        )

    actual = torch.func.vmap(torch.func.grad_and_value(loss))(parameters, buffers)
    for i, layer in enumerate(layers):
        expected = by_definition(layer, x, *edges).square().sum()
        torch.testing.assert_close(actual[1][i], expected)
        grads = torch.autograd.grad(expected, list(layer.parameters()))
        for (name, _), grad in zip(layer.named_parameters(), grads, strict=True):
            torch.testing.assert_close(actual[0][name][i], grad)


@every_mode
@pytest.mark.parametrize('case', FEW)
def test_jacobians(case, training):
    layer, edges, x = build(case, training, frames=2)
    if training:
        without_counting(layer)
    x = x[:1]

    def function(x):
        return layer(x, *edges)

    back, forward = torch.func.jacrev(function)(x), torch.func.jacfwd(function)(x)
    torch.testing.assert_close(back, forward)
    # Of a maximum, torch vectorises no derivative in forward mode.
    if not any(isinstance(module, torch.nn.MaxPool2d) for module in layer.modules()):
        at_once = torch.autograd.functional.jacobian(
            function, x, vectorize=True, strategy='forward-mode'
        )
        torch.testing.assert_close(at_once, back)
    tangent = torch.randn_like(x)
    along = (back * tangent).flatten(-x.dim()).sum(-1)
    close(along, numerically(function, x, tangent))


@every_mode
@every_case
def test_hessian_vector_products(case, training):
    layer, edges, x = build(case, training)
    if training:
        without_counting(layer)
    tangent = torch.randn_like(x)

    def gradient(x):
        return torch.func.grad(lambda x: layer(x, *edges).square().sum())(x)

    actual = torch.func.jvp(gradient, (x,), (tangent,))[1]
    close(actual, numerically(gradient, x, tangent), 1e-4)
    back = torch.func.vjp(gradient, x)[1](tangent)[0]
    torch.testing.assert_close(back, actual)  # A Hessian is symmetric.


@pytest.mark.parametrize('case', [*G3D, *MSTCNS, *MODELS])
def test_norms_that_count_are_refused_as_torch_refuses_them(case):
    """Under a transform nothing outside may be written to: an error, no lost count."""
    layer, edges, x = build(case, training=True)
    before = statistics(layer)

    def loss(x):
        return layer(x, *edges).square().sum()

    with pytest.raises(RuntimeError, match='in-place'):
        torch.func.grad(loss)(x)
    with pytest.raises(RuntimeError, match='in.place|lerp_'):
        torch.func.vmap(loss)(x[None])
    for name, value in layer.named_buffers():
        if 'running' in name:
            torch.testing.assert_close(value, before[name])


# Second derivatives by autograd -------------------------------------------------------


@every_mode
@every_case
def test_second_derivatives(case, training):
    """To features, parameters and weights of edges, against the definition."""
    layer, edges, x = build(case, training)
    x.requires_grad_()
    inputs = [x, *layer.parameters()]
    if edges:
        edges[2].requires_grad_()
        inputs.append(edges[2])
    found = []
    for function in (layer, partial(by_definition, layer)):
        out = function(x, *edges)
        grads = torch.autograd.grad(out.square().sum(), inputs, create_graph=True)
        again = torch.autograd.grad(sum(g.sin().sum() for g in grads), inputs)
        found.append((grads, again))
    torch.testing.assert_close(*found)
    assert all(grad.abs().sum() > 0 for grad in found[0][1][:1])


# Without torch's own batch norm around, which is wrong there (tests/VERSIONS.md).
@pytest.mark.parametrize(
    'case', ['msgcn narrowing', 'g3d', 'g3d factored', 'mstcn identity']
)
@every_mode
def test_third_derivatives(case, training):
    layer, edges, x = build(case, training)
    x.requires_grad_()
    found = []
    for function in (layer, partial(by_definition, layer)):
        value = function(x, *edges).pow(3).sum()
        for _ in range(3):
            grad = torch.autograd.grad(value, x, create_graph=True)[0]
            value = grad.square().sum()
        found.append(grad)
    torch.testing.assert_close(*found)
    assert found[0].abs().sum() > 0


def tiny(case, training):
    """Of so few values that each derivative is looked at."""
    edges = torch.tensor([[0, 1, 1], [1, 0, 1]]), torch.tensor([0, 1, 1])
    kind, *how = case.split()
    if kind == 'mstcn':
        layer, graph = MSTCN(2, 4, *map(int, how), dilations=(1, 2)), ()
    elif kind == 'msgcn':
        layer, graph = MSGCNConv(2, 2, 2), edges
    else:
        kwargs = {'stride': {'stride': 2}, 'dilation': {'dilation': 2}}
        kwargs |= {'embed': {'embed_factor': 2}, 'factored': {'factored': True}}
        kwargs = {k: v for name in how for k, v in kwargs[name].items()}
        layer, graph = G3DConv(2, 2, 2, 3, **kwargs), edges
    layer = layer.double().train(training)
    for module in layer.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            scramble(module)
    return layer, graph


TINY = ['msgcn', 'mstcn 1', 'mstcn 2', 'g3d', 'g3d stride', 'g3d dilation', 'g3d embed',
        'g3d factored', 'g3d factored stride embed']  # fmt: skip


QUICK = ('msgcn', 'mstcn 2', 'g3d factored stride embed')


@every_mode
@pytest.mark.parametrize(
    'case', [case if case in QUICK else slow(case) for case in TINY]
)
def test_second_derivatives_by_differences(case, training):
    layer, graph = tiny(case, training)
    names, parameters = zip(*layer.named_parameters(), strict=True)
    x = torch.randn(1, 3, 2, 2, dtype=torch.float64).requires_grad_()
    weight = torch.rand(3, dtype=torch.float64).requires_grad_()

    def function(x, weight, *parameters):
        given = {**dict(zip(names, parameters, strict=True)), **statistics(layer)}
        return functional_call(layer, given, (x, *graph, weight) if graph else (x,))

    inputs = (x, weight, *parameters) if graph else (x, None, *parameters)
    assert torch.autograd.gradcheck(
        function,
        inputs,
        check_forward_ad=True,
        check_batched_grad=False,
        fast_mode=True,
    )
    assert torch.autograd.gradgradcheck(
        function, inputs, fast_mode=True, check_fwd_over_rev=True
    )


# Several gradients at once ------------------------------------------------------------


@every_mode
@pytest.mark.parametrize('case', FEW)
def test_gradients_in_a_batch(case, training):
    """By autograd's own batches, which are not those of torch.func."""
    layer, edges, x = build(case, training, frames=2)
    x = x[:1].requires_grad_()
    out = layer(x, *edges)
    units = torch.eye(out.numel(), dtype=x.dtype).view(-1, *out.shape)
    inputs = [x, *layer.parameters()]
    actual = torch.autograd.grad(
        out, inputs, units, is_grads_batched=True, retain_graph=True
    )
    for i, unit in enumerate(units):
        one = torch.autograd.grad(out, inputs, unit, retain_graph=True)
        torch.testing.assert_close(tuple(grad[i] for grad in actual), one)
    if not training:
        at_once = torch.autograd.functional.jacobian(
            lambda x: layer(x, *edges), x, vectorize=True
        )
        torch.testing.assert_close(at_once.flatten(0, out.dim() - 1), actual[0])


@every_mode
@pytest.mark.parametrize('case', TINY)
def test_gradients_in_a_batch_by_differences(case, training):
    layer, graph = tiny(case, training)
    x = torch.randn(1, 3, 2, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: layer(x, *graph), x, check_batched_grad=True, fast_mode=False
    )


# Within torch.compile -----------------------------------------------------------------


COMPILED = {
    'jvp': lambda f: lambda x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1],
    'vjp': lambda f: lambda x: torch.func.vjp(f, x)[1](torch.ones_like(f(x)))[0],
    'vmap': lambda f: lambda x: torch.func.vmap(f)(torch.stack([x, 2 * x])),
    'grad': lambda f: torch.func.grad(lambda x: f(x).square().sum()),
    'hvp': lambda f: (
        lambda x: torch.func.jvp(
            torch.func.grad(lambda x: f(x).square().sum()), (x,), (torch.ones_like(x),)
        )[1]
    ),
}


@pytest.mark.parametrize(
    ('case', 'transform'),
    [
        ('msgcn narrowing', 'jvp'),
        *(slow(case, transform) for case in FEW for transform in COMPILED),
    ],
)
def test_compiled_transforms_are_right(case, transform):
    layer, edges, x = build(case, frames=3)
    maximum = any(isinstance(module, torch.nn.MaxPool2d) for module in layer.modules())
    if maximum and transform in ('jvp', 'hvp'):
        pytest.skip("torch's own rule of a maximum does not compile in forward mode")
    x = x.contiguous()  # Compiled, torch's own tangents of slices do not fit.
    function = COMPILED[transform](lambda x: layer(x, *edges))
    expected = function(x)
    # What was compiled outside of a transform, or within, serves no other.
    torch.compile(lambda x: layer(x, *edges), backend='aot_eager')(x)
    actual = torch.compile(function, backend='aot_eager')(x)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize('case', ['mstcn', *map(slow, FEW)])
def test_transforms_of_a_compiled_layer_are_right_or_refused(case):
    layer, edges, x = build(case, training=case == 'mstcn')
    compiled = torch.compile(layer, backend='aot_eager')
    expected = numerically(lambda x: by_definition(layer, x, *edges), x, x.cos())
    compiled(x, *edges)  # Once before, by the fast way.
    for call in (
        lambda: torch.func.jvp(lambda x: compiled(x, *edges), (x,), (x.cos(),))[1],
        lambda: dual(lambda x: compiled(x, *edges), x, x.cos()),
    ):
        try:
            actual = call()
        except (RuntimeError, NotImplementedError):
            continue
        close(actual, expected)


def leave_transforms():
    """What torch does not do itself where it fails to compile one."""
    while torch._C._functorch.peek_interpreter_stack() is not None:
        torch._C._functorch.pop_dynamic_layer_stack_and_undo_to_depth(0)
    with suppress(RuntimeError):
        torch._C._exit_dual_level(level=0)
    forward_ad._current_level = -1


def dual(function, x, tangent):
    with forward_ad.dual_level():
        out = function(forward_ad.make_dual(x, tangent))
        return forward_ad.unpack_dual(out).tangent


# The operators themselves -------------------------------------------------------------


def raw_operators():
    """Every operator that torch knows of ours, with arguments."""

    def rand(*shape):
        return torch.rand(shape, dtype=torch.float64)

    edges = torch.tensor([[0, 1, 1], [1, 0, 1]]), torch.tensor([0, 1, 1]), rand(3)
    ops, graph = torch.ops.pyg_msg3d, scale_graph(edges, 2).sorted()
    x, maps = rand(3, 2, 4), rand(6, 4)
    sizes, no_window = list(graph.sizes), [0, 1, 1]
    full = graph.full().weight
    yield ops.scale_sum, (x, maps, graph.weight, graph.indices, sizes, no_window,
                          'csr', True)  # fmt: skip
    yield ops.scale_sum, (x, maps, full, [], sizes, no_window, 'dense', False)
    yield ops.joint_maps, (rand(1, 3, V, 4), rand(K * 2, 4), rand(V, K))
    yield ops.collapse, (rand(1, 4, V, 3, 2), None, rand(2), rand(2), rand(2),
                         rand(4, 6), rand(4), None, None, 1e-5, no_window)  # fmt: skip
    yield ops.ms_tcn, (rand(1, 5, V, 4), rand(4, 4), rand(4), [rand(2, 2, 3, 1)],
                       [rand(2)], rand(1, 5, V, 2), [rand(4), rand(6)],
                       [rand(4), rand(6)], [1e-5, 1e-5], 1, [1])  # fmt: skip
    # For GPUs.
    yield ops.frames, (rand(3, V, 4), rand(K * 2, 4), rand(V, V * K), [V, V, K])
    yield ops.fused_collapse, (rand(1, 4, 3 * V, 2), None, None, None, rand(2), rand(2),
                               rand(4, 6), None, None, None, 1e-5,
                               [3, 1, 1])  # fmt: skip
    yield ops.fused_norm, (rand(1, 4, V, 2), rand(2), rand(2), 1e-5)
    yield ops.fused_ms_tcn, (rand(1, 5, V, 6), None, [rand(2, 2, 3, 1)],
                             [rand(4), rand(6)], [rand(4), rand(6)], [1e-5, 1e-5],
                             1, [1], True)  # fmt: skip


@pytest.mark.parametrize('index', range(9))
def test_raw_operators_refuse_forward_mode(index):
    """Torch itself would answer with a tangent of zero, or none."""
    operator, (x, *rest) = list(raw_operators())[index]
    if index < 5:
        operator(x, *rest)  # The arguments are right.
    tangent = torch.ones_like(x)
    with pytest.raises(NotImplementedError, match='forward-mode'):
        dual(lambda x: first(operator(x, *rest)), x, tangent)
    with pytest.raises(NotImplementedError, match='forward-mode'):
        torch.func.jvp(lambda x: first(operator(x, *rest)), (x,), (tangent,))


def test_the_raw_operators_are_all():
    names = {str(op.default).split('.')[1] for op, _ in raw_operators()}
    known = {name.split('::')[1] for name in torch._C._dispatch_get_all_op_names()
             if name.startswith('pyg_msg3d::')}  # fmt: skip
    assert {name for name in known if not name.endswith('_backward')} == names


def first(out):
    return out[0] if isinstance(out, tuple) else out
