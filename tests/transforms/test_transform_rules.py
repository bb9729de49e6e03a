"""What transforms compute, on small clips whose numbers are known by hand. Where a rule
was published, by MS-G3D's authors, MMAction2 or PYSKL, the numbers are theirs."""

import math
from itertools import product

import numpy as np
import pytest
import torch

import pyg_msg3d.transforms as T
from pyg_msg3d import skeleton
from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.transforms.align import rotation_onto
from pyg_msg3d.transforms.random_rotation import rotation
from pyg_msg3d.transforms.units import are_shares

NTU = 'ntu-rgb+d'


def numbered(persons=2, frames=4, joints=3, dims=3):
    """A clip in which all numbers are different and none is zero."""
    size = persons * frames * joints * dims
    x = torch.arange(1.0, size + 1).view(persons, frames, joints, dims)
    return SkeletonData(x, 0, 'clip')


def by_frame(*persons):
    """A clip of one joint with one coordinate: its numbers, frame by frame."""
    return SkeletonData(torch.tensor(persons, dtype=torch.float)[..., None, None])


def frames_of(data):
    return data.x[..., 0, 0].tolist()


def close(found, expected, atol=1e-6):
    expected = torch.as_tensor(expected, dtype=found.dtype)
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def test_defaults():
    for transform, expected in [
        (T.Align(), 'Align(z_bone=(0, 1), x_bone=(8, 4))'),
        (T.Centre(3), 'Centre(3, keep_zeros=True, per_frame=False)'),
        (T.JointDropout(), 'JointDropout(0.1)'),
        (T.PadFrames(), 'PadFrames(None, before=0)'),
        (T.PadPersons(), 'PadPersons(2)'),
        (T.PreNormalizeOfficial(), 'PreNormalizeOfficial(300)'),
        (T.RandomMirror(NTU), f"RandomMirror('{NTU}', p=0.5, axis=0)"),
        (T.RandomNoise(), 'RandomNoise(0.01)'),
        (T.RandomRotation(9), 'RandomRotation(9, axes=(0, 1, 2))'),
        (T.RandomScale(), 'RandomScale(0.2)'),
        (T.RandomShear(), 'RandomShear(0.5)'),
        (T.SampleFrames(7), 'SampleFrames(7, train=False)'),
        (
            T.PreNormalize2D(),
            "PreNormalize2D(None, threshold=None, mode='fix', keep_zeros=True)",
        ),
        (
            T.PreNormalize3D(),
            'PreNormalize3D(centre=1, align_spine=True, align_shoulder=True)',
        ),
        (
            T.UniformSampleFrames(7),
            'UniformSampleFrames(7, num_clips=1, train=True, seed=255)',
        ),
    ]:
        assert str(transform) == expected


