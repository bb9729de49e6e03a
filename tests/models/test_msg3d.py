from copy import deepcopy

import pytest
import torch
from torch.nn.functional import cross_entropy

from pyg_msg3d import MSG3D, Skeleton
from pyg_msg3d.nn import ScaleAdjacency

ARM = Skeleton('arm', ['a', 'b', 'c', 'd'], [(0, 1), (1, 2), (2, 3)])


def small(**kwargs):
    arguments = {
        'skeleton': ARM,
        'num_classes': 5,
        'gcn_scales': 3,
        'g3d_scales': 2,
        'channels': (6, 12),
    }
    return MSG3D(**{**arguments, **kwargs})


def test_the_published_size():
    model = MSG3D('ntu-rgb+d', num_classes=60)
    assert sum(p.numel() for p in model.parameters()) == 3_194_595
    residual = [p.numel() for n, p in model.named_parameters() if 'residual' in n]
    adjacency = sum(p for p in residual if p in (8125, 75 * 450, 125 * 750))
    assert adjacency == 406_875


@pytest.mark.parametrize('residual', ['dense', 'tied', None])
@pytest.mark.parametrize(
    'arguments',
    [
        {},
        {'in_channels': 2, 'num_persons': 1},
        {'in_channels': 9, 'num_persons': 3, 'window_sizes': (3,)},
        {'window_sizes': (3, 3, 5), 'window_dilations': (1, 2, 1)},
        {'skeleton': 'hand-21', 'channels': (6, 8, 7, 6), 'dropout': 0.5},
    ],
    ids=str,
)
def test_any_skeleton_channels_persons_and_windows(residual, arguments):
    model = small(residual=residual, **arguments)
    c, m = arguments.get('in_channels', 3), arguments.get('num_persons', 2)
    x = torch.randn(3, m, 9, model.skeleton.num_joints, c)
    logits = model(x)
    assert logits.shape == (3, 5)
    cross_entropy(logits, torch.tensor([0, 1, 2])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def dense_residual(residual, num_nodes, num_scales):
    """The [n, n K] residual of a whole window that a tied one, or none, stands for:
    1_(tau x tau) (x) R_k, scale by scale."""
    if residual is None:
        return torch.zeros(num_nodes, num_nodes * num_scales, dtype=torch.float64)
    tau = num_nodes // len(residual)
    ones = torch.ones(tau, tau, dtype=torch.float64)
    scales = residual.unflatten(1, (-1, num_scales)).unbind(-1)
    return torch.stack([torch.kron(ones, r) for r in scales], dim=-1).flatten(1)


@pytest.mark.parametrize('residual', ['tied', None])
def test_sparser_residuals_equal_their_dense_expansion(residual):
    model = small(residual=residual).double()
    for name, parameter in model.named_parameters():
        if name.endswith('adjacency.residual'):
            torch.nn.init.normal_(parameter)
    dense = small(residual='dense').double()
    state = model.state_dict()
    for name, module in dense.named_modules():
        if isinstance(module, ScaleAdjacency):
            key = f'{name}.residual'
            state[key] = dense_residual(
                state.get(key), len(module.residual), module.sizes[2]
            )
    dense.load_state_dict(state)

    x = torch.randn(2, 2, 9, 4, 3, dtype=torch.float64)
    out, expected = model(x), dense(x)
    torch.testing.assert_close(out, expected)
    cotangent = torch.randn_like(out)
    (out * cotangent).sum().backward()
    (expected * cotangent).sum().backward()
    theirs = dict(dense.named_parameters())
    for name, parameter in model.named_parameters():
        grad = theirs[name].grad
        if name.endswith('adjacency.residual'):  # The sum over pairs of frames.
            tau = len(grad) // 4
            grad = grad.view(tau, 4, tau, -1).sum((0, 2))
        torch.testing.assert_close(parameter.grad, grad)


def test_the_order_of_clips_does_not_matter_and_no_clip_sees_another():
    model = small().eval()
    x = torch.randn(4, 2, 9, 4, 3)
    out = model(x)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(model(x[order]), out[order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(x[1:2]), out[1:2], rtol=1e-4, atol=1e-5)


def test_inference_of_some_persons_at_a_time(monkeypatch):
    model = small().eval()
    x = torch.randn(3, 2, 9, 4, 3)
    expected = model(x)
    monkeypatch.setattr('pyg_msg3d.ops.policy._PART_BYTES', 1)
    with torch.no_grad():
        actual = model(x)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_the_graph_stays_out_of_state_dicts():
    for residual in ('dense', 'tied', None):
        keys = small(residual=residual).state_dict()
        assert not [key for key in keys if key.endswith(('matrix', 'edge_index'))]


def test_reset_parameters():
    model = small()
    before = {n: p.clone() for n, p in model.named_parameters() if p.dim() > 1}
    model.reset_parameters()
    for name, parameter in model.named_parameters():
        if name in before:
            assert not parameter.equal(before[name]), name


@pytest.mark.parametrize(
    ('shape', 'got'),
    [
        ((2, 2, 9, 5, 3), 'joints'),
        ((2, 2, 9, 4, 2), 'channels'),
        ((2, 1, 9, 4, 3), 'persons'),
        ((2, 9, 4, 3), 'clips'),
    ],
)
def test_refused_inputs(shape, got):
    model = small()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    message = rf"2 persons, frames, 4 joints of 'arm', 3 channels\] .got \[{shape[0]}, "
    with pytest.raises(ValueError, match=message):
        model(torch.randn(shape))
    for name, value in model.state_dict().items():
        assert value.equal(before[name])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'skeleton': 'ntu'}, 'known ones: ntu-rgb'),
        ({'num_classes': 0}, 'num_classes'),
        ({'in_channels': 0}, 'in_channels'),
        ({'num_persons': 0}, 'num_persons'),
        ({'window_sizes': (4,)}, 'centred'),
        ({'window_sizes': (3, 5), 'window_dilations': (1,)}, 'one of'),
        ({'residual': 'sparse'}, "'dense', 'tied' or None"),
        ({'normalization': 'row'}, "'sym', 'col' or None"),
        ({'channels': ()}, 'at least one block'),
        ({'gcn_scales': 0}, 'num_scales'),
    ],
)
def test_refused_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)


