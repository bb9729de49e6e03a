import numpy as np
import pytest
import torch

from pyg_msg3d.datasets import SyntheticActions
from pyg_msg3d.datasets.synthetic.actions import ACTIONS
from pyg_msg3d.datasets.synthetic.body import Body, Motion

PAIRS = ('shake hands', 'push')


@pytest.fixture(scope='module')
def splits():
    return SyntheticActions('train'), SyntheticActions('test')


def test_what_it_holds(splits):
    for dataset, clips, subjects in zip(splits, (1248, 208), (48, 8), strict=True):
        assert len(dataset) == clips
        assert dataset.skeleton.name == 'ntu-rgb+d'
        assert dataset.num_classes == len(ACTIONS) >= 10
        labels = torch.bincount(torch.cat([clip.y for clip in dataset]))
        assert labels.tolist() == [clips // dataset.num_classes] * dataset.num_classes
        assert len({clip.name.split('_')[1] for clip in dataset}) == subjects
        for clip in dataset:
            persons, frames, joints, channels = clip.x.shape
            assert (persons, joints, channels) == (2, 25, 3)
            assert 40 <= frames <= 90
            assert torch.isfinite(clip.x).all()
            two = dataset.classes[int(clip.y)] in PAIRS
            assert bool(clip.x[1].any()) == two


def test_seeded_and_disjoint():
    one, same = (SyntheticActions('test', 2, 1, seed=3) for _ in range(2))
    assert all(a.x.equal(b.x) for a, b in zip(one, same, strict=True))
    more = SyntheticActions('test', 3, 1, seed=3)
    assert all(a.x.equal(b.x) for a, b in zip(one, more, strict=False))
    for other in (
        SyntheticActions('train', 2, 1, seed=3),
        SyntheticActions('test', 2, 1),
    ):
        assert not any(a.x.shape == b.x.shape and a.x.equal(b.x)
                       for a, b in zip(one, other, strict=True))  # fmt: skip
    with pytest.raises(ValueError, match='one of train, test, or None for all'):
        SyntheticActions('val')


def test_bones_keep_their_lengths(splits):
    """Forward kinematics turns bones, it never stretches them."""
    for name, action in ACTIONS.items():
        rng = np.random.default_rng(1)
        for motion in action(rng, 30):
            x = Body(rng).move(motion)
            for u, v in [(0, 1), (4, 5), (5, 6), (12, 13), (13, 14), (2, 3)]:
                length = np.linalg.norm(x[:, u] - x[:, v], axis=1)
                assert np.ptp(length) < 1e-9, name
    clean = SyntheticActions('test', 1, 1, noise=0, dropout=0)
    for clip in clean:
        length = (clip.x[0, :, 12] - clip.x[0, :, 13]).norm(dim=-1)
        assert length.max() - length.min() < 1e-4


def test_a_body_at_rest_stands():
    x = Body(np.random.default_rng(0)).move(Motion(2))
    heights = x[0, :, 1]
    assert 1.3 < heights[3] < 2.0  # The head's centre.
    assert heights[3] > heights[20] > heights[0] > heights[13] > heights[14]
    assert abs(heights[14]) < 0.1
    # The left is on the left: with y up and z ahead, that is x.
    assert x[0, 4, 0] > 0 > x[0, 8, 0]
    assert x[0, 15, 2] > x[0, 14, 2]


def test_noise_and_lost_joints():
    clean = SyntheticActions('test', 1, 1, noise=0, dropout=0)
    lossy = SyntheticActions('test', 1, 1, noise=0, dropout=0.1)
    lost = [float((clip.x[0] == 0).all(-1).float().mean()) for clip in lossy]
    assert 0.05 < np.mean(lost) < 0.15
    assert not any((clip.x[0] == 0).all(-1).any() for clip in clean)


def mean_poses(dataset, centring):
    features = []
    for clip in dataset:
        x, seen = clip.x, (clip.x != 0).any(-1, keepdim=True)
        if centring == 'first frame':
            x = (x - x[0, 0, 1]) * seen
        elif centring == 'every frame':
            x = (x - x[:1, :, 1:2]) * seen
        features.append((x.sum(1) / seen.sum(1).clamp(min=1)).flatten())
    return torch.stack(features), torch.cat([clip.y for clip in dataset])


@pytest.mark.parametrize('centring', ['none', 'first frame', 'every frame'])
@pytest.mark.parametrize('decay', [1e-4, 1e-3])
def test_the_mean_pose_does_not_give_it_away(splits, centring, decay):
    """A linear model on it stays below 60 %: the classes are in the motion."""
    (x, y), (x_test, y_test) = (mean_poses(split, centring) for split in splits)
    mean, std = x.mean(0), x.std(0) + 1e-6
    x, x_test = (x - mean) / std, (x_test - mean) / std
    model = torch.nn.Linear(x.size(1), int(y.max()) + 1)
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=200, line_search_fn='strong_wolfe'
    )

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss = loss + decay * model.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    train = (model(x).argmax(1) == y).float().mean()
    test = (model(x_test).argmax(1) == y_test).float().mean()
    assert train > 0.3, 'the model has not learned'
    assert test < 0.6
