import pytest
import torch
from torch.nn import functional as F

from pyg_msg3d.nn import MSTCN
from pyg_msg3d.ops import temporal_branches

WIDTH, EPS = 2, 1e-5
DILATIONS = [1, 3]


def inputs(stride, width=WIDTH, dtype=torch.float64):
    def leaf(*shape):
        return torch.randn(*shape, dtype=dtype).requires_grad_()

    frames = -(-7 // stride)
    affine = leaf(3 * width), leaf(3 * width)
    weights = [leaf(width, width, 3, 1) for _ in DILATIONS]
    biases = [leaf(width) for _ in DILATIONS]
    maps = leaf(3 * width, 5), leaf(3 * width)
    return leaf(2, 5, 7, 4), maps, affine, weights, biases, leaf(2, 5, frames, 4)


def mapped(x, maps, bias):
    return F.conv2d(x, maps[:, :, None, None], bias)


def as_written(x, maps, affine, weights, biases, last, stride):
    y = F.batch_norm(mapped(x, *maps), None, None, *affine, training=True).relu()
    *dilated, highest = y.split(WIDTH, 1)
    outs = [
        F.conv2d(branch, weight, bias, (stride, 1), (dilation, 0), (dilation, 1))
        for branch, weight, bias, dilation in zip(
            dilated, weights, biases, DILATIONS, strict=True
        )
    ]
    outs.append(F.max_pool2d(highest, (3, 1), (stride, 1), (1, 0)))
    return torch.cat([*outs, last], 1)


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('memory', [torch.contiguous_format, torch.channels_last])
def test_same_as_written_down(stride, memory):
    x, maps, affine, weights, biases, last = inputs(stride)
    given = x.contiguous(memory_format=memory)
    out, mean, variance = temporal_branches(
        given, *maps, *affine, EPS, weights, biases, last, stride, DILATIONS
    )
    expected = as_written(x, maps, affine, weights, biases, last, stride)
    torch.testing.assert_close(out, expected)
    inner = mapped(x, *maps)
    torch.testing.assert_close(mean, inner.mean((0, 2, 3)))
    torch.testing.assert_close(variance, inner.var((0, 2, 3), correction=0))
    leaves = [x, *maps, *affine, *weights, *biases, last]
    grad = torch.randn_like(expected)
    actual = torch.autograd.grad(out, leaves, grad)
    for mine, theirs in zip(
        actual, torch.autograd.grad(expected, leaves, grad), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_registered_as_torch_wants_it(dtype):
    x, maps, affine, weights, biases, last = inputs(2, width=32, dtype=dtype)
    x = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    checks = ('test_schema', 'test_autograd_registration', 'test_faketensor')
    operators = torch.ops.pyg_msg3d
    torch.library.opcheck(
        operators.temporal_branches.default,
        (x, *maps, *affine, EPS, weights, biases, last, 2, DILATIONS),
        test_utils=checks,
    )
    grad = torch.randn(2, 3 * 32 + 5, 4, 4, dtype=dtype)
    grad = grad.contiguous(memory_format=torch.channels_last)
    moments = torch.rand_like(affine[0]), torch.rand_like(affine[0])
    torch.library.opcheck(
        operators.temporal_branches_backward.default,
        (grad, x, *maps, *moments, *affine, EPS, weights, 2, DILATIONS),
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
