"""Exported models: torch.export, ONNX and AOTInductor, for any clips and frames."""

import io
from importlib.util import find_spec
from itertools import product

import golden_rule as rule
import pytest
import torch
from required import skip_or_fail
from torch.export import Dim

from pyg_msg3d import MSG3D, Skeleton
from pyg_msg3d.graph import ScaleGraph, disentangle, factored_window, window_graph
from pyg_msg3d.nn import MSTCN, G3DConv, MSGCNConv

slow = pytest.mark.slow
ARM = Skeleton('arm', ['a', 'b', 'c', 'd'], [(0, 1), (1, 2), (2, 3)])
TRACED = 2, 8
#: Numbers of clips and frames that were not traced.
SIZES = [*product((1, 3), (5, 12))]


def small(residual='dense', fused=False, **kwargs):
    """A model whose residuals and norms do something."""
    kwargs = {'channels': (6, 8), 'window_sizes': (3,), 'skeleton': ARM, **kwargs}
    model = MSG3D(
        num_classes=3, gcn_scales=2, g3d_scales=2, residual=residual, **kwargs
    )
    for name, parameter in model.named_parameters():
        if name.endswith('adjacency.residual'):
            torch.nn.init.normal_(parameter, std=0.1)
    return ready(model, fused)


def ready(model, fused=False):
    """For inference, with norms that do something."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    model = model.eval().requires_grad_(False)
    return model.fused() if fused else model


def clips(model, n, frames):
    joints, channels = model.skeleton.num_joints, model.in_channels
    dtype = model.classifier.weight.dtype
    return torch.randn(n, model.num_persons, frames, joints, channels).to(dtype)


def trace(model, x=None, least=3):
    """The program; of clips [n, persons, t, ...], or of features [n, t, ...]."""
    x = clips(model, *TRACED) if x is None else x
    # Not Dim('t'): torch before 2.13 cannot tell that its own conditions hold.
    sizes = {0: Dim.DYNAMIC, x.dim() - 3: Dim.DYNAMIC(min=least)}
    return torch.export.export(model, (x,), dynamic_shapes=(sizes,))


def saved(program):
    """As another process reads it, where the package need not be known."""
    names = {str(node.target) for node in program.graph.nodes}
    assert not [name for name in names if 'pyg_msg3d' in name]
    assert any(name.startswith('aten.add') for name in names)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file).module()


def onnx_session(path):
    """An ONNX file as a function."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    # Operators of ONNX itself, and no others.
    assert {node.domain for node in onnx.load(path).graph.node} == {''}
    name = session.get_inputs()[0].name

    def run(x):
        return torch.from_numpy(session.run(None, {name: x.numpy()})[0])

    return run


@pytest.fixture
def to_onnx(tmp_path):
    """Makes a function of a program by way of ONNX."""
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        if find_spec(package) is None:
            skip_or_fail(f'{package} is not installed')

    def convert(program, args=(), **kwargs):
        kwargs = {'dynamo': True, 'verbose': False, **kwargs}
        torch.onnx.export(program, args, str(tmp_path / 'model.onnx'), **kwargs)
        return onnx_session(tmp_path / 'model.onnx')

    return convert


def check(run, function, inputs, tolerance=1e-5):
    for x in inputs:
        out, expected = run(x), function(x)
        assert out.shape == expected.shape
        assert out.dtype == expected.dtype
        worst = (out - expected).abs().max() / expected.abs().max()
        assert worst <= tolerance, f'{list(x.shape)}: {worst}'


def others(model, sizes=SIZES):
    return [clips(model, *size) for size in sizes]


every_residual = pytest.mark.parametrize('residual', ['dense', 'tied', None])


@pytest.mark.parametrize(
    ('residual', 'fused'),
    [
        ('dense', False),
        ('tied', True),
        pytest.param('dense', True, marks=slow),
        pytest.param('tied', False, marks=slow),
        pytest.param(None, False, marks=slow),
        pytest.param(None, True, marks=slow),
    ],
)
def test_programs(residual, fused):
    model = small(residual, fused)
    program = saved(trace(model))
    check(program, model, others(model))
    with pytest.raises((AssertionError, RuntimeError), match='>= 3'):
        program(clips(model, 1, 2))


