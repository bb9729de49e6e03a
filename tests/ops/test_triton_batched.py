"""The kernels for whole batches, interpreted: those of frames, of the collapse, of
MS-TCN and of norms."""

import os

import pytest
import torch
from problems import DTYPES, K
from torch.nn.utils import prune

from pyg_msg3d.graph import ScaleGraph
from pyg_msg3d.nn import MSTCN, G3DBlock, MSGCNBlock, STGCBlock
from pyg_msg3d.ops import Window, collapse, policy, reference, scale_sum, trust, use
from pyg_msg3d.ops.fused_ms_tcn import fused_ms_tcn

pytestmark = [
    pytest.mark.usefixtures('triton'),
    pytest.mark.skipif(
        os.environ.get('TRITON_INTERPRET') != '1',
        reason='Triton is interpreted in a process of its own: test_triton.py',
    ),
]
BONES = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
every_dtype = pytest.mark.parametrize('dtype', DTYPES[1:])
#: Of the norm: what the reference gives in float64 but for rounding.
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def leaf(*shape):
    return torch.randn(*shape).requires_grad_()


def check(run, expected, inputs, dtype, decides=False):
    """Results and gradients of ``run`` in a type, and as they are in float64. Where
    rounding ``decides`` what a ReLU lets through, or which frame is the maximum,
    gradients differ by whole elements."""
    low = [x.detach().to(dtype).requires_grad_() for x in inputs]
    high = [x.detach().double().requires_grad_() for x in low]
    with use('batched'):
        actual = run(*low)
    node = actual.grad_fn
    while 'pyg_msg3d' not in node.name():  # Else no kernel was taken.
        node = node.next_functions[0][0]
    expected = expected(*high)
    cotangent = torch.randn_like(actual)
    mine = torch.autograd.grad(actual, low, cotangent)
    theirs = torch.autograd.grad(expected, high, cotangent.double())
    bound = TOLERANCES[dtype]
    assert (actual.double() - expected).norm() <= bound * expected.norm() + 1e-9
    bound = 0.2 if decides and dtype == torch.bfloat16 else bound
    for a, b in zip(mine, theirs, strict=True):
        assert (a.double() - b).norm() <= bound * b.norm() + 1e-9


def graph(matrix, sources):
    return ScaleGraph.of(
        matrix, num_sources=sources, num_targets=matrix.size(0), num_scales=K
    )


@every_dtype
@pytest.mark.parametrize('joints', [(25, 25), (17, 34), (50, 25), (1, 1), (64, 64)])
@pytest.mark.parametrize('channels', [(3, 20), (37, 70)])
def test_frames(joints, channels, dtype):
    sources, targets = joints
    x = leaf(11, sources, channels[0])
    maps, matrix = leaf(K * channels[1], channels[0]), leaf(targets, sources * K)

    def sums(function):
        def run(x, maps, matrix):
            return function(x, maps, graph(matrix, sources))

        return run

    check(sums(scale_sum), sums(reference.scale_sum), (x, maps, matrix), dtype)


@pytest.mark.parametrize('joints', [133, 543])
def test_more_joints_than_a_program_holds(joints):
    from pyg_msg3d.ops import frames

    x, matrix = torch.randn(2, joints, 3), torch.randn(joints, joints * K)
    assert joints > policy.MOST_JOINTS
    assert not frames.takes(x, graph(matrix, joints))


@every_dtype
@pytest.mark.parametrize('window', [Window(3), Window(5, 2), Window(1)])
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('joints', [25, 17])
def test_collapse(window, training, joints, dtype):
    tau, channels, outputs = window.size, 37, 70
    h = leaf(2, 5, tau, joints, channels)
    rest = [leaf(channels), leaf(channels), leaf(channels)]
    rest += [leaf(outputs, tau * channels), leaf(outputs)]
    moments = [torch.randn(channels), torch.rand(channels) + 0.5]
    if not training:
        rest += [moment.requires_grad_() for moment in moments]

    def collapsed(function):
        def run(h, bias, *rest):
            mean, variance = rest[4:] if len(rest) > 4 else (None, None)
            h = h.transpose(2, 3)
            given = *rest[:4], mean, variance, 1e-5
            out, *_ = function(h, None, bias, *given)
            return out

        return run

    # Of the batch's moments, a bias has no gradient but rounding.
    inputs = [h, *rest]
    if training:
        bias = rest[0].detach()

        def without(function):
            inner = collapsed(function)
            return lambda h, *rest: inner(h, bias.to(h.dtype), *rest)

        check(
            without(collapse), without(reference.collapse), [h, *rest[1:]], dtype, True
        )
    else:
        check(collapsed(collapse), collapsed(reference.collapse), inputs, dtype, True)


