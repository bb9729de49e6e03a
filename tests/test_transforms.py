import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pyg_msg3d.transforms as T
from pyg_msg3d.data import SkeletonData, SkeletonDataError, check_finite
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
def test_sample_frames_takes_one_of_each_part(length, num_frames, random):
    x = torch.arange(length).float().view(1, length, 1, 1)
    out = T.SampleFrames(num_frames, random)(SkeletonData(x=x)).x.flatten()
    assert out.numel() == num_frames
    part = torch.arange(num_frames) * length / num_frames
    assert (out >= part.floor()).all()
    assert (out <= part + length / num_frames).all()
    if not random:
        middle = (torch.arange(num_frames) + 0.5) * length / num_frames
        assert out.equal(middle.floor())


def test_sample_frames_is_random_in_training():
    data = SkeletonData(x=torch.arange(100.0).view(1, 100, 1, 1))
    drawn = {tuple(T.SampleFrames(5, random=True)(data).x.flatten()) for _ in range(9)}
    assert len(drawn) > 1


def test_compose():
    transform = T.Compose([T.Centre(0), T.MinMaxScale(), T.SampleFrames(3)])
    assert transform(clip()).x.shape == (2, 3, 4, 3)


def test_data_refusals():
    with pytest.raises(
        SkeletonDataError, match=r"'a'.*\[persons, frames.*got \[2, 3\]"
    ):
        SkeletonData(x=torch.zeros(2, 3), name='a')
    x = torch.zeros(2, 3, 4, 3)
    check_finite(x, 'fine')
    x[1, 2, 3, 0] = float('nan')
    with pytest.raises(
        SkeletonDataError, match="'b' has 1 .*person 1, frame 2, joint 3"
    ):
        check_finite(x, 'b')