@pytest.mark.parametrize('dtype', [torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize(
    'transform',
    [T.Align(), T.Centre(0), T.JointDropout(), T.MinMaxScale(), T.PreNormalize3D(),
     T.PreNormalizeOfficial(7), T.RandomMirror(NTU, p=1), T.RandomNoise(),
     T.RandomRotation(9), T.RandomScale(), T.RandomScale((0.1, 0.2, 0.3)),
     T.RandomShear(), T.ToMotion(), T.JointToBone(NTU), T.PadFrames(9), T.PadPersons(3),
     T.SampleFrames(3), T.UniformSampleFrames(3)],
    ids=str,
)  # fmt: skip
def test_the_type_of_the_numbers_stays(transform, dtype):
    x = torch.randn(2, 6, 25, 3).to(dtype)
    assert transform(SkeletonData(x)).x.dtype == dtype


# Align -------------------------------------------------------------------------


def test_rotation_onto_an_axis_by_hand():
    y = torch.tensor([0, 2, 0], dtype=torch.float64)
    # y to z, and so z to -y; x stays.
    close(rotation_onto(y, 2), [[1, 0, 0], [0, 0, -1], [0, 1, 0]], 1e-15)
    # y to x, and so x to -y; z stays.
    close(rotation_onto(y, 0), [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], 1e-15)
    # (3, 4) to x, by the cosine 3 / 5 and the sine 4 / 5.
    oblique = torch.tensor([3, 4, 0], dtype=torch.float64)
    close(
        rotation_onto(oblique, 0),
        [[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1]],
        1e-15,
    )


def test_rotation_onto_an_axis_is_a_rotation():
    for vector in torch.randn(20, 3, dtype=torch.float64):
        for axis in range(3):
            matrix = rotation_onto(vector, axis)
            expected = torch.zeros(3, dtype=torch.float64)
            expected[axis] = vector.norm()
            close(matrix @ vector, expected, 1e-12)
            close(matrix @ matrix.t(), torch.eye(3), 1e-12)
            assert torch.linalg.det(matrix) == pytest.approx(1)


@pytest.mark.parametrize(
    ('vector', 'turns'),
    [
        ((0, 0, 0), False),
        ((0, 0, 5), False),
        ((0, 0, -5), False),
        # Vectors of less than 1e-6, and whose cross product with z is less.
        ((7e-7, 0, 1e-5), False),
        ((1e-6, 0, 1e-5), True),
        ((1e-6, 0, 0), True),
        ((1.5e-6, 0, 1e-5), True),
        ((1.5e-6, 0, 0), True),
        # Angles of less than 1e-6.
        ((7e-5, 0, 100), False),
        ((1.5e-4, 0, 100), True),
    ],
)
def test_hardly_any_rotation_is_none(vector, turns):
    matrix = rotation_onto(torch.tensor(vector, dtype=torch.float64), 2)
    assert matrix.dtype == torch.float64
    assert matrix.isfinite().all()
    assert matrix.equal(torch.eye(3, dtype=torch.float64)) is not turns


def upright(persons=2, frames=3):
    """A clip whose spine, from joint 0 to 1, is along y, with shoulders 8 and 4 whose
    way is (1, 0, 1), in all frames."""
    x = torch.randn(persons, frames, 9, 3)
    x[..., 0, :] = torch.tensor([1.0, 1, 1])
    x[..., 1, :] = torch.tensor([1.0, 3, 1])
    x[..., 8, :] = torch.tensor([2.0, 1, 1])
    x[..., 4, :] = torch.tensor([1.0, 1, 0])
    return x


def turned(x, shoulders=True):
    """What the spine along y asks for, y to z, and then the shoulders, by 45 degrees
    about z."""
    a, b, c = x[..., 0], -x[..., 2], x[..., 1]
    if shoulders:
        a, b = (a - b) / math.sqrt(2), (a + b) / math.sqrt(2)
    return torch.stack([a, b, c], dim=-1)


def test_align_turns_by_hand():
    x = upright()
    close(T.Align()(SkeletonData(x)).x, turned(x))
    close(T.Align(x_bone=None)(SkeletonData(x)).x, turned(x, shoulders=False))
    # The shoulders alone, (1, 0, 1) to x: by 45 degrees about y.
    a, c = x[..., 0], x[..., 2]
    expected = torch.stack([a + c, math.sqrt(2) * x[..., 1], c - a], -1) / 2**0.5
    close(T.Align(z_bone=None)(SkeletonData(x)).x, expected)


def test_align_takes_the_first_frame_of_the_first_person_who_is_there():
    x = upright(4, 5)
    x[0] = 0
    x[1, :2] = 0
    x[1, 2, 5] = 0
    # Nobody else's joints matter, nor those of another frame.
    x[1, 3:] = torch.randn(2, 9, 3)
    x[2:] = torch.randn(2, 5, 9, 3)
    close(T.Align()(SkeletonData(x)).x, turned(x))


def test_align_leaves_a_clip_without_anybody():
    data = SkeletonData(torch.zeros(2, 3, 9, 3))
    assert T.Align()(data).x.equal(data.x)


# Augmentations -----------------------------------------------------------------


def test_each_axis_has_its_own_scale_of_both_signs():
    ones = SkeletonData(torch.ones(1, 1, 1, 3))
    drawn = torch.stack(
        [T.RandomScale((0.1, 0.2, 0.4))(ones).x.flatten() for _ in range(300)]
    )
    low, high = drawn.amin(0), drawn.amax(0)
    close(low, [0.9, 0.8, 0.6], 0.02)
    close(high, [1.1, 1.2, 1.4], 0.02)
    assert torch.corrcoef(drawn.t()).triu(1).abs().max() < 0.3
    # But all frames, joints and persons the same.
    out = T.RandomScale(0.5)(SkeletonData(torch.ones(2, 3, 4, 3))).x.view(-1, 3)
    assert (out == out[0]).all()


def test_shear_adds_each_axis_to_the_others():
    eye = torch.eye(3).view(1, 1, 3, 3)
    drawn = torch.stack(
        [T.RandomShear(0.5)(SkeletonData(eye)).x[0, 0] for _ in range(300)]
    )
    assert (drawn.diagonal(dim1=1, dim2=2) == 1).all()
    off = drawn[:, ~torch.eye(3, dtype=torch.bool)]
    close(off.amin(0), [-0.5] * 6, 0.02)
    close(off.amax(0), [0.5] * 6, 0.02)
    assert T.RandomShear()(numbered(dims=2)).x.shape == (2, 4, 3, 2)


def test_noise_differs_everywhere():
    noise = T.RandomNoise(0.1)(SkeletonData(torch.ones(2, 3, 4, 3))).x - 1
    assert len(noise.unique()) > 60
    assert noise.min() < -0.1
    assert noise.max() > 0.1


def test_dropout_draws_for_each_joint_of_each_person():
    data = SkeletonData(torch.ones(40, 2, 50, 3))
    for p in (0.25, 0.5):
        kept = T.JointDropout(p)(data).x[:, 0, :, 0]
        assert kept.mean() == pytest.approx(1 - p, abs=0.05)
        assert not (kept == kept[0]).all()
        assert not (kept == kept[:, :1]).all()
    assert T.JointDropout(0)(data).x.equal(data.x)
    assert not T.JointDropout(1)(data).x.any()


def test_dropout_draws_for_each_of_several_clips():
    data = SkeletonData(torch.ones(4, 5, 30, 3), score=torch.ones(4, 5, 30))
    several = T.UniformSampleFrames(6, num_clips=3)(data)
    out = T.JointDropout(0.5)(several)
    kept = out.x[..., 0]
    assert kept.shape == (3, 4, 6, 30)
    assert (kept == kept[:, :, :1]).all()
    assert not (kept == kept[:1]).all()
    assert not (kept == kept[:, :1]).all()
    assert out.score.equal(kept)


def test_mirror_by_hand():
    x = torch.randn(2, 3, 25, 3)
    order = list(range(25))
    for left, right in skeleton(NTU).pairs:
        order[left], order[right] = right, left
    for axis in range(3):
        out = T.RandomMirror(NTU, p=1, axis=axis)(SkeletonData(x)).x
        sign = torch.ones(3)
        sign[axis] = -1
        assert out.equal(x[:, :, order] * sign)


def test_a_probability_of_zero_is_never(monkeypatch):
    monkeypatch.setattr(torch, 'rand', torch.zeros)  # Once in 2^24 times.
    data = SkeletonData(torch.randn(2, 3, 25, 3))
    assert T.JointDropout(0)(data).x.equal(data.x)
    assert T.RandomMirror(NTU, p=0)(data).x.equal(data.x)


@pytest.mark.parametrize('p', [0.25, 0.75])
def test_mirror_has_its_probability(p):
    data = SkeletonData(torch.randn(1, 1, 25, 3))
    mirror = T.RandomMirror(NTU, p=p)
    mirrored = [not mirror(data).x.equal(data.x) for _ in range(400)]
    assert np.mean(mirrored) == pytest.approx(p, abs=0.08)


def test_mirror_of_several_clips_and_of_another_skeleton():
    data = SkeletonData(torch.randn(2, 5, 25, 2), score=torch.rand(2, 5, 25))
    mirror = T.RandomMirror(NTU, p=1)
    several = T.UniformSampleFrames(4, num_clips=3, train=False)(data)
    out = mirror(several)
    for clip in range(3):
        one = mirror(SkeletonData(several.x[clip], score=several.score[clip]))
        assert out.x[clip].equal(one.x)
        assert out.score[clip].equal(one.score)
    with pytest.raises(SkeletonDataError, match="'clip' has 3 joints, .* has 25"):
        mirror(numbered())


# Centre and scale --------------------------------------------------------------


def test_centre_takes_the_first_frame_with_the_joint_of_the_first_person():
    x = numbered(3, 5, 4).x
    x[0] = 0
    x[1, 0] = 0
    x[1, 1:3, 2] = 0
    origin = x[1, 3, 2].clone()
    expected = (x - origin) * (x != 0)
    data = SkeletonData(x)
    assert T.Centre(2)(data).x.equal(expected)
    assert T.Centre(2, keep_zeros=False)(data).x.equal(x - origin)


def test_centre_of_a_joint_that_was_never_seen_is_the_middle_of_the_others():
    x = numbered(3, 4, 3).x
    x[0] = 0
    x[1, :2] = 0
    x[1, :, 2] = 0
    out = T.Centre(2)(SkeletonData(x)).x
    middle = (x[1, 2, 0] + x[1, 2, 1]) / 2
    assert out.equal((x - middle) * (x != 0))


def test_centre_of_every_frame():
    x = numbered(2, 4, 3).x
    x[0, 1] = 0
    x[1, 2, 0] = 0
    expected = x.clone()
    for frame in range(4):
        for person, joint in product(range(2), range(3)):
            if x[person, frame, joint].any():
                expected[person, frame, joint] -= x[0, frame, 1]
    assert T.Centre(1, per_frame=True)(SkeletonData(x)).x.equal(expected)


def test_centre_leaves_a_clip_without_anybody():
    for shape in ((2, 4, 5, 3), (1, 3, 4, 2)):
        data = SkeletonData(torch.zeros(shape))
        assert T.Centre(1)(data).x.equal(data.x)


def test_min_max_scale_by_hand():
    x = torch.tensor([[1.0, 5, 2], [3, 5, 2.5], [5, 5, 2.125]]).view(1, 3, 1, 3)
    out = T.MinMaxScale()(SkeletonData(x)).x.view(3, 3)
    assert out.tolist() == [[-1, 0, -1], [0, 0, 1], [1, 0, -0.5]]
    # Over persons, frames and joints together.
    out = T.MinMaxScale()(numbered(2, 3, 2, 1)).x.flatten()
    close(out, torch.linspace(-1, 1, 12))


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_rotation_by_an_angle(axis):
    u, v = (axis + 1) % 3, (axis + 2) % 3
    expected = torch.zeros(3, 3)
    expected[axis, axis] = 1
    expected[u, u] = expected[v, v] = 0.8
    expected[v, u], expected[u, v] = 0.6, -0.6
    close(rotation(axis, math.asin(0.6)), expected)


def test_random_rotation_turns_about_one_axis_after_the_other():
    data = SkeletonData(torch.eye(3).view(1, 1, 3, 3))
    for axes in [(0,), (1,), (2,), (0, 1, 2), (2, 0), ()]:
        torch.manual_seed(1)
        x = T.RandomRotation(40, axes)(data).x[0, 0].double()
        torch.manual_seed(1)
        expected = torch.eye(3, dtype=torch.float64)
        for axis in axes:
            angle = math.radians((2 * torch.rand(()).item() - 1) * 40)
            expected = expected @ rotation(axis, angle).double().t()
        close(x, expected)


# Frames and persons ------------------------------------------------------------


def test_pad_frames_by_hand():
    data = by_frame([1, 2, 3], [4, 5, 6])
    for transform, expected in [
        (T.PadFrames(5), [[1, 2, 3, 0, 0], [4, 5, 6, 0, 0]]),
        (T.PadFrames(2), [[1, 2], [4, 5]]),
        (T.PadFrames(3), [[1, 2, 3], [4, 5, 6]]),
        (T.PadFrames(), [[1, 2, 3], [4, 5, 6]]),
        (T.PadFrames(before=2), [[0, 0, 1, 2, 3], [0, 0, 4, 5, 6]]),
        (T.PadFrames(4, before=2), [[0, 0, 1, 2], [0, 0, 4, 5]]),
        (T.PadFrames(6, before=1), [[0, 1, 2, 3, 0, 0], [0, 4, 5, 6, 0, 0]]),
        (T.PadFrames(2, before=2), [[0, 0], [0, 0]]),
        (T.PadFrames(1, before=2), [[0], [0]]),
    ]:
        assert frames_of(transform(data)) == expected


def test_pad_persons_by_hand():
    data = by_frame([1, 2], [3, 4])
    assert frames_of(T.PadPersons(1)(data)) == [[1, 2]]
    assert frames_of(T.PadPersons(2)(data)) == [[1, 2], [3, 4]]
    assert frames_of(T.PadPersons(4)(data)) == [[1, 2], [3, 4], [0, 0], [0, 0]]
    several = T.UniformSampleFrames(2, num_clips=3, train=False)(data)
    out = T.PadPersons(3)(several)
    assert out.x.shape == (3, 3, 2, 1, 1)
    assert out.x[:, :2].equal(several.x)
    assert not out.x[:, 2].any()


def test_persons_come_in_all_orders():
    data = by_frame([1], [2], [3])
    drawn = {tuple(T.RandomPersonOrder()(data).x.flatten().tolist()) for _ in range(99)}
    assert len(drawn) == 6
    several = T.UniformSampleFrames(2, num_clips=2, train=False)(data)
    out = T.RandomPersonOrder()(several).x
    # All frames and clips the same.
    assert (out == out[:1, :, :1]).all()
    assert sorted(out[0, :, 0].flatten().tolist()) == [1, 2, 3]


def test_null_frames_go_only_of_who_is_late():
    data = by_frame([0, 1, 0, 2], [3, 0, 4, 0], [0, 0, 0, 0], [0, 0, 5, 6])
    assert frames_of(T.DropNullFrames()(data)) == [
        [1, 2, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0], [5, 6, 0, 0]
    ]  # fmt: skip
    early = by_frame([3, 0, 4, 0])
    assert T.DropNullFrames()(early).x is early.x
    for shape in ((0, 3, 2, 3), (2, 0, 2, 3)):
        empty = SkeletonData(torch.zeros(shape))
        assert T.DropNullFrames()(empty).x is empty.x


def test_replay_by_hand():
    data = by_frame([1, 2, 0, 0], [0, 3, 4, 0], [5, 0, 6, 7], [0, 0, 0, 0])
    assert frames_of(T.Replay(7)(data)) == [
        [1, 2, 1, 2, 1, 2, 1], [0, 3, 4, 0, 3, 4, 0], [5, 0, 6, 7, 5, 0, 6], [0] * 7
    ]  # fmt: skip
    assert frames_of(T.Replay(2)(data)) == [[1, 2], [0, 3], [5, 0], [0, 0]]
    # Frames count of which any joint was seen.
    x = numbered(1, 3, 3).x
    x[0, 1, :2] = 0
    x[0, 2] = 0
    assert T.Replay(4)(SkeletonData(x)).x.equal(x[:, [0, 1, 0, 1]])


def test_sample_frames_takes_the_middle_of_each_part():
    data = by_frame(range(10))
    assert frames_of(T.SampleFrames(5)(data)) == [[1, 3, 5, 7, 9]]
    assert frames_of(T.SampleFrames(3)(data)) == [[1, 5, 8]]
    assert frames_of(T.SampleFrames(1)(data)) == [[5]]
    short = by_frame([0, 1, 2], [3, 4, 5])
    expected = [[0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 5, 5]]
    assert frames_of(T.SampleFrames(6)(short)) == expected
    with pytest.raises(SkeletonDataError, match="'' has no frames to sample"):
        T.SampleFrames(3)(SkeletonData(torch.zeros(1, 0, 2, 3)))


def test_random_frames_come_from_the_whole_of_each_part():
    data = by_frame(range(7))
    sample = T.SampleFrames(2, train=True)
    drawn = torch.tensor([frames_of(sample(data))[0] for _ in range(300)])
    # The frame in the middle belongs to both.
    assert drawn[:, 0].unique().tolist() == [0, 1, 2, 3]
    assert drawn[:, 1].unique().tolist() == [3, 4, 5, 6]
    assert len(drawn.unique(dim=0)) > 8


def test_random_frames_stay_in_the_clip(monkeypatch):
    # The largest number that is drawn, which a sum with 99 rounds up to 100.
    monkeypatch.setattr(torch, 'rand', lambda n: torch.full((n,), 1 - 2.0**-24))
    out = T.SampleFrames(100, train=True)(by_frame(range(50)))
    assert frames_of(out)[0][-1] == 49


# Uniform sampling, as MMAction2's -----------------------------------------------


def draws(num_frames, length, count=400):
    sample = T.UniformSampleFrames(num_frames)
    return {tuple(sample.frames(length).tolist()) for _ in range(count)}


def test_training_on_short_clips_starts_anywhere():
    expected = {(0, 1, 2, 0, 1), (1, 2, 0, 1, 2), (2, 0, 1, 2, 0)}
    assert draws(5, 3) == expected
    assert draws(2, 1) == {(0, 0)}


def test_training_on_clips_of_just_as_many_frames_takes_all():
    assert draws(4, 4) == {(0, 1, 2, 3)}
    assert draws(1, 1) == {(0,)}


def test_training_on_clips_of_less_than_twice_as_many_skips():
    # One of four places, before each frame and after the last.
    assert draws(3, 4) == {(1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)}
    # Two of four: never two frames in a row.
    expected = {(1, 3, 4), (1, 2, 4), (1, 2, 3), (0, 2, 4), (0, 2, 3), (0, 1, 3)}
    assert draws(3, 5) == expected


def test_training_on_clips_of_just_twice_as_many_draws_from_each_pair():
    # Each pair by itself, so that all eight come.
    assert draws(3, 6) == set(product((0, 1), (2, 3), (4, 5)))
    assert draws(1, 2) == {(0,), (1,)}


def test_training_on_long_clips_draws_from_each_part():
    # Parts begin at 0, 7 // 3 and 14 // 3.
    assert draws(3, 7) == set(product((0, 1), (2, 3), (4, 5, 6)))


def test_clips_for_training_are_drawn_one_by_one():
    sample = T.UniformSampleFrames(2, num_clips=3)
    drawn = {tuple(sample.frames(4).tolist()) for _ in range(900)}
    assert drawn == set(product(*[(0, 1), (2, 3)] * 3))


def for_testing(num_frames, length, num_clips=1, **kwargs):
    sample = T.UniformSampleFrames(num_frames, num_clips, train=False, **kwargs)
    return sample.frames(length).view(num_clips, num_frames).tolist()


def test_testing_on_short_clips_starts_at_equal_distances():
    # 0, 7 // 3, 14 // 3.
    assert for_testing(8, 7, 3) == [
        [0, 1, 2, 3, 4, 5, 6, 0], [2, 3, 4, 5, 6, 0, 1, 2], [4, 5, 6, 0, 1, 2, 3, 4]
    ]  # fmt: skip
    # With fewer frames than clips, at each frame in turn.
    assert for_testing(3, 2, 3) == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert for_testing(4, 3, 3) == [[0, 1, 2, 0], [1, 2, 0, 1], [2, 0, 1, 2]]


def test_testing_on_clips_of_just_as_many_frames_takes_all():
    assert for_testing(4, 4, 3) == [[0, 1, 2, 3]] * 3


def test_testing_on_clips_of_less_than_twice_as_many_skips_as_the_seed_says():
    rng = np.random.RandomState(255)
    expected = []
    for _ in range(4):
        skipped = set(rng.choice(6, 3, replace=False).tolist())
        # Before the frame that is i-th of those taken, one more for each place.
        expected.append([i + sum(p <= i for p in skipped) for i in range(5)])
    assert for_testing(5, 8, 4) == expected


@pytest.mark.parametrize('seed', [255, 3])
def test_testing_on_clips_of_just_twice_as_many_draws_as_the_seed_says(seed):
    rng = np.random.RandomState(seed)
    expected = [[2 * i + k for i, k in enumerate(rng.randint([2] * 6))] for _ in 'abcd']
    assert for_testing(6, 12, 4, seed=seed) == expected
    drawn = {tuple(for_testing(3, 6, seed=s)[0]) for s in range(200)}
    assert drawn == set(product((0, 1), (2, 3), (4, 5)))


def test_testing_on_long_clips_draws_from_each_part():
    drawn = {tuple(for_testing(3, 7, seed=s)[0]) for s in range(300)}
    assert drawn == set(product((0, 1), (2, 3), (4, 5, 6)))
    rng = np.random.RandomState(255)
    expected = [(np.array([0, 2, 4]) + rng.randint([2, 2, 3])).tolist() for _ in 'ab']
    assert for_testing(3, 7, 2) == expected


def test_clips_of_a_recording_are_its_sampled_frames():
    data = numbered(2, 7, 3)
    one = T.UniformSampleFrames(3, train=False)
    assert one(data).x.equal(data.x[:, one.frames(7)])
    two = T.UniformSampleFrames(3, 2, train=False)
    first, second = two.frames(7).view(2, 3)
    assert two(data).x.equal(torch.stack([data.x[:, first], data.x[:, second]]))
    assert one.frames(1).tolist() == [0, 0, 0]


# Normalisation -----------------------------------------------------------------


def by_joint(*joints, **kwargs):
    """A 2D clip of one person in one frame."""
    kwargs = {k: v if k == 'image_size' else torch.tensor(v).view(1, 1, -1)
              for k, v in kwargs.items()}  # fmt: skip
    x = torch.tensor(joints, dtype=torch.float)[None, None]
    return SkeletonData(x, 0, 'clip', **kwargs)


def test_pre_normalize_2d_of_pixels_by_hand():
    joints = [(320, 60), (80, 240), (0, 0), (160, 0)]
    expected = [[1, -0.5], [-0.5, 1], [0, 0], [0, -1]]
    # Of the image that the clip names, before the one of the argument.
    data = by_joint(*joints, image_size=(240, 320))
    assert T.PreNormalize2D()(data).x[0, 0].tolist() == expected
    assert T.PreNormalize2D((9, 9))(data).x[0, 0].tolist() == expected
    data = by_joint(*joints)
    assert T.PreNormalize2D((240, 320))(data).x[0, 0].tolist() == expected
    # MMAction2 moves joints of zeros, too.
    expected[2] = [-1, -1]
    out = T.PreNormalize2D((240, 320), keep_zeros=False)(data)
    assert out.x[0, 0].tolist() == expected


def test_pre_normalize_2d_of_shares_by_hand():
    data = by_joint((1, 0.25), (0.25, 1), (0, 0), (0.5, 0))
    expected = [[1, -0.5], [-0.5, 1], [0, 0], [0, -1]]
    assert T.PreNormalize2D()(data).x[0, 0].tolist() == expected
    assert T.PreNormalize2D((240, 320))(data).x[0, 0].tolist() == expected


def test_pre_normalize_2d_clears_joints_of_low_scores():
    joints = [(320, 60), (80, 240), (0, 0), (160, 60)]
    data = by_joint(*joints, score=[0.5, 0.25, 0.0, 0.1], image_size=(240, 320))
    out = T.PreNormalize2D(threshold=0.25)(data).x[0, 0].tolist()
    assert out == [[1, -0.5], [0, 0], [0, 0], [0, 0]]
    out = T.PreNormalize2D(threshold=0.2, keep_zeros=False)(data).x[0, 0].tolist()
    assert out == [[1, -0.5], [-0.5, 1], [0, 0], [0, 0]]
    # Without scores there is nothing to clear.
    del data.score
    out = T.PreNormalize2D(threshold=0.2)(data).x[0, 0].tolist()
    assert out == [[1, -0.5], [-0.5, 1], [0, 0], [0, -0.5]]


def test_pre_normalize_2d_of_several_persons_and_frames():
    x = numbered(2, 4, 3, 2).x
    x[0, 1, 2] = x[1, 3, 0] = 0
    score = torch.full((2, 4, 3), 0.5)
    score[0, 2, 1] = 0.1
    expected = (x - torch.tensor([16, 12])) / torch.tensor([16, 12])
    for data in (SkeletonData(x), SkeletonData(x, score=score)):
        out = T.PreNormalize2D((24, 32))(data).x
        close(out, expected * (x != 0))
        close(T.PreNormalize2D((24, 32), keep_zeros=False)(data).x, expected)
    data = SkeletonData(x, score=score)
    out = T.PreNormalize2D((24, 32), threshold=0.2, keep_zeros=False)(data).x
    close(out, expected * (score > 0.2)[..., None])
    # By the box of all joints, which are from 0 to 47 and from 0 to 48 apart.
    out = T.PreNormalize2D(mode='auto', keep_zeros=False)(SkeletonData(x)).x
    close(out, x * 2 / torch.tensor([47, 48]) - 1)


def test_pre_normalize_2d_by_the_bounding_box():
    joints = [(100, 200), (120, 240), (105, 230), (0, 0)]
    expected = [[-1, -1], [1, 1], [-0.5, 0.5], [0, 0]]
    auto = T.PreNormalize2D(mode='auto')
    assert auto(by_joint(*joints)).x[0, 0].tolist() == expected
    # Joints below the threshold do not count.
    data = by_joint(*joints, (400, 10), score=[1.0, 1.0, 1.0, 0.0, 0.001])
    out = T.PreNormalize2D(mode='auto', threshold=0.01)(data)
    assert out.x[0, 0].tolist() == [*expected, [0, 0]]


@pytest.mark.parametrize('size', [(10, 40), (40, 10), (9, 11)])
def test_pre_normalize_2d_leaves_what_is_10_pixels_small(size):
    data = by_joint((100, 200), (100 + size[0], 200 + size[1]))
    auto = T.PreNormalize2D(mode='auto')
    assert auto(data).x.equal(data.x)
    data = by_joint((100, 200), (110.5, 210.5))
    assert auto(data).x[0, 0].tolist() == [[-1, -1], [1, 1]]
    nobody = by_joint((0, 0), (0, 0))
    assert auto(nobody).x.equal(nobody.x)


def test_pre_normalize_kinetics_by_hand():
    shares = [(0.25, 1), (0.75, 0), (1, 0.125), (0, 0.5)]
    expected = [[-0.25, -0.5], [0.25, 0.5], [0, 0], [-0.5, 0]]
    transform = T.PreNormalizeKinetics()
    data = by_joint(*shares, score=[0.5, 0.01, 0.0, 1.0])
    assert transform(data).x[0, 0].tolist() == expected
    # Pixels of an image of 80 by 160 are made shares first.
    pixels = [(40, 80), (120, 0), (160, 10), (0, 40)]
    data = by_joint(*pixels, score=[0.5, 0.01, 0.0, 1.0], image_size=(80, 160))
    assert transform(data).x[0, 0].tolist() == expected
    # Without scores, joints of zeros are those that were not seen.
    data = by_joint((0.25, 1), (0, 0), (0, 0.25), (0.25, 0))
    out = transform(data).x[0, 0].tolist()
    assert out == [[-0.25, -0.5], [0, 0], [-0.5, 0.25], [-0.25, 0.5]]


def test_pre_normalize_3d_puts_the_longest_seen_first():
    x = numbered(3, 6, 4).x
    x[0, 2:] = 0
    x[1, 0], x[1, 4, 2] = 0, 0
    x[2, 3:] = 0
    out = T.PreNormalize3D(align_spine=False, align_shoulder=False)(SkeletonData(x)).x
    # Person 1 in frames 1 to 5, then the others, in the order that they had; all
    # moved by joint 1 of person 1 in frame 1.
    kept = x[[1, 0, 2], 1:]
    assert out.equal((kept - x[1, 1, 1]) * (kept != 0))
    out = T.PreNormalize3D(3, align_spine=False, align_shoulder=False)(SkeletonData(x))
    assert out.x.equal((kept - x[1, 1, 3]) * (kept != 0))
    # Of persons who are there equally long, the first one.
    x[1, 1:5] = 0
    x[2, 2] = 0
    x[0, 3] = 50
    x[0, 0] = 0
    out = T.PreNormalize3D(align_spine=False, align_shoulder=False)(SkeletonData(x)).x
    kept = x[:, [1, 3]]
    assert out.equal((kept - x[0, 1, 1]) * (kept != 0))


def test_pre_normalize_3d_takes_a_missing_centre_as_it_is():
    # As in the source: then the clip is not moved.
    x = numbered(1, 3, 4).x
    x[0, 0, 1] = 0
    out = T.PreNormalize3D(align_spine=False, align_shoulder=False)(SkeletonData(x)).x
    assert out.equal(x)


@pytest.mark.parametrize(
    ('size', 'there'), [(0.7e-8, False), (1e-8, False), (1.5e-8, True)]
)
def test_pre_normalize_3d_calls_next_to_nothing_nothing(size, there):
    x = numbered(1, 3, 4).x.double()
    x[0, 1] = 0
    x[0, 1, 2, 0] = -size
    out = T.PreNormalize3D(align_spine=False, align_shoulder=False)(SkeletonData(x)).x
    assert out.size(1) == (3 if there else 2)


def test_pre_normalize_3d_turns_as_align_does():
    x = upright()
    moved = x - x[0, 0, 1]
    moved[0, :, 1] = 0
    spine = T.PreNormalize3D(align_shoulder=False)(SkeletonData(x)).x
    close(spine, turned(moved, shoulders=False))
    both = T.PreNormalize3D()(SkeletonData(x)).x
    close(both, turned(moved))
    shoulder = T.PreNormalize3D(align_spine=False)(SkeletonData(x)).x
    close(shoulder, T.Align(z_bone=None)(SkeletonData(moved)).x)


def test_pre_normalize_official_by_hand():
    # Frames 1 and 2 are moved to the front and replayed, turned, and every frame is
    # centred on joint 1 of the first person.
    x = upright(2, 3)
    x[0, 0] = 0
    out = T.PreNormalizeOfficial(5)(SkeletonData(x)).x
    first = x[0, [1, 2, 1, 2, 1]]
    second = x[1, [0, 1, 2, 0, 1]]
    expected = turned(torch.stack([first, second]) - first[:, 1:2])
    close(out, expected)


# Pixels and shares --------------------------------------------------------------


def clip_of(value, count, rest):
    """So many joints of one coordinate, and others."""
    return by_joint(*[(value, value)] * count, *rest)


@pytest.mark.parametrize(
    'transform',
    [T.PreNormalize2D(keep_zeros=False), T.PreNormalizeKinetics()],
    ids=['2d', 'kinetics'],
)
def test_clips_of_unknown_size_are_shares_or_refused(transform):
    few = [(0.5, 0.5)] * 2
    for data, problem in [
        (clip_of(0.5, 3, []), None),
        # A little outside of the image.
        (clip_of(1.0999, 3, few), None),
        (clip_of(-0.0999, 3, few), None),
        # One of ten may be anywhere, but not two of eleven.
        (clip_of(0.5, 9, [(1.9, 1.9)]), None),
        (clip_of(0.5, 9, [(-1.9, -1.9)]), None),
        (clip_of(0.5, 9, [(1.9, 1.9)] * 2), 'neither pixels nor shares'),
        (clip_of(0.5, 9, [(-1.9, -1.9)] * 2), 'neither pixels nor shares'),
        (clip_of(1.101, 3, few), 'neither pixels nor shares'),
        (clip_of(-0.101, 3, few), 'neither pixels nor shares'),
        (clip_of(2.0, 3, few), 'neither pixels nor shares'),
        (clip_of(2.1, 3, few), 'coordinates in pixels'),
        (clip_of(-2.1, 3, few), 'coordinates in pixels'),
        (clip_of(300.0, 3, few), 'coordinates in pixels'),
    ]:
        if problem is None:
            transform(data)
        else:
            with pytest.raises(SkeletonDataError, match=f"'clip'.*{problem}"):
                transform(data)


def test_clips_of_known_size_may_be_pixels():
    def first(data):
        return T.PreNormalize2D((4, 4))(data).x[0, 0, 0].tolist()

    few = [(0.5, 0.5)] * 2
    # Shares become 2 x - 1, pixels x / 2 - 1.
    assert first(clip_of(1.0, 3, few)) == [1, 1]
    assert first(clip_of(3.0, 3, few)) == [0.5, 0.5]
    assert first(clip_of(2.0, 3, few)) == [0, 0]
    assert first(clip_of(0.5, 9, [(1.9, 1.9)])) == [0, 0]
    assert first(clip_of(0.5, 9, [(1.9, 1.9)] * 2)) == [-0.75, -0.75]


def test_units_are_told_by_both_coordinates_of_all_persons():
    for count in (1, 2, 3):
        x = torch.full((count, 2, 5, 2), 0.5)
        assert are_shares(SkeletonData(x), size_known=False) is True
        assert are_shares(SkeletonData(x * 100), size_known=True) is False
        # Only one of the coordinates is a share.
        for one in (0, 1):
            half = x.clone()
            half[..., one] = 1.9
            assert are_shares(SkeletonData(half), size_known=True) is False
        # A third one is the score, and tells nothing.
        scored = torch.cat([x, 300 + x[..., :1]], -1)
        assert are_shares(SkeletonData(scored), size_known=False) is True


def test_shares_may_leave_the_image_by_a_tenth():
    for value in (-0.1, 1.1):
        x = torch.full((1, 2, 5, 2), value, dtype=torch.float64)
        assert are_shares(SkeletonData(x), size_known=False) is True


def test_joints_that_were_not_seen_say_nothing_about_units():
    zeros = [(0.0, 0.0)] * 20
    data = by_joint((300.0, 100.0), (200.0, 50.0), *zeros)
    with pytest.raises(SkeletonDataError, match='pixels, up to 300, but not the image'):
        T.PreNormalize2D()(data)
    assert T.PreNormalize2D()(by_joint(*zeros)).x.equal(by_joint(*zeros).x)


# Streams ------------------------------------------------------------------------


def test_bones_by_hand():
    x = torch.randn(2, 3, 25, 3)
    score = torch.rand(2, 3, 25)
    out = T.JointToBone(NTU)(SkeletonData(x, score=score))
    parents = skeleton(NTU).parents
    for joint, parent in enumerate(parents):
        close(out.x[:, :, joint], x[:, :, joint] - x[:, :, parent])
        close(out.score[..., joint], (score[..., joint] + score[..., parent]) / 2)
    assert 'score' not in T.JointToBone(NTU)(SkeletonData(x))


def test_motion_by_hand():
    data = by_frame([1, 3, 7, 2])
    data.score = torch.tensor([[1.0, 0.5, 0.25, 0.75]])[..., None]
    out = T.ToMotion()(data)
    assert frames_of(out) == [[2, 4, -5, 0]]
    assert out.score.flatten().tolist() == [0.75, 0.375, 0.5, 0]
    assert 'score' not in T.ToMotion()(by_frame([1, 2]))


def test_the_score_is_the_third_channel_of_2d_clips_only():
    data = numbered(1, 2, 3, 2)
    data.score = torch.rand(1, 2, 3)
    out = T.ScoreChannel()(data)
    assert out.x.equal(torch.cat([data.x, data.score[..., None]], -1))
    assert 'score' not in out
    plain = numbered(1, 2, 3, 2)
    assert T.ScoreChannel()(plain).x is plain.x
    data = numbered(1, 2, 3, 3)
    data.score = torch.rand(1, 2, 3)
    out = T.ScoreChannel()(data)
    assert out.x.equal(data.x)
    assert 'score' not in out


# Recipes ------------------------------------------------------------------------


def steps(compose):
    return [str(step) for step in compose.transforms]


def test_recipe_of_mmaction2():
    recipe = T.recipe('mmaction2')
    assert recipe.persons(3) == recipe.persons(2) == 'tracked'
    assert str(recipe.pre_transform(3)) == str(T.PreNormalize3D())
    assert str(recipe.pre_transform(2)) == str(T.PreNormalize2D(keep_zeros=False))
    sample = 'UniformSampleFrames(100, num_clips=1, train=True, seed=255)'
    bone = f"JointToBone('{NTU}')"
    rest = [sample, 'ScoreChannel()', 'PadPersons(2)']
    assert steps(recipe.transform(NTU)) == rest
    assert steps(recipe.transform(NTU, 'bone')) == [bone, *rest]
    assert steps(recipe.transform(NTU, 'joint_motion')) == ['ToMotion()', *rest]
    both = [bone, 'ToMotion()', *rest]
    assert steps(recipe.transform(NTU, 'bone_motion')) == both
    found = steps(recipe.transform(NTU, train=False, num_clips=10, num_persons=1))
    sample = 'UniformSampleFrames(100, num_clips=10, train=False, seed=255)'
    assert found == [sample, 'ScoreChannel()', 'PadPersons(1)']


def test_recipe_of_the_authors():
    recipe = T.recipe('official')
    assert (recipe.persons(3), recipe.persons(2)) == ('energy', 'score')
    assert steps(recipe.pre_transform(3)) == ['DropNullFrames()', str(T.Align())]
    found = steps(recipe.pre_transform(2))
    assert found == ['PreNormalizeKinetics()', 'PadFrames(None, before=1)']
    before = ['Replay(300)', 'Centre(1, keep_zeros=True, per_frame=True)']
    rest = ['ScoreChannel()', 'PadPersons(2)']
    assert steps(recipe.transform(NTU)) == [*before, *rest]
    # Streams are made of the finished frames.
    both = [f"JointToBone('{NTU}')", 'ToMotion()']
    assert steps(recipe.transform(NTU, 'bone_motion')) == [*before, *both, *rest]
    found = steps(recipe.transform('openpose-18', dims=2, train=False))
    assert found == ['PadFrames(300, before=0)', *rest]


def test_recipes_are_found_by_their_names():
    assert T.STREAMS == ('joint', 'bone', 'joint_motion', 'bone_motion')
    for name in ('mmaction2', 'official'):
        assert T.recipe(name).name == name
        assert isinstance(T.recipe(name), T.Recipe)