def test_layouts_of_sums():
    """In any order in memory; the gradient lies as they do."""
    from pyg_msg3d.ops.fused_collapse import fused_collapse

    h = leaf(2, 12, 5, 4)  # [B, C, W, tau V]
    given = torch.ones(12), torch.zeros(12), torch.randn(6, 24), None, None, None, 1e-5
    seen = []
    view = h.permute(0, 2, 3, 1)
    out, mean, variance = fused_collapse(view, None, None, None, *given, Window(2))
    view.register_hook(lambda grad: seen.append(grad.stride()))
    out.sum().backward()
    assert seen == [view.stride()]
    wide, mine = torch.var_mean(h, (0, 2, 3), correction=0)
    torch.testing.assert_close((mean, variance), (mine, wide))


@every_dtype
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize(
    ('sizes', 'window'),
    [((18, 96), Window(3)), ((5, 20), Window(5, 2)), ((32, 128), Window(2))],
)
def test_collapse_of_what_is_mapped_as_it_is_read(sizes, window, training, dtype):
    from pyg_msg3d.ops.fused_collapse import _collapse, fused_collapse

    (inner, channels), tau, outputs = sizes, window.size, 70
    inputs = [leaf(2, 5, tau * 7, inner), leaf(channels, inner), leaf(channels)]
    inputs += [leaf(channels), leaf(outputs, tau * channels), leaf(outputs)]
    if not training:
        inputs += [leaf(channels), (torch.rand(channels) + 0.5).requires_grad_()]

    def collapsed(function):
        def run(h, maps, gamma, beta, weight, shift, *moments):
            given = gamma, beta, weight, shift, *(moments or (None, None))
            out, *_ = function(h, maps, None, None, *given, 1e-5, window)
            return out

        return run

    check(collapsed(fused_collapse), collapsed(_collapse.define), inputs, dtype, True)


@every_dtype
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize(
    'window', [Window(3), Window(5, 2), Window(2, 3), Window(3, 1, 2), Window(4, 2, 3)]
)
def test_collapse_of_two_parts(window, training, dtype):
    """Among them windows that reach beyond a clip, and frames that no window has."""
    tau, channels, outputs, joints = window.size, 20, 37, 5
    inputs = [
        leaf(2, window.count(11), joints, channels),
        leaf(2, 11, joints, channels),
    ]
    inputs += [leaf(channels), leaf(channels), leaf(outputs, tau * channels)]
    inputs += [leaf(outputs)]
    if not training:
        inputs += [leaf(channels), (torch.rand(channels) + 0.5).requires_grad_()]

    def collapsed(function):
        def run(h, own, gamma, beta, weight, shift, *moments):
            given = gamma, beta, weight, shift, *(moments or (None, None))
            out, *_ = function(h, own, None, *given, 1e-5, window)
            return out

        return run

    check(collapsed(collapse), collapsed(reference.collapse), inputs, dtype, True)


@pytest.mark.parametrize('joints', [17, 133])
def test_a_layer_of_many_joints(joints):
    """Windows in two parts and MS-TCN know no limit of joints; sums go along edges."""
    torch.manual_seed(0)
    at = torch.arange(joints - 1)
    edges = torch.stack([torch.cat([at, at + 1]), torch.cat([at + 1, at])])
    block = STGCBlock(12, 12, 18, edges, joints, 2, 2, (3,), (1,), residual=None)
    x, found, cotangent = leaf(1, 2, joints, 12), [], None
    for way, kind in (('batched', torch.float32), ('reference', torch.float64)):
        block, features = block.to(kind), x.detach().to(kind).requires_grad_()
        ways = (way, 'triton') if way == 'batched' else (way,)
        with use(*ways):
            out = block(features)
        cotangent = torch.randn_like(out) if cotangent is None else cotangent.to(kind)
        mine = [features, block.g3d[0].conv.lin.weight, block.gcn.conv.lin.weight]
        found.append([out, *torch.autograd.grad(out, mine, cotangent)])
    for a, b in zip(*found, strict=True):
        assert (a.double() - b).norm() <= 1e-4 * b.norm()


