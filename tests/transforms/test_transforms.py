import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pyg_msg3d.transforms as T
from pyg_msg3d import Skeleton, skeleton
from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.transforms.random_rotation import rotation


def clip(frames=6):
    x = torch.randn(2, frames, 4, 3)
    x[1, 2:4] = 0  # Not seen.
    return SkeletonData(x=x, y=1, name='clip')


def test_centre_keeps_what_was_not_seen():
    data = clip()
    before = data.x.clone()
    out = T.Centre(2)(data)
    assert data.x.equal(before)
    assert (out.x[0, 0, 2] == 0).all()
    assert (out.x[1, 2:4] == 0).all()
    torch.testing.assert_close(out.x[0], before[0] - before[0, 0, 2])
    everything = T.Centre(2, keep_zeros=False)(data).x
    torch.testing.assert_close(everything, before - before[0, 0, 2])
    assert str(T.Centre(2)) == 'Centre(2, keep_zeros=True, per_frame=False)'


def test_min_max_scale():
    data = clip()
    data.x[..., 2] = 5.0  # Never changes.
    out = T.MinMaxScale()(data).x
    assert out[..., :2].amin((0, 1, 2)).tolist() == pytest.approx([-1, -1])
    assert out[..., :2].amax((0, 1, 2)).tolist() == pytest.approx([1, 1])
    assert (out[..., 2] == 0).all()


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_rotation_is_right_handed(axis):
    matrix = rotation(axis, math.pi / 2).double()
    u, v = (axis + 1) % 3, (axis + 2) % 3
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(matrix @ eye[u], eye[v], atol=1e-6, rtol=0)
    torch.testing.assert_close(matrix @ matrix.t(), eye, atol=1e-6, rtol=0)


def test_random_rotation_keeps_distances_and_stays_in_range():
    data = clip()
    turn = T.RandomRotation(60, axes=(1,))
    angles = []
    for _ in range(200):
        out = turn(data).x
        torch.testing.assert_close(out.norm(dim=-1), data.x.norm(dim=-1))
        torch.testing.assert_close(out[..., 1], data.x[..., 1])
        (x, _, z), (x2, _, z2) = data.x[0, 0, 0], out[0, 0, 0]
        angles.append(math.degrees(math.atan2(x2 * z - z2 * x, x * x2 + z * z2)))
    assert -60.01 < min(angles) < -45
    assert 45 < max(angles) < 60.01
    assert str(turn) == 'RandomRotation(60, axes=(1,))'


@given(st.integers(1, 60), st.integers(1, 60), st.booleans())
def test_sample_frames_takes_one_of_each_part(length, num_frames, train):
    x = torch.arange(length).float().view(1, length, 1, 1)
    out = T.SampleFrames(num_frames, train)(SkeletonData(x=x)).x.flatten()
    assert out.numel() == num_frames
    part = torch.arange(num_frames) * length / num_frames
    assert (out >= part.floor()).all()
    assert (out <= part + length / num_frames).all()
    if not train:
        middle = (torch.arange(num_frames) + 0.5) * length / num_frames
        assert out.equal(middle.floor())


def test_sample_frames_is_random_in_training():
    data = SkeletonData(x=torch.arange(100.0).view(1, 100, 1, 1))
    drawn = {tuple(T.SampleFrames(5, train=True)(data).x.flatten()) for _ in range(9)}
    assert len(drawn) > 1


def test_compose():
    transform = T.Compose([T.Centre(0), T.MinMaxScale(), T.SampleFrames(3)])
    assert transform(clip()).x.shape == (2, 3, 4, 3)


def test_data_refusals():
    with pytest.raises(
        SkeletonDataError, match=r"'a'.*\[persons, frames.*got \[2, 3\]"
    ):
        SkeletonData(x=torch.zeros(2, 3), name='a')


# Those of this library's own choosing; the published ones are in
# test_transforms_golden.py.


def full_clip(scored=False):
    """Two persons, the second absent at first; one joint unseen."""
    torch.manual_seed(0)
    # In 2D, shares of the image.
    x = torch.rand(2, 6, 25, 2) if scored else torch.randn(2, 6, 25, 3)
    x[1, :2] = 0
    x[0, 3, 7] = 0
    extra = {'score': torch.rand(2, 6, 25)} if scored else {}
    return SkeletonData(x, 1, 'clip', **extra)


