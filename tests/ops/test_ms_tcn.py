import pytest
import torch
from problems import DTYPES, V, assert_is_definition, leaf

from pyg_msg3d.nn import MSTCN
from pyg_msg3d.ops import ms_tcn

WIDTH, LAST, EPS = 2, 5, [1e-5, 1e-3]
DILATIONS = [1, 3]


def problem(stride, dtype=torch.float64, frames=7):
    wide = torch.promote_types(dtype, torch.float32)
    widths = 3 * WIDTH, 3 * WIDTH + LAST
    return {
        'x': leaf(2, frames, V, 5, dtype=dtype),
        'maps': leaf(3 * WIDTH, 5, dtype=dtype),
        'bias': leaf(3 * WIDTH, dtype=wide),
        'weights': [leaf(WIDTH, WIDTH, 3, 1, dtype=dtype) for _ in DILATIONS],
        'biases': [leaf(WIDTH, dtype=dtype) for _ in DILATIONS],
        'last': leaf(2, -(-frames // stride), V, LAST, dtype=dtype),
        'gammas': [leaf(width, dtype=wide) for width in widths],
        'betas': [leaf(width, dtype=wide) for width in widths],
    }


def tensors(given):
    found = []
    for value in given.values():
        found += value if isinstance(value, list) else [value]
    return found


@pytest.mark.parametrize('product', ['matmul', 'convolution'])
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_every_way_is_the_definition(product, stride, dtype):
    given = problem(stride, dtype)
    # Of two that are nearly equal, the maximum may be the other in fewer bits.
    tolerance = {'rtol': 0.2, 'atol': 0.5} if dtype == torch.bfloat16 else None

    def run():
        return ms_tcn(*given.values(), EPS, stride, DILATIONS)

    if dtype == torch.bfloat16:
        with torch.no_grad():
            out = run()[0]
            expected = ms_tcn(
                *(
                    [part.double() for part in value]
                    if isinstance(value, list)
                    else value.double()
                    for value in given.values()
                ),
                EPS, stride, DILATIONS,
            )[0]  # fmt: skip
        assert out.dtype == dtype
        torch.testing.assert_close(out.double(), expected, **tolerance)
        return
    assert_is_definition(run, tensors(given), [product], tolerance)


@pytest.mark.parametrize('stride', [1, 2])
def test_gradients_by_differences(stride):
    given = problem(stride, frames=3)

    def run(*leaves):
        left = iter(leaves)
        args = [
            [next(left) for _ in value] if isinstance(value, list) else next(left)
            for value in given.values()
        ]
        return ms_tcn(*args, EPS, stride, DILATIONS)[0]

    assert torch.autograd.gradcheck(run, tensors(given))


def test_moments_are_those_of_the_batch():
    given = problem(2)
    out, mean, variance, end_mean, end_variance = ms_tcn(
        *given.values(), EPS, 2, DILATIONS
    )
    inner = torch.nn.functional.linear(given['x'], given['maps'], given['bias'])
    rows = inner.flatten(0, -2)
    torch.testing.assert_close(mean, rows.mean(0))
    torch.testing.assert_close(variance, rows.var(0, correction=0))
    # The end is normalised: what comes out has the moments of gamma and beta.
    rows, gamma = out.flatten(0, -2), given['gammas'][1]
    torch.testing.assert_close(rows.mean(0), given['betas'][1])
    spread = end_variance / (end_variance + EPS[1])
    torch.testing.assert_close(rows.var(0, correction=0), gamma.square() * spread)
    assert end_mean.shape == gamma.shape


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_training_and_evaluation_are_one_function(dtype):
    """With the statistics of the batch as running ones, both give the same."""
    module = MSTCN(12, 24, stride=2)
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = 1.0
    x = torch.randn(2, 9, 5, 12)
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.bfloat16):
        trained = module.train()(x)
        evaluated = module.eval()(x)
    assert trained.dtype == evaluated.dtype == dtype
    # Running variances are unbiased ones: of 90 values 1 % more, after two norms.
    torch.testing.assert_close(trained, evaluated, rtol=0.05, atol=0.05)
    assert module.pointwise_norm.num_batches_tracked == 1
    assert module.norm.num_batches_tracked == 1