@pytest.mark.parametrize('residual', ['tied', None])
@pytest.mark.parametrize('ways', [('batched',), ('batched', 'triton')])
@pytest.mark.parametrize('window', [(3, 1, 1), (5, 2, 1), (4, 1, 2)])
def test_windows_in_two_factors(window, ways, residual):
    """The layer takes them apart, in each way to add messages up."""
    torch.manual_seed(0)
    tau, stride, dilation = window
    edges = torch.tensor([[0, 1, 1, 2, 3, 1], [1, 0, 2, 1, 1, 3]])
    given = 20, 24, edges, 4, 3, tau, stride, dilation
    block = G3DBlock(*given, residual=residual)
    if residual == 'tied':
        torch.nn.init.normal_(block.adjacency.residual, std=0.1)
    x, found, cotangent = leaf(2, 8, 4, 20), [], None
    for way, kind in ((ways, torch.float32), (('reference',), torch.float64)):
        block, features = block.to(kind), x.detach().to(kind).requires_grad_()
        with use(*way):
            out = block(features)
        mine = [features, *block.adjacency.parameters(), block.conv.lin.weight]
        cotangent = torch.randn_like(out) if cotangent is None else cotangent.to(kind)
        found.append([out, *torch.autograd.grad(out, mine, cotangent)])
    for a, b in zip(*found, strict=True):
        assert (a.double() - b).norm() <= 1e-5 * b.norm()


@every_dtype
@pytest.mark.parametrize('shape', [(3, 7, 5, 24), (1, 40, 1, 70), (9, 2)])
def test_norms(shape, dtype):
    from pyg_msg3d.ops.fused_norm import _norm, fused_norm

    shape = shape if len(shape) == 4 else (1, 1, *shape)
    inputs = [leaf(*shape), leaf(shape[-1]), leaf(shape[-1])]

    def normalised(function):
        return lambda *given: function(*given, 1e-5)[0]

    check(
        normalised(lambda h, *given: fused_norm(h, None, *given)),
        normalised(_norm.define), inputs, dtype, True,
    )  # fmt: skip


@every_dtype
@pytest.mark.parametrize('residual', ['input', 'other', None])
@pytest.mark.parametrize(
    ('stride', 'dilations', 'width', 'last'),
    [(1, (1, 2, 3, 4), 16, 16), (2, (1, 3), 6, 9), (3, (5,), 20, 21)],
)
@pytest.mark.parametrize('rectifies', [True, False])
def test_ms_tcn(stride, dilations, width, last, residual, rectifies, dtype):
    """Among them frames that no window reaches, and one branch alone."""
    if residual == 'input' and stride != 1:
        pytest.skip('the result has fewer frames')
    torch.manual_seed(0)
    n = len(dilations)
    inner = (n + 1) * width
    channels = inner + last
    outputs = (8 - 1) // stride + 1
    inputs = [leaf(2, 8, 5, channels), leaf(inner, channels), leaf(last, channels)]
    inputs += [leaf(width, width, 3, 1) for _ in dilations]
    inputs += [(torch.rand(size) + 0.5).requires_grad_() for size in (inner, channels)]
    inputs += [leaf(inner), leaf(channels)]
    inputs += [leaf(2, outputs, 5, channels)] * (residual == 'other')

    def run(x, maps, end_maps, *rest):
        weights, (g, end_g, b, end_b, *other) = rest[:n], rest[n:]
        added = x if residual == 'input' else other[0] if other else None
        out, *_ = fused_ms_tcn(
            x, [maps, end_maps], x.new_zeros(inner), weights,
            [*(x.new_zeros(width) for _ in weights), x.new_zeros(last)], [g, end_g],
            [b, end_b], added, [1e-5, 1e-5], stride, dilations, rectifies,
        )  # fmt: skip
        return out

    def expected(x, maps, end_maps, *rest):
        weights, (g, end_g, b, end_b, *other) = rest[:n], rest[n:]
        out, *_ = reference.ms_tcn(
            x, maps, x.new_zeros(inner), weights, [None] * n,
            (x @ end_maps.t())[:, ::stride], [g, end_g], [b, end_b], [1e-5, 1e-5],
            stride, dilations,
        )  # fmt: skip
        out = out + x if residual == 'input' else out + other[0] if other else out
        return out.relu() if rectifies else out

    check(run, expected, inputs, dtype, True)