def test_mirror_swaps_sides_and_is_its_own_inverse():
    data = full_clip(scored=True)
    mirror = T.RandomMirror('ntu-rgb+d', p=1)
    once = mirror(data)
    left, right = skeleton('ntu-rgb+d').pairs[0]
    assert once.x[..., left, 0].equal(-data.x[..., right, 0])
    assert once.x[..., left, 1].equal(data.x[..., right, 1])
    assert once.score[..., left].equal(data.score[..., right])
    twice = mirror(once)
    assert twice.x.equal(data.x)
    assert T.RandomMirror('ntu-rgb+d', p=0)(data).x.equal(data.x)
    arm = Skeleton('arm', ['a', 'b'], [(0, 1)])
    with pytest.raises(ValueError, match="Skeleton 'arm' names no pairs"):
        T.RandomMirror(arm)


@pytest.mark.parametrize(
    'transform',
    [T.RandomScale(0.3), T.RandomScale((0.1, 0.2, 0.3)), T.RandomShear(),
     T.RandomNoise(), T.JointDropout(0.5), T.RandomMirror('ntu-rgb+d', p=1)],
    ids=str,
)  # fmt: skip
def test_augmentations_change_clips_but_not_what_was_not_seen(transform):
    data = full_clip()
    before = data.x.clone()
    out = transform(data)
    assert data.x.equal(before)  # The clip that was given stays as it is.
    assert not out.x.equal(before)
    assert not out.x[1, :2].any()


def test_scale_and_shear_stay_within_bounds():
    ones = SkeletonData(torch.ones(1, 1, 1, 3))
    for _ in range(50):
        assert (T.RandomScale(0.2)(ones).x - 1).abs().max() <= 0.2
        axis = SkeletonData(torch.tensor([1.0, 0, 0]).view(1, 1, 1, 3))
        sheared = T.RandomShear(0.3)(axis).x.flatten()
        assert sheared[0] == 1
        assert sheared[1:].abs().max() <= 0.3


def test_joint_dropout_takes_joints_for_the_whole_clip():
    data = SkeletonData(torch.ones(2, 9, 25, 3), score=torch.ones(2, 9, 25))
    out = T.JointDropout(0.5)(data)
    kept = out.x[..., 0].bool()
    assert 0 < kept.float().mean() < 1
    assert (kept.all(1) | ~kept.any(1)).all()
    assert out.score.bool().equal(kept)


def test_noise_has_the_given_size():
    noise = T.RandomNoise(0.1)(SkeletonData(torch.ones(2, 100, 25, 3))).x - 1
    assert 0.095 < noise.std() < 0.105


@pytest.mark.parametrize('length', [1, 7, 16, 20, 31, 32, 33, 100])
def test_uniform_sampling_in_training(length):
    """The ranges of the three cases of T, for every draw."""
    n = 16
    drawn = torch.stack([T.UniformSampleFrames(n).frames(length) for _ in range(60)])
    assert drawn.shape == (60, n)
    assert drawn.min() >= 0
    assert drawn.max() < length
    steps = drawn.diff(dim=1)
    if length < n:
        assert (steps.remainder(length) == 1 % length).all()
    else:
        assert (steps >= 1).all()
    if length > 1:
        assert len({tuple(frames.tolist()) for frames in drawn}) > 1 or length == n
    if length >= 2 * n:
        bounds = torch.arange(n + 1) * length // n
        assert (drawn >= bounds[:-1]).all()
        assert (drawn < bounds[1:]).all()


def test_several_clips_of_a_recording():
    data = full_clip(scored=True)
    out = T.UniformSampleFrames(4, num_clips=3, train=False)(data)
    assert out.x.shape == (3, 2, 4, 25, 2)
    assert out.score.shape == (3, 2, 4, 25)
    frames = T.UniformSampleFrames(4, num_clips=3, train=False).frames(6).view(3, 4)
    assert out.x[1].equal(data.x[:, frames[1]])
    out = T.ScoreChannel()(out)
    assert out.x.shape == (3, 2, 4, 25, 3)
    assert 'score' not in out
    assert T.PadPersons(3)(out).x.shape == (3, 3, 4, 25, 3)
    with pytest.raises(ValueError, match='without frames'):
        T.UniformSampleFrames(4).frames(0)


