import pytest
import torch

from pyg_msg3d.ops import BACKENDS, Window, aggregate, choose_backend, linear

every_backend = pytest.mark.parametrize('backend', BACKENDS, indirect=True)
WINDOWS = [
    None,
    Window(3),
    Window(5, stride=2),
    Window(3, stride=2, dilation=2),
    Window(4),
]


def problem(window, dtype=torch.float64, num_edges=40, sources=7, targets=5):
    """Random edges, some of them parallel, some rows without any."""
    x = torch.randn(2, 3, 9, sources, 4, dtype=dtype)
    tau = window.size if window else 1
    source = torch.randint(0, tau * sources - 1, (num_edges,))
    target = torch.randint(0, targets - 1, (num_edges,))
    weight = torch.randn(num_edges, dtype=dtype)
    return x, source, target, weight, targets


def by_definition(x, source, target, weight, num_targets, window=None):
    """Edge by edge, frame by frame."""
    lead, (sources, channels) = x.shape[:-2], x.shape[-2:]
    if window is None:
        out = x.new_zeros(*lead, num_targets, channels)
        for s, t, w in zip(source, target, weight, strict=True):
            out[..., t, :] += w * x[..., s, :]
        return out
    frames = window.count(lead[-1])
    out = x.new_zeros(*lead[:-1], frames, num_targets, channels)
    for i in range(frames):
        for s, t, w in zip(source, target, weight, strict=True):
            at = (
                i * window.stride + int(s) // sources * window.dilation - window.padding
            )
            if 0 <= at < lead[-1]:
                out[..., i, t, :] += w * x[..., at, int(s) % sources, :]
    return out


@every_backend
@pytest.mark.parametrize('window', WINDOWS, ids=str)
def test_every_backend_is_the_definition(backend, window):
    given = problem(window)
    expected = by_definition(*given, window)
    actual = aggregate(*given, window=window, backend=backend)
    torch.testing.assert_close(actual, expected)


@every_backend
@pytest.mark.parametrize('window', [None, Window(3, stride=2)], ids=str)
def test_gradients(backend, window):
    x, source, target, weight, n = problem(window, num_edges=12, sources=4, targets=3)
    x = x[:1, :1, :4, :, :2].clone().requires_grad_()
    weight.requires_grad_()

    def run(x, weight):
        return aggregate(x, source, target, weight, n, window, backend)

    assert torch.autograd.gradcheck(run, (x, weight))
    # One of the two alone.
    assert torch.autograd.gradcheck(run, (x.detach(), weight))
    assert torch.autograd.gradcheck(run, (x, weight.detach()))


@every_backend
@pytest.mark.parametrize('window', [None, Window(3)], ids=str)
def test_no_edges(backend, window):
    x, source, target, weight, n = problem(window, num_edges=0)
    out = aggregate(x, source, target, weight, n, window, backend)
    assert out.shape == (2, 3, 9, n, 4)
    assert (out == 0).all()


@every_backend
def test_float32_and_without_weights(backend):
    x, source, target, weight, n = problem(None, torch.float32)
    expected = aggregate(
        x.double(), source, target, weight.double(), n, backend='scatter'
    )
    out = aggregate(x, source, target, weight, n, backend=backend)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)
    ones = aggregate(x, source, target, torch.ones_like(weight), n, backend='scatter')
    out = aggregate(x, source, target, None, n, backend=backend)
    torch.testing.assert_close(out, ones)


@pytest.mark.parametrize(
    'backend', ['scatter', 'dense', 'csr', 'triton', 'torch_scatter'], indirect=True
)
def test_bfloat16(backend):
    x, source, target, weight, n = problem(None)
    expected = aggregate(x, source, target, weight, n, backend='scatter')
    low = aggregate(x.bfloat16(), source, target, weight.bfloat16(), n, backend=backend)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.double(), expected, rtol=0.1, atol=0.3)


@pytest.mark.parametrize('backend', ['torch_sparse'], indirect=True)
def test_backends_without_bfloat16_say_so(backend):
    x, source, target, weight, n = problem(None, torch.bfloat16)
    with pytest.raises(RuntimeError, match=f"backend='{backend}'.*bfloat16.*auto"):
        aggregate(x, source, target, weight, n, backend=backend)
    out = aggregate(x, source, target, weight, n)  # auto
    assert out.dtype == torch.bfloat16


def test_unknown_and_missing_backends(monkeypatch):
    given = problem(None)
    with pytest.raises(ValueError, match="Unknown backend 'cuda'.*dense, scatter"):
        aggregate(*given, backend='cuda')
    for package in ('torch_sparse', 'torch_scatter'):
        monkeypatch.setattr(f'torch_geometric.typing.WITH_{package.upper()}', False)
        with pytest.raises(RuntimeError, match='not installed'):
            aggregate(*given, backend=package)


def test_auto():
    x = torch.randn(2, 4)
    assert choose_backend(x, num_edges=925, num_entries=25 * 325) == 'dense'
    assert choose_backend(x, num_edges=100_000, num_entries=10**9) == 'csr'
    assert choose_backend(x, num_edges=10**6, num_entries=2 * 10**6) == 'dense'
    assert choose_backend(x.bfloat16(), 100_000, 10**9) == 'csr'


@pytest.mark.parametrize('bias', [True, False])
def test_linear_is_torchs(bias):
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    b = torch.randn(7, dtype=torch.float64) if bias else None
    expected = torch.nn.functional.linear(x, weight, b)
    torch.testing.assert_close(linear(x, weight, b), expected)
    assert linear(x, weight, b).is_contiguous()
    assert torch.autograd.gradcheck(linear, (x, weight))


@pytest.mark.parametrize('window', WINDOWS[1:], ids=str)
def test_window_unfolds_every_frame_once_in_its_place(window):
    x = torch.arange(1.0, 12).view(1, 11, 1, 1)
    out = window.unfold(x)
    assert out.shape == (1, window.count(11), window.size, 1)
    for i in range(window.count(11)):
        for t in range(window.size):
            at = i * window.stride + t * window.dilation - window.padding
            assert out[0, i, t, 0] == (at + 1 if 0 <= at < 11 else 0)