@pytest.mark.slow
@pytest.mark.parametrize('training', [True, False])
def test_compiles_whole(training):
    # Wide enough for the convolutions that real models get.
    model = small(channels=(96, 192)).train(training)
    twin = deepcopy(model)
    x = torch.randn(2, 2, 9, 4, 3)
    actual = torch.compile(model, fullgraph=True)(x)
    torch.testing.assert_close(actual, twin(x), rtol=1e-3, atol=1e-4)
    actual.square().sum().backward()
    twin(x).square().sum().backward()
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        error = (mine.grad - theirs.grad).norm()
        assert error <= 1e-2 * theirs.grad.norm() + 1e-4


@pytest.mark.parametrize('residual', ['dense', 'tied', None])
@pytest.mark.parametrize('channels', [(6, 8, 13), (12,)])
def test_fused_gives_the_same_logits(residual, channels):
    model = small(residual=residual, channels=channels).double()
    x = torch.randn(3, 2, 9, 4, 3, dtype=torch.float64)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            # Some scales are negative, which a maximum does not commute with.
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
    model(x)  # Running statistics.
    fused = model.fused()
    assert model.training
    assert not fused.training
    model.eval()
    with torch.no_grad():
        expected = model(x)
        torch.testing.assert_close(fused(x), expected)
        # A copy: the model goes on, the copy stays.
        model.classifier.bias += 1
        torch.testing.assert_close(fused(x), expected)
    assert not any(parameter.requires_grad for parameter in fused.parameters())
    with pytest.raises(RuntimeError, match='inference alone'):
        fused.train()