def test_streams_of_several_clips_are_those_of_each():
    data = full_clip(scored=True)
    several = T.UniformSampleFrames(4, num_clips=3, train=False)(data)
    for transform in (T.JointToBone('ntu-rgb+d'), T.ToMotion()):
        out = transform(several)
        for clip, x, score in zip(range(3), several.x, several.score, strict=True):
            one = transform(SkeletonData(x, score=score))
            assert out.x[clip].equal(one.x)
            assert out.score[clip].equal(one.score)
    with pytest.raises(ValueError, match="25 joints, but skeleton 'coco-17' has 17"):
        T.JointToBone('coco-17')(data)


def test_persons_are_padded_cut_and_shuffled():
    data = full_clip(scored=True)
    padded = T.PadPersons(3)(data)
    assert padded.x[:2].equal(data.x)
    assert not padded.x[2].any()
    assert padded.score.shape == (3, 6, 25)
    assert T.PadPersons(1)(data).x.equal(data.x[:1])
    assert T.PadPersons(2)(data).x is data.x
    torch.manual_seed(0)
    orders = {T.RandomPersonOrder()(data).x[0].equal(data.x[0]) for _ in range(20)}
    assert orders == {True, False}


def test_frames_are_padded_and_cut():
    data = full_clip(scored=True)
    padded = T.PadFrames(9)(data)
    assert padded.x[:, :6].equal(data.x)
    assert not padded.x[:, 6:].any()
    assert padded.score.shape == (2, 9, 25)
    assert T.PadFrames(4)(data).x.equal(data.x[:, :4])


def test_pre_normalize_2d_of_pyskl():
    data = full_clip(scored=True)
    data.x = data.x * 100 + 300
    data.score[0, 1, 2] = 0.005
    out = T.PreNormalize2D((480, 640), threshold=0.01)(data)
    assert not out.x[0, 1, 2].any()
    expected = (data.x[0, 0, 0] - torch.tensor([320, 240])) / torch.tensor([320, 240])
    torch.testing.assert_close(out.x[0, 0, 0], expected)
    out = T.PreNormalize2D(mode='auto', threshold=0.01)(data)
    assert (out.x.amin() >= -1) & (out.x.amax() <= 1)
    with pytest.raises(ValueError, match="'mode' must be"):
        T.PreNormalize2D(mode='all')


def test_pre_normalize_kinetics():
    data = full_clip(scored=True)
    data.score[0, 1, 2] = 0
    out = T.PreNormalizeKinetics()(data)
    assert not out.x[0, 1, 2].any()
    x, y = data.x[0, 0, 0]
    assert out.x[0, 0, 0].tolist() == [x - 0.5, 0.5 - y]


def test_pre_normalize_3d_leaves_empty_clips_alone():
    empty = SkeletonData(torch.zeros(2, 3, 25, 3))
    assert T.PreNormalize3D()(empty).x.equal(empty.x)


@pytest.mark.parametrize('name', ['mmaction2', 'official'])
@pytest.mark.parametrize('dims', [2, 3])
@pytest.mark.parametrize('stream', ['joint', 'bone', 'joint_motion', 'bone_motion'])
def test_recipes_give_what_models_take(name, dims, stream):
    recipe = T.recipe(name)
    data = recipe.pre_transform(dims)(full_clip(scored=dims == 2))
    transform = recipe.transform('ntu-rgb+d', stream, dims, train=False)
    frames = {'mmaction2': 100, 'official': 300}[name]
    assert transform(data).x.shape == (2, frames, 25, 3)


def test_recipe_refusals():
    with pytest.raises(ValueError, match="no recipe 'pyskl'; there are 'mmaction2'"):
        T.recipe('pyskl')
    with pytest.raises(ValueError, match="'stream' must be one of joint, bone"):
        T.recipe('mmaction2').transform('ntu-rgb+d', 'velocity')
    with pytest.raises(ValueError, match='makes one clip'):
        T.recipe('official').transform('ntu-rgb+d', num_clips=10)
