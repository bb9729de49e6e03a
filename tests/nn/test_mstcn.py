"""MS-TCN, figure 3(c)."""

import pytest
import torch
from layers import MSTCNS, V, by_definition, make, statistics

from pyg_msg3d.nn import MSTCN
from pyg_msg3d.ops import use

every_case = pytest.mark.parametrize('case', MSTCNS)


@pytest.mark.parametrize('training', [True, False])
@every_case
def test_it_is_the_definition(case, training):
    layer, _, x = make(case)
    layer.train(training)
    x.requires_grad_()
    inputs = [x, *layer.parameters()]
    out, expected = layer(x), by_definition(layer, x)
    torch.testing.assert_close(out, expected)
    cotangent = torch.randn_like(out)
    torch.testing.assert_close(
        torch.autograd.grad(out, inputs, cotangent),
        torch.autograd.grad(expected, inputs, cotangent),
    )


@every_case
def test_running_statistics_are_those_of_the_definition(case):
    layer, _, x = make(case)
    twin, _, _ = make(case)
    twin.load_state_dict(layer.state_dict())
    before = statistics(layer)
    for i in range(3):
        layer(x + i)
        with use('reference'):
            twin(x + i)
    after = statistics(layer)
    torch.testing.assert_close(after, statistics(twin))
    for name, value in after.items():
        assert not value.equal(before[name]), name


@every_case
def test_leading_dimensions_are_any(case):
    layer, _, x = make(case)
    layer.eval()
    out = layer(x)
    torch.testing.assert_close(layer(x[0]), out[0])
    torch.testing.assert_close(layer(x[None]), out[None])


def test_shapes_and_refusals():
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


def test_repr():
    assert str(MSTCN(6, 12)) == 'MSTCN(6, 12, stride=1, dilations=(1, 2, 3, 4))'


def test_reset_parameters_draws_all_anew():
    layer = MSTCN(6, 12, stride=2)
    for parameter in layer.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    layer.reset_parameters()
    for name, parameter in layer.named_parameters():
        assert (parameter != 7).all(), name


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
