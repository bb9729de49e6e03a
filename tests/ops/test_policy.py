from threading import Thread

import pytest
import torch

from pyg_msg3d import MSG3D, skeleton
from pyg_msg3d.nn import G3DBlock, MSGCNBlock
from pyg_msg3d.ops import policy, use


def test_ways_are_forced_within_a_block():
    x = torch.randn(2, 3)
    own = policy.convolves(x)
    with use('convolution'):
        assert policy.convolves(x)
        with use('matmul', 'csr'):
            assert not policy.convolves(x)
            assert policy.forced('backend') == 'csr'
        assert policy.convolves(x)
        assert policy.forced('backend') is None
    assert policy.convolves(x) == own
    with pytest.raises(KeyError), use('convolution'):
        raise KeyError
    assert policy.convolves(x) == own


def test_only_in_this_thread():
    seen = []
    with use('reference'):
        thread = Thread(target=lambda: seen.append(policy.forced('backend')))
        thread.start()
        thread.join()
        seen.append(policy.forced('backend'))
    assert seen == [None, 'reference']


@pytest.mark.parametrize('ways', [('fast',), ('dense', 'csr'), ('dense', '')])
def test_what_is_no_way(ways):
    with pytest.raises(ValueError, match='one each of: reference, dense'), use(*ways):
        pass


WAYS = [
    ('reference',), ('dense', 'matmul'), ('dense', 'convolution'), ('csr',),
    ('scatter',), ('maps_first',), ('sums_first',), ('batched',),
]  # fmt: skip


@pytest.mark.parametrize('residual', ['dense', 'tied', None])
def test_a_model_in_every_way(residual):
    """Logits, gradients and running statistics, in training and evaluation."""
    model = MSG3D(
        'coco-17', 5, num_persons=1, channels=(12, 18), gcn_scales=3, g3d_scales=2,
        window_sizes=(3,), residual=residual,
    ).double()  # fmt: skip
    state = {key: value.clone() for key, value in model.state_dict().items()}
    x = torch.randn(2, 1, 9, 17, 3, dtype=torch.float64)
    found = []
    for way in WAYS:
        model.load_state_dict(state)
        model.zero_grad()
        with use(*way):
            logits = model.train()(x)
            logits.square().sum().backward()
            with torch.no_grad():
                evaluated = model.eval()(x)
        grads = [parameter.grad.clone() for parameter in model.parameters()]
        after = [value.clone() for value in model.state_dict().values()]
        found.append([logits.detach(), evaluated, *grads, *after])
    for way, mine in zip(WAYS[1:], found[1:], strict=True):
        for a, b in zip(mine, found[0], strict=True):
            torch.testing.assert_close(a, b, msg=lambda text, way=way: f'{way}: {text}')


@pytest.mark.parametrize('channels', [3, 20])
@pytest.mark.parametrize('residual', ['dense', 'tied', None])
def test_whole_batches_of_one_frame_and_of_one_clip(channels, residual):
    """With no dimension before them; and on no device, where kernels are taken."""
    edges = skeleton('coco-17').edge_index
    given = channels, 8, edges, 17, 2
    for block, shape in (
        (MSGCNBlock(*given, residual=residual), (17, channels)),
        (G3DBlock(*given, 3, residual=residual), (7, 17, channels)),
    ):
        x, found = torch.randn(shape), []
        for way in ('reference', 'batched'):
            with use(way):
                found.append(block(x))
        torch.testing.assert_close(*found)
        assert block.to('meta')(x.to('meta')).shape == (*shape[:-1], 8)
