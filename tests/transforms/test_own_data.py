"""Transforms for recordings of one's own; and transforms as plain values."""

import inspect
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.transforms import BaseTransform

import pyg_msg3d.transforms as T
from pyg_msg3d import Skeleton
from pyg_msg3d.data import SkeletonData
from pyg_msg3d.skeletons import skeleton


def clip(seed=0, dims=3, frames=12, joints=17, unseen=0.2):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, frames, joints, dims, generator=generator) + 3
    seen = torch.rand(2, frames, joints, generator=generator) >= unseen
    score = torch.rand(2, frames, joints, generator=generator) * 0.5 + 0.5
    return SkeletonData(x * seen[..., None], score=score * seen)


# Gaps, smoothing, size, motion ---------------------------------------------------


def test_gaps_are_filled_in_a_straight_line():
    x = torch.arange(1.0, 9).view(1, 8, 1, 1) * torch.tensor([1.0, 2, 3])
    data = SkeletonData(x.clone(), score=torch.ones(1, 8, 1))
    for frames in ((0,), (2, 3), (5,), (7,)):
        data.x[0, list(frames)] = data.score[0, list(frames)] = 0
    filled = T.FillGaps(most=1)(data.clone())
    assert filled.x[0, 5].equal(x[0, 5])
    assert not filled.x[0, [0, 2, 3, 7]].any()  # Too long, or at an end.
    filled = T.FillGaps(most=2)(data.clone())
    torch.testing.assert_close(filled.x[0, 1:7], x[0, 1:7])
    assert filled.score[0, 1:7].eq(1).all()
    assert not filled.x[0, [0, 7]].any()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99), st.sampled_from([2, 3]), st.integers(1, 5))
def test_filling_gaps_changes_nothing_that_was_seen(seed, dims, most):
    data = clip(seed, dims)
    filled = T.FillGaps(most)(data.clone())
    assert filled.x[data.seen].equal(data.x[data.seen])
    assert filled.score[data.seen].equal(data.score[data.seen])
    assert ((filled.x != 0).any(-1) == (filled.score != 0)).all()


def test_smoothing_is_a_weighted_mean_of_what_was_seen():
    data, sigma = clip(), 1.5
    smooth = T.Smooth(sigma)(data.clone())
    weights = torch.exp(-(torch.arange(-4.0, 5) ** 2) / (2 * sigma**2))
    for frame in (0, 5, 11):
        total, weight = 0, 0
        for step in range(-4, 5):
            if 0 <= frame + step < 12:
                seen = data.seen[:, frame + step, :, None]
                total = total + weights[step + 4] * data.x[:, frame + step] * seen
                weight = weight + weights[step + 4] * seen
        expected = total / weight.clamp(min=1e-9) * data.seen[:, frame, :, None]
        torch.testing.assert_close(smooth.x[:, frame], expected)
    still = SkeletonData(torch.ones(1, 5, 3, 3))
    torch.testing.assert_close(T.Smooth()(still.clone()).x, still.x)
    with pytest.raises(ValueError, match="'sigma' must be above 0"):
        T.Smooth(0)


@pytest.mark.parametrize('factor', [0.001, 1.0, 1000.0])
def test_units_do_not_matter(factor):
    data = clip()
    scaled = SkeletonData(data.x * factor, score=data.score)
    one, other = T.UnitScale()(data.clone()), T.UnitScale()(scaled)
    torch.testing.assert_close(one.x, other.x)
    nobody = T.UnitScale()(SkeletonData(torch.zeros(1, 3, 4, 3)))
    assert not nobody.x.any()


def test_motion_beside_joints():
    data = clip()
    both = T.AppendMotion(2)(data.clone())
    assert both.x.shape == (2, 12, 17, 6)
    assert both.x[..., :3].equal(data.x)
    seen = data.seen[:, 1:] & data.seen[:, :-1]
    step = 2 * (data.x[:, 1:] - data.x[:, :-1]) * seen[..., None]
    torch.testing.assert_close(both.x[:, :-1, :, 3:], step)
    assert not both.x[:, -1, :, 3:].any()
    assert both.score.equal(data.score)


def test_channels_are_dropped_as_a_whole():
    data = clip(dims=3)
    torch.manual_seed(0)
    dropped = [T.ChannelDropout(2, 0.5)(data.clone()).x for _ in range(40)]
    assert all(x[..., 2].equal(data.x[..., 2]) for x in dropped)
    kept = [x.equal(data.x) for x in dropped]
    assert 8 < sum(kept) < 32
    assert all(
        keep or not x[..., :2].any() for keep, x in zip(kept, dropped, strict=True)
    )


