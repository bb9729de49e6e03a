"""The public implementations' numbers, value by value."""

import re
from functools import partial

import golden_rule as rule
import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from pyg_msg3d import MSG3D, skeleton
from pyg_msg3d.graph import adjacency_powers, disentangle
from pyg_msg3d.graph.disentangle import _inverse_root
from pyg_msg3d.models import conversion
from pyg_msg3d.nn import MSTCN, G3DBlock, MSGCNBlock, ScaleAdjacency

MODELS = ['official_ntu60', 'mmaction2_ntu60_3d', 'mmaction2_ntu60_2d_coco']
LAYERS = [
    'layer_msgcn_k13_in3',
    'layer_msgcn_k13_nomask',
    'layer_msgcn_k4_powers_nomask',
    'layer_g3d_w3',
    'layer_g3d_w3_in3',
    'layer_g3d_w3_stride2_dilation2_embed4',
    'layer_g3d_w5_stride2',
    'layer_mstcn',
    'layer_mstcn_stride2',
]


@pytest.fixture
def recorded_roots(monkeypatch):
    """The adjacency as it was recorded: numpy's float32 power rounds some roots
    differently on processors without AVX-512, by one unit in the last place."""
    recorded = torch.tensor(rule.load('inverse_roots'), dtype=torch.float64)
    computed = _inverse_root(torch.arange(1, 126))
    torch.testing.assert_close(computed, recorded, rtol=1.2e-7, atol=0)
    module = __import__('sys').modules['pyg_msg3d.graph.disentangle']
    monkeypatch.setattr(
        module, '_inverse_root', lambda degree: recorded[(degree - 1).clamp(min=0)]
    )


