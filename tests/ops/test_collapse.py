import pytest
import torch
from problems import DTYPES, WINDOWS, V, assert_is_definition, leaf

from pyg_msg3d.ops import Window, collapse, combine, joint_maps, sum_windows

EPS = 1e-3


def problem(window, dtype=torch.float64, training=True, frames=7):
    tau = window.size if window else 3
    if window is None:
        h, own = leaf(2, 5, V, tau, 3, dtype=dtype), None
    else:
        h, own = (leaf(2, t, V, 3, dtype=dtype) for t in (window.count(frames), frames))
    wide = torch.promote_types(dtype, torch.float32)
    bias, gamma, beta = (leaf(3, dtype=wide) for _ in range(3))
    weight, shift = leaf(4, tau * 3, dtype=dtype), leaf(4, dtype=wide)
    mean = variance = None
    if not training:
        mean, variance = leaf(3, dtype=wide), (torch.rand(3, dtype=wide) + 1)
        variance.requires_grad_()
    return h, own, bias, gamma, beta, weight, shift, mean, variance


def tensors(given):
    return [part for part in given if part is not None]


@pytest.mark.parametrize('product', ['matmul', 'convolution'])
@pytest.mark.parametrize('window', [None, *WINDOWS], ids=str)
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_every_way_is_the_definition(product, window, training, dtype):
    given = problem(window, dtype, training)
    assert_is_definition(
        lambda: collapse(*given, EPS, window), tensors(given), [product]
    )


@pytest.mark.parametrize('window', [None, Window(3, 2)], ids=str)
def test_moments_are_those_of_the_batch(window):
    given = problem(window, frames=200)
    _, mean, variance = collapse(*given, EPS, window)
    h, own, bias, *_ = given
    h = h if own is None else combine(h, own, window)
    rows = (h + bias).reshape(-1, 3)
    torch.testing.assert_close(mean, rows.mean(0))
    torch.testing.assert_close(variance, rows.var(0, correction=0))


@pytest.mark.parametrize('training', [True, False])
def test_gradients_by_differences(training):
    window = Window(3, 2)
    given = [part[:1] if part.dim() > 2 else part for part in problem(
        window, training=training, frames=3) if part is not None]  # fmt: skip

    def run(*given):
        if training:
            given = *given, None, None
        return collapse(*given, EPS, window)[0]

    given = [part.detach().requires_grad_() for part in given]
    assert torch.autograd.gradcheck(run, given)
    assert torch.autograd.gradgradcheck(run, given, atol=1e-4)


@pytest.mark.parametrize('window', WINDOWS, ids=str)
@pytest.mark.parametrize('frames', [7, 200])
def test_sums_of_windows(window, frames):
    """In products of some windows at a time, as gathered."""
    x = leaf(2, frames, V, 3)
    expected = window.unfold(x).unflatten(2, (window.size, V)).sum(2)
    actual = sum_windows(x, window)
    torch.testing.assert_close(actual, expected)
    cotangent = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(actual, x, cotangent),
        torch.autograd.grad(expected, x, cotangent),
    )


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_maps_of_joints_are_the_definition(dtype):
    given = (
        leaf(2, 5, V, 3, dtype=dtype),
        leaf(6, 3, dtype=dtype),
        leaf(V, 2, dtype=dtype),
    )
    assert_is_definition(lambda: joint_maps(*given), given, ['matmul'])
    if dtype == torch.float64:
        assert torch.autograd.gradcheck(joint_maps, given)
        assert torch.autograd.gradgradcheck(joint_maps, given)
