import pytest
import torch
from torch.nn import functional as F

from pyg_msg3d.nn import MSTCN
from pyg_msg3d.ops import temporal_branches

WIDTH, LAST, EPS = 2, 5, [1e-5, 1e-3]
DILATIONS = [1, 3]


def inputs(stride, width=WIDTH, dtype=torch.float64, residual=True):
    def leaf(*shape):
        return torch.randn(*shape, dtype=dtype).requires_grad_()

    frames = -(-7 // stride)
    widths = 3 * width, 3 * width + LAST
    return {
        'x': leaf(2, 5, 7, 4),
        'maps': leaf(3 * width, 5),
        'bias': leaf(3 * width),
        'weights': [leaf(width, width, 3, 1) for _ in DILATIONS],
        'biases': [leaf(width) for _ in DILATIONS],
        'last': leaf(2, LAST, frames, 4),
        'residual': leaf(2, widths[1], frames, 4) if residual else None,
        'gammas': [leaf(width) for width in widths],
        'betas': [leaf(width) for width in widths],
    }


def leaves(given):
    found = []
    for value in given.values():
        found += value if isinstance(value, list) else [value]
    return [leaf for leaf in found if leaf is not None]


def normalised(x, given, which):
    affine = given['gammas'][which], given['betas'][which]
    return F.batch_norm(x, None, None, *affine, training=True, eps=EPS[which])


def as_written(given, stride, activation):
    inner = F.conv2d(given['x'], given['maps'][:, :, None, None], given['bias'])
    *dilated, highest = normalised(inner, given, 0).relu().split(WIDTH, 1)
    outs = [
        F.conv2d(branch, weight, bias, (stride, 1), (dilation, 0), (dilation, 1))
        for branch, weight, bias, dilation in zip(
            dilated, given['weights'], given['biases'], DILATIONS, strict=True
        )
    ]
    outs.append(F.max_pool2d(highest, (3, 1), (stride, 1), (1, 0)))
    joined = torch.cat([*outs, given['last']], 1)
    out = normalised(joined, given, 1)
    if given['residual'] is not None:
        out = out + given['residual']
    return out.relu() if activation else out, (inner, joined)


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('residual', [True, False])
@pytest.mark.parametrize('activation', [True, False])
@pytest.mark.parametrize('memory', [torch.contiguous_format, torch.channels_last])
def test_same_as_written_down(stride, residual, activation, memory):
    given = inputs(stride, residual=residual)
    x = given['x'].contiguous(memory_format=memory)
    out, means, variances = temporal_branches(
        **{**given, 'x': x}, eps=EPS, stride=stride, dilations=DILATIONS,
        activation=activation,
    )  # fmt: skip
    expected, before = as_written(given, stride, activation)
    torch.testing.assert_close(out, expected)
    for h, mean, variance in zip(before, means, variances, strict=True):
        torch.testing.assert_close(mean, h.mean((0, 2, 3)))
        torch.testing.assert_close(variance, h.var((0, 2, 3), correction=0))
    grad = torch.randn_like(expected)
    actual = torch.autograd.grad(out, leaves(given), grad)
    for mine, theirs in zip(
        actual, torch.autograd.grad(expected, leaves(given), grad), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_registered_as_torch_wants_it(dtype):
    given = inputs(2, width=32, dtype=dtype)
    x = given['x'].detach().contiguous(memory_format=torch.channels_last)
    given['x'] = x.requires_grad_()
    checks = ('test_schema', 'test_autograd_registration', 'test_faketensor')
    operators = torch.ops.pyg_msg3d
    torch.library.opcheck(
        operators.temporal_branches.default,
        (*given.values(), EPS, 2, DILATIONS, True),
        test_utils=checks,
    )
    residual = given.pop('residual')
    grad = torch.randn_like(residual).contiguous(memory_format=torch.channels_last)
    moments = [torch.rand_like(gamma) for gamma in given['gammas']]
    torch.library.opcheck(
        operators.temporal_branches_backward.default,
        (grad, *given.values(), EPS, moments, moments, 2, DILATIONS),
        test_utils=checks[2:],
    )


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
