"""No clips, no frames, single values, and modules on no device."""

import pytest
import torch
from layers import (
    ARM,
    G3D,
    LAYERS,
    MSGCN,
    MSTCNS,
    clips,
    make,
    small_model,
    statistics,
)

from pyg_msg3d.nn import MSTCN, G3DConv, MSGCNConv

RESIDUALS = ['dense', 'tied', None]
every_residual = pytest.mark.parametrize('residual', RESIDUALS)
every_case = pytest.mark.parametrize('case', LAYERS)
every_mode = pytest.mark.parametrize('training', [True, False])


def result(layer, x, *graph):
    """What a layer gives, all gradients taken; or none where we refuse it."""
    x, refusal = x.clone().requires_grad_(), None
    before = statistics(layer)
    try:
        out = layer(x, *graph)
    except ValueError as error:
        refusal = str(error)
    if refusal is not None:
        # In words of ours, before anything was counted.
        assert refusal.startswith('Expected')
        assert '(got ' in refusal
        torch.testing.assert_close(dict(layer.named_buffers()), before)
        return None
    out.sum().backward()
    assert x.grad.shape == x.shape
    for name, parameter in layer.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
    for name, value in layer.named_buffers():
        assert value.isfinite().all(), name
    return out


@every_case
def test_no_clips(case):
    layer, edges, x = make(case)
    layer.eval()
    expected = layer(x, *edges).shape
    assert result(layer, x[:0], *edges).shape == (0, *expected[1:])


@pytest.mark.parametrize('case', MSGCN)
def test_no_clips_without_norms(case):
    layer, edges, x = make(case)
    expected = layer(x, *edges).shape
    assert result(layer.train(), x[:0], *edges).shape == (0, *expected[1:])


@every_mode
@pytest.mark.parametrize('case', G3D)
def test_no_frames_for_a_window(case, training):
    layer, edges, x = make(case)
    assert result(layer.train(training), x[:, :0], *edges) is None


@pytest.mark.parametrize('case', MSGCN)
def test_no_frames(case):
    layer, edges, x = make(case)
    assert result(layer, x[:, :0], *edges).shape == (2, 0, *layer(x, *edges).shape[2:])


@pytest.mark.parametrize('case', [*G3D, *MSTCNS])
def test_no_clips_leave_no_trace_in_training(case):
    layer, edges, x = make(case)
    out = result(layer.train(), x[:0], *edges)
    assert out is None or out.numel() == 0


@every_mode
@pytest.mark.parametrize('case', MSTCNS)
def test_no_frames_for_a_convolution(case, training):
    layer, edges, x = make(case)
    out = result(layer.train(training), x[:, :0], *edges)
    assert out is None or out.numel() == 0


@every_mode
@every_case
def test_one_frame_of_one_clip(case, training):
    layer, edges, x = make(case)
    assert result(layer.train(training), x[:1, :1], *edges).shape[:2] == (1, 1)


@every_mode
@every_residual
def test_models_of_nothing(residual, training):
    model = small_model(residual).train(training)
    x = clips(2)
    out = result(model, x[:0])
    assert (out is None) if training else out.shape == (0, 3)
    assert result(model, x[:, :, :0]) is None
    assert result(model, x[:0, :, :0]) is None
    if not training:  # Where the first norm has one value of each coordinate.
        assert result(model, x[:1, :, :1]).shape == (1, 3)


def test_single_values():
    """One clip of one frame of a single joint and channel."""
    loop = torch.zeros(2, 1, dtype=torch.long)
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    conv = MSGCNConv(1, 1, 1).double()
    assert result(conv, x, loop).item() == pytest.approx(conv.lin.weight.item())
    conv = G3DConv(1, 1, 1, 1).double().eval()
    h = conv.lin.weight.item() / (1 + conv.norm.module.eps) ** 0.5
    expected = max(h, 0) * conv.collapse.weight.item() + conv.collapse.bias.item()
    assert result(conv, x, loop).item() == pytest.approx(expected)
    assert result(MSTCN(1, 6).double().eval(), x).shape == (1, 1, 1, 6)


# On no device -------------------------------------------------------------------------


def on_meta(graph):
    return tuple(part.to('meta') for part in graph)


@every_mode
@every_case
def test_layers_on_no_device(case, training):
    layer, edges, x = make(case)
    layer.train(training)
    shape = layer(x, *edges).shape
    with torch.device('meta'):
        made, _, _ = make(case)
    made.train(training)
    assert all(parameter.is_meta for parameter in made.parameters())
    for moved in (layer.to('meta'), made):
        for graph in (edges, on_meta(edges)):
            out = moved(x.to('meta'), *graph)
            assert out.is_meta
            assert out.shape == shape
    out.sum().backward()


@every_mode
@every_residual
def test_models_on_no_device(residual, training):
    x = clips(2)
    real = small_model(residual).train(training)
    with torch.device('meta'):
        made = small_model(residual).train(training)
    assert all(parameter.is_meta for parameter in made.parameters())
    moved = small_model(residual).train(training).to('meta')
    for model in (made, moved):
        out = model(x.to('meta'))
        assert out.is_meta
        assert out.shape == (2, 3)
        out.sum().backward()
        assert all(p.grad.is_meta for p in model.parameters())

    # Made on no device, it becomes the real one by its weights alone.
    made.load_state_dict(real.state_dict(), assign=True)
    assert not any(p.is_meta for p in made.parameters())
    made.zero_grad()
    torch.testing.assert_close(made(x), real(x))
    torch.testing.assert_close(made.state_dict(), real.state_dict())


@every_residual
def test_weights_are_assigned_in_every_type(residual):
    real = small_model(residual).eval().float()
    with torch.device('meta'):
        model = small_model(residual).eval()
    model.load_state_dict(real.state_dict(), assign=True)
    x = torch.randn(1, 1, 5, ARM.num_joints, 3)
    out = model(x)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, real(x), rtol=1e-4, atol=1e-5)
