"""The kernels for whole batches, interpreted: those of frames and of the collapse."""

import os

import pytest
import torch
from problems import DTYPES, K

from pyg_msg3d.graph import ScaleGraph
from pyg_msg3d.ops import Window, collapse, policy, reference, scale_sum, trust, use

pytestmark = [
    pytest.mark.usefixtures('triton'),
    pytest.mark.skipif(
        os.environ.get('TRITON_INTERPRET') != '1',
        reason='Triton is interpreted in a process of its own: test_triton.py',
    ),
]
every_dtype = pytest.mark.parametrize('dtype', DTYPES[1:])
#: Of the norm: what the reference gives in float64 but for rounding.
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def leaf(*shape):
    return torch.randn(*shape).requires_grad_()


def check(run, expected, inputs, dtype):
    """Results and gradients of ``run`` in a type, and as they are in float64."""
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
    for a, b in zip((actual, *mine), (expected, *theirs), strict=True):
        error = (a.double() - b).norm()
        assert error <= TOLERANCES[dtype] * b.norm() + 1e-9


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

        check(without(collapse), without(reference.collapse), [h, *rest[1:]], dtype)
    else:
        check(collapsed(collapse), collapsed(reference.collapse), inputs, dtype)


def test_layouts_of_sums():
    """In any order in memory; the gradient lies as they do."""
    from pyg_msg3d.ops.fused_collapse import fused_collapse

    h = leaf(2, 12, 5, 4)  # [B, C, W, tau V]
    given = torch.ones(12), torch.zeros(12), torch.randn(6, 24), None, None, None, 1e-5
    seen = []
    view = h.permute(0, 2, 3, 1)
    out, mean, variance = fused_collapse(view, None, *given, 2)
    view.register_hook(lambda grad: seen.append(grad.stride()))
    out.sum().backward()
    assert seen == [view.stride()]
    wide, mine = torch.var_mean(h, (0, 2, 3), correction=0)
    torch.testing.assert_close((mean, variance), (mine, wide))


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
