"""torch.compile: whole, and once for all sizes."""

from functools import partial

import pytest
import torch
from layers import LAYERS, clips, make, small_model
from torch._dynamo.testing import CompileCounterWithBackend

slow = partial(pytest.param, marks=pytest.mark.slow)
every_mode = pytest.mark.parametrize('training', [True, slow(False)])
QUICK = ('msgcn narrowing', 'g3d factored', 'mstcn strided')
every_case = pytest.mark.parametrize(
    'case', [case if case in QUICK else slow(case) for case in LAYERS]
)


def check(layer, twin, inputs, *graph):
    """As in eager mode, with gradients and statistics; compiled for the first input,
    and once more where one differs, which is taken for any size then."""
    counter = CompileCounterWithBackend('aot_eager')
    compiled = torch.compile(layer, fullgraph=True, dynamic=None, backend=counter)
    for i, x in enumerate(inputs):
        out, expected = compiled(x, *graph), twin(x, *graph)
        torch.testing.assert_close(out, expected)
        for function, result in ((layer, out), (twin, expected)):
            function.zero_grad()
            result.sin().sum().backward()
        for mine, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, theirs.grad)
        assert counter.frame_count <= min(i, 1) + 1, 'compiled again'
    torch.testing.assert_close(dict(layer.named_buffers()), dict(twin.named_buffers()))


@every_mode
@every_case
@pytest.mark.parametrize('change', ['clips', slow('both')])
def test_layers_are_compiled_once_for_all_sizes(case, training, change):
    layer, edges, _ = make(case)
    twin, _, x = make(case)
    twin.load_state_dict(layer.state_dict())
    sizes = {
        'clips': [(3, 8), (4, 8), (6, 8), (2, 8)],
        'both': [(3, 8), (4, 10), (5, 13), (7, 9)],
    }[change]
    inputs = [torch.randn(*size, *x.shape[2:], dtype=x.dtype) for size in sizes]
    check(layer.train(training), twin.train(training), inputs, *edges)


@pytest.mark.slow
@every_mode
@pytest.mark.parametrize('residual', ['dense', 'tied', None])
def test_models_are_compiled_once_for_all_sizes(residual, training):
    layer, twin = small_model(residual), small_model(residual)
    twin.load_state_dict(layer.state_dict())
    # On CPUs, torch takes another convolution for fewer than 16 skeletons.
    sizes = [(16, 8), (18, 10), (20, 13), (17, 9)]
    inputs = [clips(n, frames=frames) for n, frames in sizes]
    check(layer.train(training), twin.train(training), inputs)


@pytest.mark.slow
@every_mode
@every_case
def test_nothing_is_left_out_of_the_graph(case, training):
    layer, edges, x = make(case)
    found = torch._dynamo.explain(layer.train(training))(x, *edges)
    assert found.graph_break_count == 0
    assert found.graph_count == 1


@pytest.mark.slow
@pytest.mark.parametrize('backend', ['scatter', 'dense', 'csr', 'reference'])
@pytest.mark.parametrize('case', ['msgcn narrowing', 'g3d', 'g3d factored'])
def test_every_backend_compiles_whole(case, backend):
    layer, edges, x = make(case, backend=backend)
    twin, _, _ = make(case, backend=backend)
    twin.load_state_dict(layer.state_dict())
    check(layer, twin, [x], *edges)


@pytest.mark.slow
@every_mode
@every_case
def test_with_inductor(case, training):
    layer, edges, x = make(case)
    twin, _, _ = make(case)
    twin.load_state_dict(layer.state_dict())
    compiled = torch.compile(layer.train(training), fullgraph=True)
    out, expected = compiled(x, *edges), twin.train(training)(x, *edges)
    torch.testing.assert_close(out, expected)
    out.sin().sum().backward()
    expected.sin().sum().backward()
    for mine, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)
