"""The public implementations' transforms, number by number."""

import golden_rule as rule
import numpy as np
import pytest
import torch

import pyg_msg3d.transforms as T
from pyg_msg3d.data import SkeletonData

MMACTION2 = rule.load('transforms_mmaction2')
OFFICIAL = rule.load('transforms_official')
SKELETONS = {
    'nturgb+d': 'ntu-rgb+d',
    'coco': 'coco-17',
    'openpose': 'openpose-18',
}


def draw(record, dtype=torch.float64):
    """The input of a record, [persons, frames, joints, channels]."""
    given = record['input']
    x = rule.tensor(given['tag'], given['shape']).to(dtype)
    if given.get('layout') == 'N,C,T,V,M':
        x = x[0].permute(3, 1, 2, 0).contiguous()
    if 'affine' in given:
        assert given['affine'] == '(x + 1) * 400'
        x = (x + 1) * 400
    x = x + torch.tensor(given.get('offset', [0]), dtype=dtype)
    for person, begin, end in given.get('absent', []):
        x[person, begin:end] = 0
    return x


def check(x, expected, tolerance=1e-6):
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(x.double(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize('name', [n for n in MMACTION2 if n.startswith('prenorm3d')])
def test_pre_normalize_3d(name, dtype):
    record = MMACTION2[name]
    data = SkeletonData(draw(record).to(dtype))
    out = T.PreNormalize3D(**record.get('args', {}))(data)
    assert out.x.size(1) == record['total_frames']
    assert out.x.dtype == dtype
    check(out.x, record['keypoint'])


def test_pre_normalize_2d():
    record = MMACTION2['prenorm2d']
    data = SkeletonData(draw(record), image_size=tuple(record['img_shape']))
    check(T.PreNormalize2D()(data).x, record['keypoint'])
    data = SkeletonData(draw(record))
    check(T.PreNormalize2D(tuple(record['img_shape']))(data).x, record['keypoint'])


@pytest.mark.parametrize('name', [n for n in MMACTION2 if n.startswith('bone_')])
def test_bones_and_motion(name):
    record = MMACTION2[name]
    x = draw(record, torch.float32)
    data = SkeletonData(x)
    if record['dataset'] != 'nturgb+d' and x.size(-1) == 3:
        data = SkeletonData(x[..., :2], score=x[..., 2])
    bone, motion = T.JointToBone(SKELETONS[record['dataset']]), T.ToMotion()
    finish = T.ScoreChannel()
    check(finish(bone(data)).x, record['bone'])
    check(finish(motion(data)).x, record['joint_motion'])
    check(finish(motion(bone(data))).x, record['bone_motion'])


@pytest.mark.parametrize('case', MMACTION2['uniform_sample_test']['cases'])
def test_uniform_sample_frames(case):
    sample = T.UniformSampleFrames(case['clip_len'], case['num_clips'], train=False)
    state = np.random.get_state()[1].copy()
    frames = sample.frames(case['total_frames'])
    assert frames.tolist() == case['frame_inds']
    # Nobody else's random numbers change.
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize('name', OFFICIAL)
def test_official(name, dtype):
    record = OFFICIAL[name]
    x = draw(record).to(dtype)
    expected = np.array(record['data'])[0].transpose(3, 1, 2, 0)
    out = T.PreNormalizeOfficial(num_frames=x.size(1))(SkeletonData(x))
    check(out.x, expected.tolist())

    # In two parts, as the recipe does it, and from a clip cut to its own frames.
    recipe = T.recipe('official')
    last = int(x.flatten(2).any(-1).any(0).nonzero()[-1]) + 1
    data = recipe.pre_transform(dims=3)(SkeletonData(x[:, :last]))
    data = recipe.transform('ntu-rgb+d')(data)
    assert data.x.shape == (2, 300, 25, 3)
    check(data.x[:, : x.size(1)], expected.tolist())
