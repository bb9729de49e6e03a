"""Whatever moves coordinates moves scores along. Coordinates of these clips say which
person, frame and joint they are of, and so do scores: wherever a transform puts them,
both must say the same, and both are zero where a joint was not seen."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import pyg_msg3d.transforms as T
from pyg_msg3d import Skeleton
from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.datasets import select_persons
from pyg_msg3d.datasets.persons import PERSON_RULES
from pyg_msg3d.io import SkeletonSequence

JOINTS = 9
SIZE = (480, 640)
BODY = Skeleton(
    'body', [str(joint) for joint in range(JOINTS)],
    [(joint, joint + 1) for joint in range(JOINTS - 1)], pairs=[(4, 8), (5, 7)],
)  # fmt: skip


class Code:
    """Where a joint of a clip of so many frames comes from: its score, from 1, and its
    coordinates, none of which is zero."""

    def __init__(self, frames, dims):
        self.frames = frames
        self.dims = dims

    def encode(self, there):
        """Coordinates and scores of the joints that are there."""
        person, frame, joint = np.indices(there.shape)
        score = 1 + (person * self.frames + frame) * JOINTS + joint
        if self.dims == 3:
            x = np.stack([person + 1, frame + 1, joint + 1], axis=-1)
        else:
            x = np.stack([person * self.frames + frame + 1, joint + 1], axis=-1)
        x = (x * there[..., None]).astype(np.float32)
        return x, (score * there).astype(np.float32)

    def coordinates(self, score):
        """Those that belong to scores: zeros to zero."""
        place, joint = (score - 1) // JOINTS, (score - 1) % JOINTS
        if self.dims == 3:
            x = [place // self.frames + 1, place % self.frames + 1, joint + 1]
        else:
            x = [place + 1, joint + 1]
        return np.stack(x, axis=-1) * (score != 0)[..., None]

    def clip(self, there):
        x, score = map(torch.from_numpy, self.encode(there))
        return SkeletonData(x, 0, 'clip', score=score, image_size=SIZE)

    def check(self, x, score, there):
        """That coordinates and scores say the same, and nothing new."""
        # Mirroring changes signs.
        np.testing.assert_array_equal(np.abs(x), self.coordinates(score))
        assert set(np.unique(score)) <= {0, *np.unique(self.encode(there)[1])}


@st.composite
def absences(draw, most_persons=3, most_frames=14):
    """Which joints are there ``[persons, frames, joints]``: bodies come and go, and
    single joints are missing."""
    persons = draw(st.integers(1, most_persons))
    frames = draw(st.integers(1, most_frames))
    bodies = draw(arrays(bool, (persons, frames)))
    missing = draw(
        arrays(bool, (persons, frames, JOINTS), fill=st.just(False))
        | st.just(np.zeros((persons, frames, JOINTS), bool))
    )
    return bodies[..., None] & ~missing


def changed(transform, data, seed=0):
    """The clip that a transform makes of one; that one stays as it is."""
    before = {key: data[key].clone() for key in ('x', 'score')}
    torch.manual_seed(seed)
    out = transform(data)
    for key, value in before.items():
        assert data[key].equal(value)
    return out


few = st.integers(1, 20)
seeds = st.integers(0, 9)
trains = st.booleans()

# What selects, reorders, pads, repeats or clears, and so moves scores along.
MOVES = {
    'SampleFrames': st.builds(T.SampleFrames, few, st.booleans()),
    'UniformSampleFrames': st.builds(T.UniformSampleFrames, few, train=trains),
    'Replay': st.builds(T.Replay, few),
    'PadFrames': st.builds(T.PadFrames, st.none() | few, st.integers(0, 4)),
    'PadPersons': st.builds(T.PadPersons, st.integers(1, 4)),
    'DropNullFrames': st.builds(T.DropNullFrames),
    'RandomPersonOrder': st.builds(T.RandomPersonOrder),
    'RandomMirror': st.builds(T.RandomMirror, st.just(BODY), p=st.just(1)),
    'JointDropout': st.builds(T.JointDropout, st.sampled_from([0, 0.3, 1])),
}
SEVERAL = st.builds(T.UniformSampleFrames, few, st.integers(2, 4), train=trains)
OF_SEVERAL = ['PadPersons', 'RandomPersonOrder', 'RandomMirror', 'JointDropout']

# What changes coordinates where they are, and leaves scores alone.
IN_PLACE = {
    'Align': [T.Align()],
    'ChannelDropout': [T.ChannelDropout(2), T.ChannelDropout(1, 1)],
    'Centre': [T.Centre(1), T.Centre(2, per_frame=True), T.Centre(1, False)],
    'MinMaxScale': [T.MinMaxScale()],
    'PreNormalize2D': [
        T.PreNormalize2D(), T.PreNormalize2D(keep_zeros=False),
        T.PreNormalize2D(threshold=5), T.PreNormalize2D(mode='auto'),
    ],
    'PreNormalizeKinetics': [T.PreNormalizeKinetics()],
    'RandomNoise': [T.RandomNoise()],
    'RandomRotation': [T.RandomRotation(90)],
    'RandomScale': [T.RandomScale()],
    'RandomShear': [T.RandomShear()],
    'Smooth': [T.Smooth(), T.Smooth(3)],
    'UnitScale': [T.UnitScale()],
}  # fmt: skip
ONLY_3D = {'Align', 'RandomRotation'}
ONLY_2D = {'PreNormalize2D', 'PreNormalizeKinetics'}

# Those with a test of their own below, and what changes no joints.
OWN = {
    'AppendMotion', 'FillGaps', 'JointToBone', 'PreNormalize3D',
    'PreNormalizeOfficial', 'ScoreChannel', 'ToMotion',
}  # fmt: skip
NONE = {
    'STREAMS', 'AddBones', 'Compose', 'Disentangle', 'Recipe', 'build', 'declare',
    'recipe',
}  # fmt: skip


def test_every_transform_is_tested_here():
    groups = [set(MOVES), set(IN_PLACE), OWN, NONE]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert set.union(*groups) == set(T.__all__)
    for name, transforms in IN_PLACE.items():
        assert {type(t).__name__ for t in transforms} == {name}


@pytest.mark.parametrize('name', MOVES)
@settings(max_examples=60, deadline=None)
@given(absences(), st.data(), st.sampled_from([2, 3]), seeds)
def test_scores_move_with_coordinates(name, there, data, dims, seed):
    code = Code(there.shape[1], dims)
    transform = data.draw(MOVES[name])
    assert type(transform).__name__ == name
    out = changed(transform, code.clip(there), seed)
    code.check(out.x.numpy(), out.score.numpy(), there)


@settings(max_examples=100, deadline=None)
@given(absences(), st.data(), st.sampled_from([2, 3]), seeds)
def test_scores_move_with_coordinates_through_several_transforms(
    there, data, dims, seed
):
    code = Code(there.shape[1], dims)
    steps = data.draw(st.lists(st.one_of(*MOVES.values()), max_size=4))
    if data.draw(st.booleans()):
        after = st.one_of(*(MOVES[name] for name in OF_SEVERAL))
        steps += [data.draw(SEVERAL), *data.draw(st.lists(after, max_size=3))]
    out = changed(T.Compose(steps), code.clip(there), seed)
    code.check(out.x.numpy(), out.score.numpy(), there)


@settings(max_examples=60, deadline=None)
@given(absences())
def test_scores_move_with_coordinates_to_the_longest_seen_person(there):
    code = Code(there.shape[1], 3)
    out = changed(
        T.PreNormalize3D(align_spine=False, align_shoulder=False), code.clip(there)
    )
    x, score = out.x.numpy(), out.score.numpy()
    # All coordinates were moved by those of joint 1 of the first person at the start.
    origin = code.coordinates(score[0, 0, 1]) if there.any() else np.zeros(3)
    expected = code.coordinates(score)
    np.testing.assert_array_equal(x, (expected - origin) * (score != 0)[..., None])
    assert set(np.unique(score)) <= {0, *np.unique(code.encode(there)[1])}
    # Turned clips have the same scores.
    for transform in (T.PreNormalize3D(), T.PreNormalize3D(align_spine=False)):
        assert changed(transform, code.clip(there)).score.equal(out.score)


@settings(max_examples=40, deadline=None)
@given(absences(), few)
def test_scores_move_with_coordinates_in_the_official_normalisation(there, num_frames):
    data = Code(there.shape[1], 3).clip(there)
    out = changed(T.PreNormalizeOfficial(num_frames), data)
    # Those that move something; their scores are right, see above.
    moved = T.Replay(num_frames)(T.DropNullFrames()(data))
    assert out.score.equal(moved.score)
    assert not out.x[out.score == 0].any()


@pytest.mark.parametrize('name', IN_PLACE)
@settings(max_examples=30, deadline=None)
@given(absences(), st.data(), seeds)
def test_scores_stay_where_coordinates_change_in_place(name, there, data, seed):
    dims = [d for d in (2, 3) if name not in (ONLY_3D if d == 2 else ONLY_2D)]
    clip = Code(there.shape[1], data.draw(st.sampled_from(dims))).clip(there)
    out = changed(data.draw(st.sampled_from(IN_PLACE[name])), clip, seed)
    assert out.score.equal(clip.score)
    assert out.x.shape == clip.x.shape


@pytest.mark.parametrize('name', IN_PLACE)
@settings(max_examples=30, deadline=None)
@given(absences(), seeds)
@example(np.ones((1, 2, JOINTS), bool) & (np.arange(JOINTS) > 0), 0)
def test_joints_that_were_not_seen_stay_zero(name, there, seed):
    dims = 2 if name in ONLY_2D else 3
    clip = Code(there.shape[1], dims).clip(there)
    # Without what is asked to move them, too.
    transforms = [
        t for t in IN_PLACE[name] if getattr(t, 'keep_zeros', True) is True
    ]  # fmt: skip
    for transform in transforms:
        out = changed(transform, clip, seed)
        assert not out.x[clip.score == 0].any()


@settings(max_examples=40, deadline=None)
@given(absences(), st.sampled_from([2, 3]))
def test_scores_of_bones_and_motion_are_of_both_ends(there, dims):
    data = Code(there.shape[1], dims).clip(there)
    x, score = data.x, data.score
    parents = torch.tensor(BODY.parents)
    bone = changed(T.JointToBone(BODY), data)
    assert bone.x.equal(x - x[:, :, parents])
    assert bone.score.equal((score + score[:, :, parents]) / 2)
    motion = changed(T.ToMotion(), data)
    assert motion.x[:, :-1].equal(x[:, 1:] - x[:, :-1])
    assert motion.score[:, :-1].equal((score[:, 1:] + score[:, :-1]) / 2)
    assert not motion.x[:, -1].any()
    assert not motion.score[:, -1].any()


@settings(max_examples=30, deadline=None)
@given(absences(), st.booleans(), st.integers(1, 3), st.integers(1, 3), seeds)
def test_scores_become_the_channel_of_their_joints(
    there, train, num_clips, num_persons, seed
):
    """All of MMAction2's recipe, whose coordinates are pixels again at the end."""
    code = Code(there.shape[1], 2)
    recipe = T.recipe('mmaction2')
    once = changed(recipe.pre_transform(2), code.clip(there), seed)
    transform = recipe.transform(
        BODY, dims=2, train=train, num_clips=num_clips, num_persons=num_persons
    )
    torch.manual_seed(seed)
    out = transform(once)
    assert out.x.shape[-4:-1] == (num_persons, 100, JOINTS)
    x, score = out.x[..., :2].numpy(), out.x[..., 2].numpy()
    if not there.any() or np.median(code.encode(there)[0][there]) <= 2:
        return  # Almost nothing: may be taken for shares of the image.
    half = np.array(SIZE[::-1]) / 2
    # Whoever is padded is zero and not, as here joints that were not seen, (-1, -1).
    padded = (x == 0).all((-1, -2), keepdims=True)
    code.check(np.where(padded, 0, (x * half + half).round()), score, there)