def test_moments_of_ms_tcn():
    """Those of the two norms, with the biases before them, whose gradients are zero."""
    x, maps, last = torch.randn(2, 6, 3, 9), torch.randn(8, 9), torch.randn(5, 9)
    weights, biases = [torch.randn(4, 4, 3, 1)], [leaf(4), leaf(5)]
    norms = [torch.ones(8), torch.ones(13)], [torch.zeros(8), torch.zeros(13)]
    bias, rest = leaf(8), ([1e-5, 1e-5], 1, [2])
    given = weights, biases, *norms, None, *rest, True
    out, *moments = fused_ms_tcn(x, [maps, last], bias, *given)
    done = x @ last.t() + biases[1]
    given = weights, biases[:1], done, *norms, *rest
    expected, *theirs = reference.ms_tcn(x, maps, bias, *given)
    torch.testing.assert_close(out, expected.relu())
    torch.testing.assert_close(moments, theirs)
    out.square().sum().backward()
    for one in (bias, *biases):
        assert not one.grad.any()


@pytest.mark.parametrize('adds', [True, False])
def test_higher_derivatives_are_by_the_definition(adds):
    x, maps, last = leaf(2, 6, 3, 13), leaf(8, 13), leaf(5, 13)
    norms = [torch.ones(8), torch.ones(13)], [torch.zeros(8), torch.zeros(13)]
    bias, weights, biases = leaf(8), [leaf(4, 4, 3, 1)], [leaf(4), leaf(5)]
    found = []
    for way in ('fused', 'definition'):
        if way == 'fused':
            given = weights, biases, *norms, x if adds else None
            out, *_ = fused_ms_tcn(
                x, [maps, last], bias, *given, [1e-5, 1e-5], 1, [2], True
            )
        else:
            given = weights, biases[:1], x @ last.t() + biases[1], *norms
            out, *_ = reference.ms_tcn(x, maps, bias, *given, [1e-5, 1e-5], 1, [2])
            out = (out + x if adds else out).relu()
        (first,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), [x, maps, *weights]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * b.abs().max().item())


def test_transforms_take_the_definition():
    """Whose statistics are those of the batch, so that nothing is counted."""
    tcn, gcn = MSTCN(24, 24, dilations=(1, 2)), MSGCNBlock(4, 24, BONES, 3, 2)
    model = torch.nn.Sequential(gcn, tcn).double()
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            norm.track_running_stats = False
            norm.running_mean = norm.running_var = None
    x, tangent = torch.randn(2, 5, 3, 4).double(), torch.randn(2, 5, 3, 4).double()
    with use('batched'):
        _, mine = torch.func.jvp(model, (x,), (tangent,))
    step = 1e-6 * tangent
    expected = (model(x + step) - model(x - step)) / 2e-6
    torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-4)