@pytest.mark.parametrize('fused', [False, True], ids=['plain', 'fused'])
@every_residual
@slow
def test_onnx(residual, fused, to_onnx):
    model = small(residual, fused)
    check(to_onnx(trace(model)), model, others(model))


@slow
@pytest.mark.parametrize(
    ('name', 'fused'),
    [
        ('official_ntu60', False),
        ('official_ntu60', True),
        ('mmaction2_ntu60_3d', True),
        ('mmaction2_ntu60_2d_coco', False),
    ],
)
def test_published_weights(name, fused, to_onnx):
    model = MSG3D.from_checkpoint(rule.state_dict(rule.load(name))).eval()
    exported = model.fused() if fused else model
    least = 2 ** (len(model.arguments['channels']) - 1) + 1
    program = trace(exported, clips(model, 2, 16), least)
    inputs = others(model, product((1, 3), (11, 20)))
    with torch.no_grad():
        check(saved(program), model, inputs)
        check(to_onnx(program), model, inputs)


class On(torch.nn.Module):
    """A convolution on a graph of its own: exported, edges are constants."""

    def __init__(self, conv, edges):
        super().__init__()
        self.conv = conv
        for name, part in zip(('index', 'hops', 'weight'), edges, strict=True):
            self.register_buffer(name, part, persistent=False)

    def forward(self, x):
        return self.conv(x, self.index, self.hops, self.weight)


def msgcn():
    return On(MSGCNConv(6, 5, 3), disentangle(ARM.edge_index, 4, 3))


def g3d(factored):
    conv = G3DConv(6, 5, 3, window_size=3, stride=2, factored=factored)
    if factored:
        edges = factored_window(ARM.edge_index, 4, num_scales=3, window_size=3)
    else:
        edges = disentangle(window_graph(ARM.edge_index, 4, 3), 12, 3)
    return On(conv, edges)


LAYERS = {
    'msgcn': msgcn,
    'g3d strided': lambda: g3d(False),
    'g3d factored strided': lambda: g3d(True),
    'mstcn strided': lambda: MSTCN(6, 14, stride=2),
}


@pytest.mark.parametrize('layer', list(LAYERS))
def test_layers_alone(layer):
    module = ready(LAYERS[layer]())
    program = trace(module, torch.randn(*TRACED, 4, 6))
    check(saved(program), module, [torch.randn(*size, 4, 6) for size in SIZES])


@slow
@pytest.mark.parametrize('layer', list(LAYERS))
def test_layers_alone_by_onnx(layer, to_onnx):
    module = ready(LAYERS[layer]())
    program = trace(module, torch.randn(*TRACED, 4, 6))
    check(to_onnx(program), module, [torch.randn(*size, 4, 6) for size in SIZES])


def long_line():
    """A model of so many joints, and so few bones, that its graphs stay edges."""
    joints = [str(i) for i in range(200)]
    bones = [(i, i + 1) for i in range(199)]
    model = small(None, True, skeleton=Skeleton('line', joints, bones))
    graphs = [block.gcn.adjacency() for block in model.blocks]
    assert all(isinstance(g, ScaleGraph) and not g.is_full for g in graphs)
    return model


@slow
def test_large_sparse_graphs(to_onnx):
    model = long_line()
    program = trace(model)
    assert 'aten.index_add.default' in {str(n.target) for n in program.graph.nodes}
    check(saved(program), model, others(model))
    check(to_onnx(program), model, others(model))


@slow
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
def test_lower_precision(dtype):
    model = small().to(dtype)
    # Sums are rounded in another order: a few of the last places.
    tolerance = 8 * torch.finfo(dtype).eps
    check(saved(trace(model)), model, others(model), tolerance)


def test_onnx_of_one_size(to_onnx):
    model = small(channels=(6,))
    x = clips(model, *TRACED)
    check(to_onnx(model, (x,)), model, [x, torch.randn_like(x)])


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')
@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
def test_the_old_onnx_exporter(to_onnx):
    """It knows one size, and graphs that are full."""
    model = small(fused=True)
    x = clips(model, *TRACED)
    run = to_onnx(model, (x,), dynamo=False)
    check(run, model, [x, torch.randn_like(x)])