@settings(max_examples=30, deadline=None)
@given(absences(), seeds)
def test_scores_become_the_channel_of_their_joints_for_kinetics(there, seed):
    code = Code(there.shape[1], 2)
    recipe = T.recipe('official')
    if not there.any() or np.median(code.encode(there)[0][there]) <= 2:
        return
    once = changed(recipe.pre_transform(2), code.clip(there), seed)
    out = recipe.transform(BODY, dims=2, num_persons=3)(once)
    x, score = out.x[..., :2].numpy(), out.x[..., 2].numpy()
    x = (x * [1, -1] + 0.5) * SIZE[::-1] * (score != 0)[..., None]
    code.check(x.round(), score, there)
    # Nobody is there in the first frame, and afterwards all are as they were.
    assert not out.x[:, 0].any()
    assert not out.x[..., :2][out.x[..., 2] == 0].any()
    persons, frames = there.shape[:2]
    np.testing.assert_array_equal(
        score[:persons, 1 : frames + 1], code.encode(there)[1]
    )


@pytest.mark.parametrize('rule', PERSON_RULES)
@settings(max_examples=100, deadline=None)
@given(absences(6, 30), st.data(), st.sampled_from([2, 3]))
def test_scores_move_with_persons(rule, there, data, dims):
    if not there.any():
        return
    code = Code(there.shape[1], dims)
    x, score = code.encode(there)
    # In another order of the coordinates, bodies are wider than high.
    order = list(data.draw(st.permutations(range(dims))))
    slots = there.shape[:2]
    ids = data.draw(
        st.none()
        | arrays(np.int64, slots, elements=st.integers(1, 4))
        | st.just(np.arange(slots[0])[:, None].repeat(slots[1], 1))
    )
    sequence = SkeletonSequence(
        np.ascontiguousarray(x[..., order]), 'clip', score=score, body_ids=ids
    )
    looked_at = {'energy': 4, 'score': 5, 'tracked': 2 if ids is None else 6, 'all': 6}
    if not there[: looked_at[rule]].any():
        return  # See the test below.
    chosen = select_persons(sequence, rule)
    assert chosen.body_ids is None
    assert len(chosen.keypoints) >= 1
    assert chosen.present.any(1).all()
    found = chosen.keypoints[..., np.argsort(order)]
    code.check(found, chosen.score, there)
    # Nothing of the recording changed.
    np.testing.assert_array_equal(sequence.keypoints, x[..., order])
    np.testing.assert_array_equal(sequence.score, score)