def clips(golden, dtype):
    x = rule.tensor(golden['input']['tag'], golden['input']['shape']).to(dtype)
    # The authors' order is (N, C, T, V, M).
    return x.permute(0, 4, 2, 3, 1) if golden['name'].startswith('official') else x


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.parametrize(
    ('dtype', 'tolerance'), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=str
)
def test_model_logits(name, dtype, tolerance, recorded_roots):
    golden = rule.load(name)
    model = MSG3D.from_checkpoint(rule.state_dict(golden)).to(dtype).eval()
    expected = torch.tensor(golden['eval_logits'], dtype=torch.float64)
    with torch.no_grad():
        logits = model(clips(golden, dtype)).double()
    assert (logits - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize('name', MODELS)
def test_model_training_step(name, recorded_roots):
    golden = rule.load(name)
    state = {
        re.sub(r'^backbone\.', '', key): value.double() if value.dim() else value
        for key, value in rule.state_dict(golden).items()
    }
    classifier = 'fc' if 'fc.weight' in state else 'cls_head.fc'
    residual = 'A_res' if classifier == 'fc' else 'PA'
    rules = conversion.model_rules(residual, 2, classifier)
    model = MSG3D.from_checkpoint(rule.state_dict(golden)).double().train()

    logits, state, after = step(model, rules, state, clips(golden, torch.float64))
    expected = torch.tensor(golden['train_logits'], dtype=torch.float64)
    torch.testing.assert_close(logits, expected, rtol=1e-8, atol=1e-8)
    loss = cross_entropy(logits, torch.tensor(golden['labels']))
    assert loss.item() == pytest.approx(golden['train_loss'], rel=1e-8)

    loss.backward()
    prefix = 'backbone.' if classifier != 'fc' else ''
    grads = {key: leaf.grad for key, leaf in state.items()}
    check_probes(golden, grads, after, prefix)


@pytest.mark.parametrize('name', LAYERS)
def test_layer(name, recorded_roots):
    golden = rule.load(name)
    block, rules = build_layer(golden)
    state = {
        key: value.double() if value.dim() else value
        for key, value in rule.state_dict(golden).items()
    }
    label = golden['input']['tag'].removeprefix('input:')
    x = rule.tensor(golden['input']['tag'], golden['input']['shape']).double()
    x.requires_grad_()

    block = block.double().eval()
    out, *_ = step(block, rules, state, x.permute(0, 2, 3, 1))
    out = out.permute(0, 3, 1, 2)
    assert list(out.shape) == golden['eval_shape']
    first = torch.tensor(golden['eval_first'], dtype=torch.float64)
    torch.testing.assert_close(out.flatten()[:64], first, rtol=1e-9, atol=1e-9)
    expected = torch.tensor(
        [golden['eval_norm'], golden['eval_probe']], dtype=torch.float64
    )
    assert_probe(rule.probe(out, f'out:{label}'), expected)

    out, state, after = step(block.train(), rules, state, x.permute(0, 2, 3, 1))
    out = out.permute(0, 3, 1, 2)
    (out * rule.tensor(f'probe:cot:{label}', list(out.shape))).sum().backward()
    grads = {key: leaf.grad for key, leaf in state.items()}
    check_probes(golden, grads, after)
    expected = torch.tensor(golden['grad_input'], dtype=torch.float64)
    assert_probe(rule.probe(x.grad, f'gin:{label}'), expected)


def test_numpys_roots_agree_with_the_recorded_to_the_last_place():
    recorded = torch.tensor(rule.load('inverse_roots'), dtype=torch.float64)
    exact = torch.arange(1, 126, dtype=torch.float64).pow(-0.5)
    torch.testing.assert_close(recorded, exact, rtol=1.2e-7, atol=0)


def build_layer(golden):
    """The layer of a golden file, and how its weights map to ours."""
    config, keys = golden['config'], golden['state_dict']
    bones = skeleton('ntu-rgb+d').edge_index
    channels = config['in_channels'], config['out_channels']
    if config['layer'] == 'MS-TCN':
        residual = 'residual.conv.weight' in keys
        rules = conversion.mstcn_rules('', '', residual)
        return MSTCN(*channels, config['stride']), rules

    if config['layer'] == 'G3D':
        block = G3DBlock(
            *channels,
            bones,
            25,
            config['num_scales'],
            config['window_size'],
            config['window_stride'],
            config['window_dilation'],
            # The authors widen at once where the input is coordinates.
            hidden_channels=channels[1] if channels[0] == 3 else None,
            embed_factor=config.get('embed_factor', 1),
        )
        return block, conversion.g3d_rules('', '', 'A_res', 'embed_factor' in config)

    k = config['num_scales']
    masked = config.get('residual_mask', True)
    block = MSGCNBlock(*channels, bones, 25, k, residual='dense' if masked else None)
    rules = conversion.msgcn_rules('', '', 'A_res')
    if not masked:  # Then the number of scales must come from elsewhere.
        disentangled = config.get('disentangled', True)
        graph = disentangle(bones, 25, k) if disentangled else recorded_powers(bones, k)
        block.adjacency = ScaleAdjacency(*graph, 25, 25, k, residual=False)
        one_scale = torch.empty(k, 1, 1)
        rules = [
            r._replace(
                theirs=r.theirs[1:],
                convert=partial(conversion._scale_weight, one_scale),
            )
            if r.ours == 'conv.lin.weight'
            else r
            for r in rules
            if r.ours != 'adjacency.residual'
        ]
    return block, rules


def recorded_powers(bones, num_scales):
    """The powers as they were recorded, which ours must equal up to the rounding of
    float32 matrix products."""
    recorded = {k: torch.tensor(v) for k, v in rule.load('adjacency_powers').items()}
    edge_index, edge_type, weight = adjacency_powers(bones, 25, num_scales)
    assert edge_index.equal(recorded['edge_index'])
    assert edge_type.equal(recorded['edge_type'])
    torch.testing.assert_close(weight, recorded['edge_weight'], rtol=1e-6, atol=0)
    return tuple(recorded.values())


def step(module, rules, state, x):
    """Runs a module on weights in the source's layout, so that gradients arrive in
    that layout too. Returns the output, the leaves, and a way to read the module's
    buffers afterwards in the source's layout."""
    leaves = {
        key: value.clone().requires_grad_() if is_weight(key) else value.clone()
        for key, value in state.items()
    }
    ours = conversion.convert(rules, leaves)
    assert set(ours) == set(module.state_dict())
    out = functional_call(module, ours, (x,))
    return out, leaves, to_source(rules, state, ours)


def to_source(rules, state, ours):
    """Our tensors in the source's layout."""
    # Numbering the source's entries shows where each of them went.
    numbers, total = {}, 0
    for key, value in state.items():
        n = value.numel()
        numbers[key] = torch.arange(total, total + n).view(value.shape).double()
        total += n
    where = conversion.convert(rules, numbers)
    flat = torch.full((total,), float('nan'), dtype=torch.float64)
    for key, index in where.items():
        flat[index.flatten().long()] = ours[key].detach().double().flatten()
    return {key: flat[index.long()] for key, index in numbers.items()}


def is_weight(key):
    return not key.endswith(('running_mean', 'running_var', 'num_batches_tracked'))


def check_probes(golden, grads, after, prefix=''):
    """Gradients, and batch norm statistics after the step."""
    checked = 0
    for key, expected in golden['grad'].items():
        grad = grads[key.removeprefix(prefix)]
        expected = torch.tensor(expected, dtype=torch.float64)
        if expected[0] == 0:  # A bias before a batch norm.
            assert grad.norm() < 1e-9
        else:
            assert_probe(rule.probe(grad, key), expected)
        checked += 1
    for key, expected in golden['running'].items():
        value = after[key.removeprefix(prefix)]
        expected = torch.tensor(expected, dtype=torch.float64)
        assert_probe(rule.probe(value, key), expected)
        checked += 1
    assert checked == len(golden['grad']) + len(golden['running']) > 0


def assert_probe(actual, expected, tolerance=1e-8):
    assert (actual - expected).abs().max() <= tolerance * expected[0]
