"""Modules inside a layer that somebody hooks into, changes or replaces: what they then
do is what counts, in training and in evaluation."""

from copy import deepcopy
from functools import cache

import pytest
import torch
from layers import ARM, BONES, V, scramble, small_model
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrizations, parametrize, prune

from pyg_msg3d.nn import MSTCN, G3DBlock, MSGCNBlock

B, T, C = 2, 5, 6


# Each layer, and the same module by module --------------------------------------------


def mstcn(layer, x):
    image = x.permute(0, 3, 1, 2)
    left = image[:, :, :: layer.stride]
    y = layer.pointwise_norm(layer.pointwise(image)).relu()
    *branches, highest = y.split(layer.width, 1)
    outs = [conv(y) for conv, y in zip(layer.temporal, branches, strict=True)]
    out = torch.cat([*outs, layer.maximum(highest), layer.shortcut(left)], 1)
    out = layer.norm(out)
    if layer.residual is not None:
        out = out + layer.residual(left)
    return out.relu().permute(0, 2, 3, 1)


def sums(conv, adjacency, x):
    """The sum over scales: rows (u, k) of all maps, and the full matrix."""
    h = conv.lin(x)
    slots = h.view(*h.shape[:-2], -1, h.size(-1) // conv.num_scales)
    return adjacency().full().weight @ slots


def msgcn(block, x):
    return block.norm(sums(block.conv, block.adjacency, x) + block.conv.bias).relu()


def g3d(block, x):
    conv, window = block.conv, block.conv.window
    if conv.embed is not None:
        x = conv.embed_norm(conv.embed(x)).relu()
    if conv.factored:
        shared, own = sums(conv, block.adjacency, x).chunk(2, -2)
        h = torch.stack(window.slices(own), -2)
        h = h + sum(window.slices(shared)).unsqueeze(-2)
    else:
        # Lifted frame by frame, so that maps are called once.
        slots = conv.lin(x).view(*x.shape[:2], -1, conv.hidden_channels)
        h = block.adjacency().full().weight @ window.unfold(slots)
        h = h.unflatten(-2, (window.size, -1)).transpose(-2, -3)
    h = conv.norm(h + conv.bias).relu()
    return block.norm(conv.collapse(h.flatten(-2)))


def g3d_block(embed_factor=1, **kwargs):
    return G3DBlock(C, 8, BONES, V, 2, 3, embed_factor=embed_factor, **kwargs)


LAYERS = {
    'mstcn': (lambda: MSTCN(C, 14, stride=2), mstcn),
    'mstcn identity': (lambda: MSTCN(C, C), mstcn),
    'msgcn': (lambda: MSGCNBlock(C, 8, BONES, V, 3), msgcn),
    'msgcn None': (lambda: MSGCNBlock(C, 8, BONES, V, 3, residual=None), msgcn),
    'g3d': (lambda: g3d_block(embed_factor=2, stride=2), g3d),
    'g3d dilated': (lambda: g3d_block(dilation=2), g3d),
    'g3d tied': (lambda: g3d_block(residual='tied'), g3d),
    'g3d None': (lambda: g3d_block(residual=None, stride=2), g3d),
}
#: The layers that are changed, and what they are made of.
MAPS = {
    'mstcn': ['pointwise', 'temporal.0', 'temporal.3', 'shortcut', 'residual.0'],
    'msgcn': ['conv.lin'],
    'g3d': ['conv.lin', 'conv.collapse', 'conv.embed'],
    'g3d tied': ['conv.lin', 'conv.collapse'],
}
NORMS = {
    'mstcn': ['pointwise_norm', 'norm', 'residual.1'],
    'msgcn': ['norm.module'],
    'g3d': ['conv.embed_norm.module', 'conv.norm.module', 'norm.module'],
    'g3d tied': ['conv.norm.module'],
}
OTHERS = {
    'mstcn': ['maximum', 'residual'],
    'mstcn identity': ['norm', 'residual'],
    'msgcn': ['norm'],
    'g3d': ['conv.embed_norm', 'conv.norm', 'norm'],
    'g3d tied': ['conv.norm'],
}


def places(*groups):
    return [
        pytest.param(layer, path, id=f'{layer}-{path}')
        for group in groups
        for layer, paths in group.items()
        for path in paths
    ]


# Changes ------------------------------------------------------------------------------


class Wrapped(nn.Module):
    """An adapter around a module, as LoRA's: its result, and something on top."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        out = self.inner(x)
        return out + self.factor * out.sin()


class SavesItsResult(nn.Module):
    """One whose backward pass needs its result as it was."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x).tanh()


class Curved(nn.Module):
    """A parametrisation."""

    def forward(self, weight):
        return weight + weight.sin() / 2


def replace(change):
    """In the place of the module goes what ``change`` makes of it."""

    def apply(layer, path):
        parent, _, name = path.rpartition('.')
        parent = layer.get_submodule(parent)
        setattr(parent, name, change(getattr(parent, name)))

    return apply


def alter(change):
    """The module stays, but for what ``change`` does to it."""

    def apply(layer, path):
        change(layer.get_submodule(path))

    return apply


def override(module):
    inner = module.forward
    module.forward = lambda x: inner(x).sin()


def other_map(module):
    """Another map of the same shapes, and of a plain class."""
    weight = torch.randn(module.weight.shape, dtype=module.weight.dtype)
    if isinstance(module, nn.Conv2d):
        new = nn.Conv2d(
            module.in_channels, module.out_channels, module.kernel_size,
            module.stride, module.padding, module.dilation,
        )  # fmt: skip
    else:
        new = nn.Linear(weight.size(1), weight.size(0))
    new = new.double()
    new.weight.data.copy_(weight)
    return new


def forward_hook(module):
    module.register_forward_hook(lambda module, inputs, out: out.sin())


def pre_hook(module):
    module.register_forward_pre_hook(lambda module, inputs: (inputs[0].sin(),))


def backward_hook(module):
    module.register_full_backward_hook(
        lambda module, to_inputs, to_out: tuple(2 * grad for grad in to_inputs)
    )


def backward_pre_hook(module):
    module.register_full_backward_pre_hook(
        lambda module, to_out: tuple(2 * grad for grad in to_out)
    )


EVERYWHERE = {
    'forward hook': alter(forward_hook),
    'forward pre-hook': alter(pre_hook),
    'forward of its own': alter(override),
    'wrapped': replace(Wrapped),
    'saves its result': replace(SavesItsResult),
    'identity-like': replace(lambda module: nn.Sequential(module, nn.Identity())),
}
BACKWARD = {
    'backward hook': alter(backward_hook),
    'backward pre-hook': alter(backward_pre_hook),
}
OF_MAPS = {
    'pruned': alter(lambda module: prune.l1_unstructured(module, 'weight', 0.5)),
    'parametrised': alter(
        lambda module: parametrize.register_parametrization(module, 'weight', Curved())
    ),
    'weight norm': alter(lambda module: double_norm(module)),
    'orthogonal': alter(lambda module: parametrizations.orthogonal(module)),
    'replaced': replace(other_map),
}
OF_NORMS = {
    'SyncBatchNorm': replace(nn.SyncBatchNorm.convert_sync_batchnorm),
    'affine=False': replace(lambda norm: norm_like(norm, affine=False)),
    'no running statistics': replace(
        lambda norm: norm_like(norm, track_running_stats=False)
    ),
    'running statistics taken away': alter(lambda norm: forget(norm)),
    'frozen': alter(lambda norm: norm.eval()),
    'momentum=None': alter(lambda norm: setattr(norm, 'momentum', None)),
    'momentum': alter(lambda norm: setattr(norm, 'momentum', 0.7)),
    'eps': alter(lambda norm: setattr(norm, 'eps', 0.5)),
    'pruned': OF_MAPS['pruned'],
    'parametrised': OF_MAPS['parametrised'],
    'another norm': replace(lambda norm: other_norm(norm)),
    'nothing': replace(lambda norm: nn.Identity()),
}


def double_norm(module):
    parametrizations.weight_norm(module)
    module.parametrizations.weight.original0.data *= 2


def norm_like(norm, **kwargs):
    return type(norm)(norm.num_features, **kwargs).double()


def forget(norm):
    """As torch.func asks for."""
    norm.running_mean = norm.running_var = norm.num_batches_tracked = None
    norm.track_running_stats = False


def other_norm(norm):
    if isinstance(norm, nn.BatchNorm2d):
        return nn.InstanceNorm2d(norm.num_features, affine=True).double()
    return nn.LayerNorm(norm.num_features).double()


# What is checked ----------------------------------------------------------------------


def made(name):
    """The same layer each time."""
    return deepcopy(first(name))


@cache
def first(name):
    torch.manual_seed(7)
    layer = LAYERS[name][0]().double()
    for module in layer.modules():
        if isinstance(module, _BatchNorm):
            scramble(module)
    for parameter in layer.parameters():
        if parameter.dim() == 1:
            nn.init.uniform_(parameter, 0.2, 1.0)
    return layer


def changed(name, change, path, training):
    """A layer with a change, in a mode that the change may have set otherwise."""
    layer = made(name).train(training)
    torch.manual_seed(8)
    change(layer, path)
    return layer


def outcome(function, layer, x):
    """Result, gradients and statistics of two calls."""
    x = x.clone().requires_grad_()
    out = function(x)
    cotangent = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    (out * cotangent).sum().backward()
    with torch.no_grad():
        again = function(x + 1)
    return {
        'out': out.detach(),
        'again': again,
        'to x': x.grad,
        'to parameters': {n: p.grad for n, p in layer.named_parameters()},
        'statistics': dict(layer.named_buffers()),
    }


def check(name, change, path, training, *, effect=('out',)):
    """The same as module by module, and not the same as without the change."""
    x = torch.randn(B, T, V, C, dtype=torch.float64)
    layer, twin = (changed(name, change, path, training) for _ in range(2))
    expected = outcome(lambda x: LAYERS[name][1](twin, x), twin, x)
    torch.testing.assert_close(outcome(layer, layer, x), expected)
    if effect:
        plain = made(name).train(training)
        before = outcome(plain, plain, x)
        assert all(not torch.allclose(expected[key], before[key]) for key in effect)


every_mode = pytest.mark.parametrize('training', [True, False])
# In evaluation much is done module by module anyway.
most_modes = pytest.mark.parametrize(
    'training', [True, pytest.param(False, marks=pytest.mark.slow)]
)


@every_mode
@pytest.mark.parametrize('name', LAYERS)
def test_unchanged(name, training):
    check(name, lambda layer, path: None, '', training, effect=())


@every_mode
@pytest.mark.parametrize('change', EVERYWHERE)
@pytest.mark.parametrize(('name', 'path'), places(MAPS, NORMS, OTHERS))
def test_changed_everywhere(name, path, change, training):
    effect = () if change == 'identity-like' else ('out',)
    check(name, EVERYWHERE[change], path, training, effect=effect)


@most_modes
@pytest.mark.parametrize('change', BACKWARD)
@pytest.mark.parametrize(('name', 'path'), places(MAPS, NORMS, OTHERS))
def test_backward_hooks(name, path, change, training):
    check(name, BACKWARD[change], path, training, effect=('to x',))


@every_mode
@pytest.mark.parametrize('change', OF_MAPS)
@pytest.mark.parametrize(('name', 'path'), places(MAPS))
def test_changed_maps(name, path, change, training):
    # A norm of the batch undoes what scales a map.
    effect = () if training and change == 'weight norm' else ('out',)
    check(name, OF_MAPS[change], path, training, effect=effect)


@every_mode
@pytest.mark.parametrize('change', OF_NORMS)
@pytest.mark.parametrize(('name', 'path'), places(NORMS))
def test_changed_norms(name, path, change, training):
    same = change == 'SyncBatchNorm' or 'momentum' in change
    same |= training and 'running statistics' in change
    same |= not training and change == 'frozen'
    effect = () if same else ('out',)
    check(name, OF_NORMS[change], path, training, effect=effect)


@most_modes
@pytest.mark.parametrize('kind', ['forward', 'forward_pre', 'full_backward'])
@pytest.mark.parametrize(('name', 'path'), places(MAPS, NORMS, OTHERS))
def test_global_hooks(name, path, kind, training):
    hooks = nn.modules.module

    def mark(layer, path):
        layer.get_submodule(path).marked = True

    def is_marked(module):
        return module.__dict__.get('marked', False)

    register, hook, effect = {
        'forward': (
            hooks.register_module_forward_hook,
            lambda module, inputs, out: out.sin() if is_marked(module) else None,
            'out',
        ),
        'forward_pre': (
            hooks.register_module_forward_pre_hook,
            lambda module, inputs: (inputs[0].sin(),) if is_marked(module) else None,
            'out',
        ),
        'full_backward': (
            hooks.register_module_full_backward_hook,
            lambda module, to_inputs, to_out: (
                tuple(2 * grad for grad in to_inputs) if is_marked(module) else None
            ),
            'to x',
        ),
    }[kind]
    handle = register(hook)
    try:
        x = torch.randn(B, T, V, C, dtype=torch.float64)
        layer, twin = (changed(name, mark, path, training) for _ in range(2))
        expected = outcome(lambda x: LAYERS[name][1](twin, x), twin, x)
        torch.testing.assert_close(outcome(layer, layer, x), expected)
    finally:
        handle.remove()
    plain = made(name).train(training)
    assert not torch.allclose(outcome(plain, plain, x)[effect], expected[effect])


@every_mode
@pytest.mark.parametrize(('name', 'path'), places(MAPS, NORMS, OTHERS))
def test_hooks_hold_on_to_what_they_saw(name, path, training):
    """Nothing that a hook was shown is written to later on, and no hook is called
    more than once."""
    layer, seen = made(name).train(training), []

    def hold(module, inputs, out):
        seen.extend((value, value.clone()) for value in (*inputs, out))

    layer.get_submodule(path).register_forward_hook(hold)
    layer(torch.randn(B, T, V, C, dtype=torch.float64))
    assert len(seen) == 2
    for value, before in seen:
        assert value.equal(before)


@most_modes
@pytest.mark.parametrize(('name', 'path'), places(MAPS, NORMS, OTHERS))
def test_a_removed_hook_leaves_nothing(name, path, training):
    layer, plain = made(name).train(training), made(name).train(training)
    handle = layer.get_submodule(path).register_forward_hook(lambda *args: 2 * args[2])
    handle.remove()
    x = torch.randn(B, T, V, C, dtype=torch.float64)
    torch.testing.assert_close(outcome(layer, layer, x), outcome(plain, plain, x))


@pytest.mark.parametrize('residual', ['dense', 'tied', None])
@every_mode
def test_every_module_of_a_model_is_heard(residual, training):
    """A hook on each of its modules is called, and the result is as without."""
    model = small_model(residual).train(training)
    twin = small_model(residual)
    twin.load_state_dict(model.state_dict())
    twin.train(training)
    called = set()
    for name, module in twin.named_modules():
        if type(module).__module__.startswith('torch_geometric.nn.aggr'):
            continue  # What adds messages up where somebody looks at them.
        module.register_forward_hook(lambda *args, name=name: called.add(name))
    x = torch.randn(2, 1, T, ARM.num_joints, 3, dtype=torch.float64)
    torch.testing.assert_close(outcome(twin, twin, x), outcome(model, model, x))
    lists = {n for n, m in twin.named_modules() if isinstance(m, nn.ModuleList)}
    silent = {n for n, _ in twin.named_modules() if n.endswith('aggr_module')}
    assert called == {n for n, _ in twin.named_modules()} - lists - silent


def test_counting_changes_nothing():
    """Torch's counter of operations hooks into all modules to know where it is."""
    from torch.utils.flop_counter import FlopCounterMode

    block = MSGCNBlock(C, 4, BONES, V, 3)
    with FlopCounterMode(display=False) as counter:
        block(torch.randn(B, T, V, C))
    assert 'scale_sum' in str(counter.get_flop_counts())