@pytest.mark.parametrize(
    ('rule', 'slots'), [('energy', 5), ('tracked', 3), ('score', 6)]
)
def test_who_stands_where_a_rule_does_not_look_is_not_lost(rule, slots):
    x = np.zeros((slots, 4, JOINTS, 3), np.float32)
    x[-1] = Code(4, 3).encode(np.ones((1, 4, JOINTS), bool))[0]
    score = (x != 0).any(-1).astype(np.float32)
    sequence = SkeletonSequence(x, 'clip', score=score)
    with pytest.raises(SkeletonDataError, match=f"nobody in .* {slots} .*'{rule}'"):
        select_persons(sequence, rule)
    assert len(select_persons(sequence, 'all').keypoints) == 1


def test_somebody_is_left_who_does_not_move():
    # All joints of the body at one point, as of no energy as the empty slots.
    x = np.zeros((3, 4, JOINTS, 3), np.float32)
    x[0] = 1
    chosen = select_persons(SkeletonSequence(x, 'clip'), 'energy')
    assert len(chosen.keypoints) >= 1


@pytest.mark.parametrize(
    'transform',
    [T.SampleFrames(3), T.PadFrames(8), T.Replay(3), T.DropNullFrames(), T.Centre(0),
     T.Align(), T.PreNormalize3D(), T.UniformSampleFrames(3)],
    ids=str,
)  # fmt: skip
def test_frames_of_several_clips_are_not_taken_for_persons(transform):
    clip = Code(6, 3).clip(np.ones((2, 6, JOINTS), bool))
    several = T.UniformSampleFrames(4, num_clips=3)(clip)
    with pytest.raises(SkeletonDataError, match='expected one clip'):
        transform(several)