def test_batched_gradients_of_layers():
    tcn, gcn = MSTCN(24, 24, dilations=(1, 2)), MSGCNBlock(4, 24, BONES, 3, 2)
    x = leaf(2, 5, 3, 4)
    with use('batched'):
        out = tcn(gcn(x))
    several = torch.randn(3, *out.shape)
    (mine,) = torch.autograd.grad(
        out, x, several, is_grads_batched=True, retain_graph=True
    )
    for each, cotangent in zip(mine, several, strict=True):
        (one,) = torch.autograd.grad(out, x, cotangent, retain_graph=True)
        torch.testing.assert_close(each, one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('way', ['whole', 'pruned', 'hooked', 'wide'])
def test_layers_take_kernels_where_they_are_what_they_were(way):
    tcn = MSTCN(24, 400 if way == 'wide' else 24, dilations=(1, 2))
    if way == 'pruned':
        prune.random_unstructured(tcn.shortcut, 'weight', 0.5)
    if way == 'hooked':
        tcn.shortcut.register_forward_hook(lambda *_: None)
    with use('batched'):
        out = tcn(torch.randn(2, 5, 3, 24))
    names, nodes = set(), [out.grad_fn]
    while nodes:
        node = nodes.pop()
        names.add(node.name())
        nodes += [following for following, _ in node.next_functions if following]
    assert any('fused_ms_tcn' in name for name in names) == (way == 'whole')


@pytest.fixture
def unknown(monkeypatch):
    """As in a process that has used no kernel."""
    monkeypatch.setattr(trust, '_FOUND', {})


def wrong(x, maps, adjacency):
    return x.new_zeros(x.size(0), adjacency.size(1), maps.size(1))


def broken(x, maps, adjacency):
    raise RuntimeError('no such chip')


def summed():
    x, maps, matrix = leaf(5, 4, 3), leaf(K * 6, 3), leaf(4, 4 * K)
    with use('batched'):
        out = scale_sum(x, maps, graph(matrix, 4))
    with use('reference'):
        torch.testing.assert_close(out, scale_sum(x, maps, graph(matrix, 4)))


def test_kernels_are_tried_once(unknown, monkeypatch):
    tried = []
    operator, example = trust._EXAMPLES['frames']
    monkeypatch.setitem(
        trust._EXAMPLES, 'frames', (operator, lambda: tried.append(1) or example())
    )
    summed()
    summed()
    assert tried == [1]
    assert list(trust._FOUND.values()) == [True]


@pytest.mark.parametrize(
    ('kernel', 'reason'),
    [(wrong, 'differ from the definition by'), (broken, 'RuntimeError: no such chip')],
)
def test_what_is_wrong_is_not_used(unknown, monkeypatch, kernel, reason):
    from pyg_msg3d.ops.kernels import triton_frames

    monkeypatch.setattr(triton_frames, 'scale_sum', kernel)
    with pytest.warns(UserWarning, match=f"'frames' are not used on cpu.*{reason}"):
        summed()
    summed()  # And says so once.


def test_the_environment_decides(unknown, monkeypatch):
    from pyg_msg3d.ops.kernels import triton_frames

    monkeypatch.setattr(triton_frames, 'scale_sum', broken)
    monkeypatch.setenv('PYG_MSG3D_KERNELS', 'off')
    summed()
    monkeypatch.setenv('PYG_MSG3D_KERNELS', 'on')
    with pytest.raises(RuntimeError, match='no such chip'):
        summed()
    monkeypatch.setenv('PYG_MSG3D_KERNELS', 'yes')
    with pytest.raises(ValueError, match="one of off, on, check .got 'yes'"):
        summed()


def test_sparse_products_that_are_wrong_are_not_used(unknown, monkeypatch):
    from pyg_msg3d.ops import chosen
    from pyg_msg3d.ops.kernels import triton

    edges = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
    sparse = ScaleGraph.of(edges, num_sources=4).sorted()
    x = torch.randn(2, 4, 5)
    monkeypatch.setattr(policy, 'backend', lambda *_: 'triton')
    assert chosen('auto', x, sparse) == 'triton'
    trust._FOUND.clear()
    monkeypatch.setattr(triton, 'product', lambda matrix, x, out=None: 2 * x)
    with pytest.warns(UserWarning, match="'sparse' are not used on cpu"):
        assert chosen('auto', x, sparse) == 'csr'
    assert chosen('auto', x, sparse) == 'csr'


def test_the_first_choice_is_taken_where_nothing_can_be_tried():
    from pyg_msg3d.ops.kernels.tuned import Tuned

    launched = []

    class Kernel:
        def __getitem__(self, grid):
            return lambda *args, **constants: launched.append((grid, constants))

    tuned = Tuned(Kernel(), [{'block': 4}, {'block': 8}], ['size'])
    tuned(lambda constants: (constants['block'],), torch.ones(1), is_set=True)
    assert launched == [((4,), {'is_set': True, 'block': 4})]
