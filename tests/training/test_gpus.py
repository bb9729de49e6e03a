"""What training does on GPUs, as far as that can be seen without one."""

import os
from contextlib import contextmanager, nullcontext
from unittest.mock import patch

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pyg_msg3d import MSG3D
from pyg_msg3d.ops.operator import IMPLEMENTATIONS
from pyg_msg3d.skeletons import Skeleton
from pyg_msg3d.training import Settings, Trainer
from pyg_msg3d.training.ahead import ahead
from pyg_msg3d.training.captured import CapturedPass
from pyg_msg3d.training.precision import resolved, tf32

# What reads a number from a GPU, or has a shape that depends on numbers.
WAITS = (
    '_local_scalar_dense', 'item', 'nonzero', 'masked_select', 'unique', '_unique2',
    'is_nonzero', 'equal', 'repeat_interleave',
)  # fmt: skip


class NothingWaits(TorchDispatchMode):
    """Refuses them, in operators of ours, too, and copies to another device."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().split('.')[0]
        if name in IMPLEMENTATIONS:
            self.seen.add(name)
            with self:
                return IMPLEMENTATIONS[name](*args, **(kwargs or {}))
        assert name.split('::')[1] not in WAITS, name
        out = func(*args, **(kwargs or {}))
        assert not isinstance(out, torch.Tensor) or out.is_meta, name
        return out


@contextmanager
def no_kernel_runs():
    jit = pytest.importorskip('triton.runtime.jit')
    with patch.object(jit.JITFunction, 'run', lambda *args, **kwargs: None):
        yield


@pytest.mark.skipif(
    os.environ.get('TRITON_INTERPRET') == '1', reason='kernels are functions there'
)
@pytest.mark.parametrize('residual', ['dense', 'tied', None])
@pytest.mark.parametrize('joints', [25, 400])
def test_nothing_waits(residual, joints):
    """A step on no device takes the way that it takes on a GPU."""
    if joints == 400 and residual is not None:
        pytest.skip('a full matrix of so many joints')
    chain = [(j, j + 1) for j in range(joints - 1)]
    skeleton = Skeleton('chain', [f'j{j}' for j in range(joints)], chain)
    model = MSG3D(skeleton, 4, residual=residual, channels=(24, 48, 96)).to('meta')
    x = torch.empty(2, 2, 16, joints, 3, device='meta')
    target = torch.empty(2, dtype=torch.long, device='meta')
    with no_kernel_runs(), NothingWaits() as mode:
        torch.nn.functional.cross_entropy(model(x), target).backward()
    kinds = {'fused_ms_tcn', 'fused_norm', 'fused_collapse'}
    kinds.add('frames' if joints == 25 else 'scale_sum')
    for kind in kinds:
        assert f'pyg_msg3d::{kind}' in mode.seen
        assert f'pyg_msg3d::{kind}_backward' in mode.seen


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get('TRITON_INTERPRET') == '1', reason='kernels are functions there'
)
@pytest.mark.parametrize('residual', ['dense', None])
def test_compilers_see_one_graph(residual):
    given = {'residual': residual, 'channels': (24, 48)}
    model = MSG3D('coco-17', 4, num_persons=1, **given).to('meta')
    compiled = torch.compile(model, backend='aot_eager', fullgraph=True)
    with no_kernel_runs():
        compiled(torch.empty(2, 1, 16, 17, 3, device='meta')).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


class Graph:
    """A CUDA graph, as far as it can be had without CUDA: replays run again."""

    def replay(self):
        self.replayed()


def test_captured_passes(monkeypatch):
    """Passes before the capture leave no trace in running statistics; each replay
    gives what the pass gives."""
    captured = []
    for name in ('Stream', 'current_stream'):
        monkeypatch.setattr(torch.cuda, name, lambda: type(
            'Stream', (), {'wait_stream': lambda *_: None})())  # fmt: skip
    monkeypatch.setattr(torch.cuda, 'stream', lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, 'CUDAGraph', Graph)
    monkeypatch.setattr(
        torch.cuda, 'graph', lambda graph: captured.append(graph) or nullcontext()
    )
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    before = [buffer.clone() for buffer in model.buffers()]
    inputs = torch.randn(5, 3)
    calls = []

    def run(x):
        calls.append(1)
        if captured:  # Recorded, not run: running statistics stay.
            return (model.eval()(x).sum(),)
        out = model(x).square().sum()
        out.backward()
        return (out.detach(),)

    passed = CapturedPass(run, model, inputs)
    assert len(calls) == 4
    for buffer, value in zip(model.buffers(), before, strict=True):
        assert torch.equal(buffer, value)
    assert all(p.grad is None for p in model.parameters())
    seen = []
    captured[0].replayed = lambda: seen.append(passed.inputs[0].clone())
    passed(inputs + 1)
    torch.testing.assert_close(seen, [inputs + 1])
    with pytest.raises(ValueError, match='those of the pass that was captured'):
        passed(inputs[:4])


class Batch:
    def __init__(self, number, log):
        self.number, self.log = number, log

    def to(self, device, non_blocking):
        assert non_blocking
        self.log.append(('copied', self.number))
        return self

    def record_stream(self, stream):
        self.log.append(('kept for', self.number))


class Stream:
    def __init__(self, log=None):
        self.log = [] if log is None else log

    def record_event(self):
        return len(self.log)

    def wait_event(self, event):
        self.log.append(('waited', event))


def test_batches_are_copied_one_ahead(monkeypatch):
    log, current = [], Stream()
    monkeypatch.setattr(torch.cuda, 'Stream', lambda device: Stream(log))
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda: current)
    monkeypatch.setattr(torch.cuda, 'stream', lambda stream: nullcontext())
    seen = []
    for batch in ahead([Batch(n, log) for n in range(3)], torch.device('cuda')):
        seen.append(batch.number)
        log.append(('computed with', batch.number))
    assert seen == [0, 1, 2]
    steps = [f'{what} {number}' for what, number in log]
    for n in range(2):
        assert steps.index(f'copied {n + 1}') < steps.index(f'computed with {n}')
    # Each waits for its own copy: as many lines as there were when that was started.
    assert current.log == [('waited', 1), ('waited', 2), ('waited', 5)]
    assert list(ahead([], torch.device('cuda'))) == []
    assert list(ahead([1, 2], torch.device('cpu'))) == [1, 2]


def test_cuda_graphs_are_for_one_gpu(clips, model):
    settings = Settings(batch_size=4, epochs=1, cuda_graphs=True)
    with pytest.raises(ValueError, match='one process on a GPU .got 1 on cpu'):
        Trainer(model, clips, clips, settings)
    for name, value in (('compile', True), ('accumulate', 2)):
        with pytest.raises(ValueError, match="excludes 'compile' and 'accumulate'"):
            Settings(cuda_graphs=True, **{name: value})


@pytest.mark.parametrize('has_it', [True, False])
def test_precision_by_the_card(has_it, monkeypatch):
    monkeypatch.setattr(
        torch.cuda, 'is_bf16_supported', lambda including_emulation: has_it
    )
    assert resolved('auto', torch.device('cuda')) == ('bf16' if has_it else 'float32')
    assert resolved('fp16', torch.device('cuda')) == 'fp16'
    assert resolved('auto', torch.device('cpu')) == 'float32'


@pytest.mark.parametrize(
    ('matrices', 'convolutions', 'named'),
    [
        (False, True, 'convolutions'), (True, True, 'matrices and convolutions'),
        (False, False, 'none'),
    ],
)  # fmt: skip
def test_tf32_is_named(matrices, convolutions, named):
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = cuda.allow_tf32, cudnn.allow_tf32
    cuda.allow_tf32, cudnn.allow_tf32 = matrices, convolutions
    try:
        assert tf32(torch.device('cuda')) == named
        assert tf32(torch.device('cpu')) is None
    finally:
        cuda.allow_tf32, cudnn.allow_tf32 = before


def test_a_run_keeps_what_it_was_computed_in(clips, model, tmp_path):
    trainer = Trainer(model, clips, clips, Settings(batch_size=4, epochs=1))
    assert trainer.settings.precision == 'float32'