# As plain values ---------------------------------------------------------------

OWN = Skeleton('own', ['a', 'b', 'c'], [(0, 1), (1, 2)], pairs=[(0, 2)])
EXAMPLES = {
    'AddBones': T.AddBones(OWN),
    'Align': T.Align(z_bone=None, x_bone=(3, 4)),
    'AppendMotion': T.AppendMotion(2.5),
    'Centre': T.Centre(2, keep_zeros=False, per_frame=True),
    'ChannelDropout': T.ChannelDropout(2, 0.3),
    'Disentangle': T.Disentangle(3, 'col'),
    'FillGaps': T.FillGaps(4),
    'JointDropout': T.JointDropout(0.3),
    'JointToBone': T.JointToBone('coco-17'),
    'MinMaxScale': T.MinMaxScale(False),
    'PadFrames': T.PadFrames(None, 3),
    'PadPersons': T.PadPersons(3),
    'PreNormalize2D': T.PreNormalize2D((480, 640), 0.1, 'auto', False),
    'PreNormalize3D': T.PreNormalize3D(align_spine=False),
    'PreNormalizeOfficial': T.PreNormalizeOfficial(30),
    'RandomMirror': T.RandomMirror(OWN, 0.2, 1),
    'RandomNoise': T.RandomNoise(0.2),
    'RandomRotation': T.RandomRotation(12, (1,)),
    'RandomScale': T.RandomScale([0.1, 0.2, 0.3]),
    'RandomShear': T.RandomShear(0.1),
    'Replay': T.Replay(7),
    'SampleFrames': T.SampleFrames(9, True),
    'Smooth': T.Smooth(2),
    'UniformSampleFrames': T.UniformSampleFrames(9, 2, train=False, seed=3),
}


def test_every_transform_can_be_told():
    """Those without arguments, too."""
    for name in T.__all__:
        kind = getattr(T, name)
        if not (inspect.isclass(kind) and issubclass(kind, BaseTransform)):
            continue
        if kind is T.Compose:
            continue
        transform = EXAMPLES[name] if name in EXAMPLES else kind()
        told = json.loads(json.dumps(T.declare(transform)))
        assert [step['name'] for step in told] == [name]
        again = T.build(told).transforms[0]
        assert type(again) is kind
        assert T.declare(again) == T.declare(transform)


@pytest.mark.parametrize('recipe', ['mmaction2', 'official'])
@pytest.mark.parametrize('stream', T.STREAMS)
@pytest.mark.parametrize('dims', [2, 3])
def test_recipes_come_back(recipe, stream, dims):
    bones = 'ntu-rgb+d' if dims == 3 else 'coco-17'
    made = T.recipe(recipe)
    transform = T.Compose(
        [made.pre_transform(dims), made.transform(bones, stream, dims, train=False)]
    )
    again = T.build(json.loads(json.dumps(T.declare(transform))))
    data = clip(dims=dims, joints=skeleton(bones).num_joints)
    if dims == 2:
        data.x = data.x.abs() * 100
        data.image_size = (1000, 1000)
    else:
        del data.score
    assert again(data.clone()).x.equal(transform(data.clone()).x)


def test_what_cannot_be_told_or_made():
    class Own(BaseTransform):
        def forward(self, data):
            return data

    for transform in (Own(), lambda data: data, T.Compose([T.Centre(0), Own()])):
        with pytest.raises(ValueError, match='no transform of this library'):
            T.declare(transform)
    for steps, said in [
        ([{'name': 'os.system', 'command': 'x'}], "no transform 'os.system'"),
        ([{'name': 'Compose', 'transforms': []}], "no transform 'Compose'"),
        ([{'name': 'Centre'}], 'Centre cannot be made'),
        ([{'name': 'Centre', 'joint': 1, 'code': 'x'}], 'Centre cannot be made'),
        ([{}], 'no transform None'),
        ([{'name': 'JointToBone', 'skeleton': {'skeleton': {}}}], 'cannot be made'),
        ([{'name': 'JointToBone', 'skeleton': 'nobody'}], "Unknown skeleton 'nobody'"),
    ]:
        with pytest.raises(ValueError, match=said):
            T.build(steps)
