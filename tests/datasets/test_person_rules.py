"""Who is in a clip, on small made recordings whose motion and width are known by hand:
what PYSKL's ``tools/data/ntu_preproc.py`` and the authors' ``data_gen`` choose."""

import numpy as np
import pytest

from pyg_msg3d.datasets import select_persons
from pyg_msg3d.io import SkeletonSequence


def body(num_frames, sway=0.0, width=1.0, height=2.0, depth=7.0):
    """A body of four joints, two of them in its middle, which goes from -sway to sway
    and back. The sum of the variances is ``(width^2 + height^2) / 8 + sway^2`` for an
    even number of frames."""
    x = np.zeros((num_frames, 4, 3), np.float32)
    x[:, 0, :2] = -width / 2, -height / 2
    x[:, 2, :2] = width / 2, height / 2
    x[::2, :, 0] -= sway
    x[1::2, :, 0] += sway
    x[..., 2] = depth
    return x


def recording(num_frames, *placed):
    """Each of ``placed`` is (id, slot, first frame, a body)."""
    num_slots = 1 + max(slot for _, slot, *_ in placed)
    x = np.zeros((num_slots, num_frames, *placed[0][3].shape[1:]), np.float32)
    ids = np.zeros((num_slots, num_frames), np.int64)
    for body_id, slot, start, joints in placed:
        x[slot, start : start + len(joints)] = joints
        ids[slot, start : start + len(joints)] = body_id
    return SkeletonSequence(x, 'clip', body_ids=ids)


def tracked(num_frames, *placed):
    return select_persons(recording(num_frames, *placed), 'tracked').keypoints


def with_gaps(num_frames, *parts):
    """One person of several bodies, (first frame, body), and zeros between them."""
    x = np.zeros((num_frames, *parts[0][1].shape[1:]), np.float32)
    for start, joints in parts:
        x[start : start + len(joints)] = joints
    return x


def check(found, *expected):
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.stack(expected))


# By energy ---------------------------------------------------------------------


def by_energy(*slots):
    sequence = SkeletonSequence(np.stack(slots), 'clip')
    return select_persons(sequence, 'energy').keypoints


def test_energy_looks_at_four_slots_most_energy_first():
    low, mid, high = body(6, 1), body(6, 2), body(6, 3)
    check(by_energy(low, low, low, high, body(6, 9)), high, low)
    check(by_energy(low, high, mid), high, mid)


def test_energy_counts_only_frames_in_which_the_body_is_there():
    # Zeros would make the far one, which stands still, the one of most energy.
    far = body(6, depth=50.0)
    far[:3] = 0
    a, b = body(6, 1), body(6, 2)
    check(by_energy(far, a, b), b, a)
    # And they would make this one, of 1.5 in two frames, less than 1 in all.
    seldom = with_gaps(6, (4, body(2, 1.5)))
    check(by_energy(seldom, body(6), a), seldom, a)


def test_energy_is_the_sum_of_the_deviations_of_each_coordinate():
    # One coordinate of 3 + 0 + 0 against three of 1.5 each: 4.5, of variances 6.75
    # against 9; joints lie at one point, so only the way counts.
    one, three = np.ones((2, 4, 4, 3), np.float32)
    one[::2, :, 0] += 6
    three[::2] += 3
    least = np.ones((4, 4, 3), np.float32)
    least[::2, :, 0] += 2
    check(by_energy(one, least, three), three, one)


def test_energy_of_equals_the_later_slot_comes_first():
    slots = [body(4, depth=d) for d in (1.0, 2.0, 3.0, 4.0)]
    check(by_energy(*slots), slots[3], slots[2])


def test_energy_of_an_empty_slot_is_nothing():
    small, smaller = body(4, 0, 0.1, 0.2), body(4, 0, 0.1, 0.1)
    empty = np.zeros_like(small)
    check(by_energy(smaller, empty, small, empty), small, smaller)


# By track ----------------------------------------------------------------------


def test_tracks_come_in_the_order_of_their_motion():
    calm, wild = body(12, 1), body(12, 2)
    check(tracked(12, (7, 0, 0, calm), (3, 1, 0, wild)), wild, calm)
    # Each coordinate varies about its own mean: being far away is no motion.
    far = body(12, 0.5, depth=50.0)
    check(tracked(12, (7, 0, 0, far), (3, 1, 0, calm)), calm, far)


def test_motion_is_the_variance_of_joints_in_space_too():
    # (1.5^2 + 2.4^2) / 8 + 1 = 2 for the large one, 0.4 / 8 + 1.44 for the small one.
    large, small = body(12, 1, 1.5, 2.4), body(12, 1.2, 0.1**0.5, 0.3**0.5)
    check(tracked(12, (1, 0, 0, small), (2, 1, 0, large)), large, small)


def test_of_tracks_of_equal_motion_the_one_seen_first_comes_first():
    first, second = body(13, depth=1.0), body(12, depth=3.0)
    check(
        tracked(13, (1, 1, 0, first), (2, 0, 1, second)),
        first,
        with_gaps(13, (1, second)),
    )


@pytest.mark.parametrize(('width', 'stays'), [(4.0, True), (4.1, False)])
def test_a_body_is_at_most_four_fifths_as_wide_as_high(width, stays):
    slim, other = body(12, 1), body(12, 9, width, 5.0)
    found = tracked(12, (1, 0, 0, slim), (2, 1, 0, other))
    check(found, *([other, slim] if stays else [slim]))


@pytest.mark.parametrize(('wide', 'stays'), [(1, True), (29, True), (30, False)])
def test_a_track_stays_with_less_than_0_69754_of_wide_frames(wide, stays):
    # 29 / 43 is 0.674, 30 / 43 is 0.69767.
    slim, other = body(43, 0.5), body(43, 9)
    other[:wide] = body(wide, 9, 4.0, 2.0)
    found = tracked(43, (1, 0, 0, slim), (2, 1, 0, other))
    check(found, *([other, slim] if stays else [slim]))


def test_wide_frames_add_nothing_to_the_motion_of_a_track():
    # Of one half slim, 5 / 8, one half wide, 37 / 8: both together 2.6, but 0.625
    # without the wide ones. The other one has 5 / 8 + 1.
    mixed = np.concatenate([body(10), body(10, 0, 6.0, 1.0)])
    slim = body(20, 1)
    check(tracked(20, (1, 0, 0, mixed), (2, 1, 0, slim)), slim, mixed)
    # Nor do they come to count where they are at the start or in between.
    mixed = mixed[::-1].copy()
    check(tracked(20, (1, 0, 0, mixed), (2, 1, 0, slim)), slim, mixed)


def test_leaving_out_wide_frames_makes_no_track_move_more():
    # 5 / 8 + 9 in the slim half, 1.01 / 8 in the flat one: 4.9 in all, which counts,
    # not 9.6. The other one has 5 / 8 + 6.25.
    mixed = np.concatenate([body(10, 3), body(10, 0, 1.0, 0.1)])
    slim = body(20, 2.5)
    check(tracked(20, (1, 0, 0, mixed), (2, 1, 0, slim)), slim, mixed)


def test_where_all_tracks_are_wide_the_one_that_moves_most_stays():
    wide, wider = body(12, 1, 3.0), body(12, 2, 3.0)
    check(tracked(12, (1, 0, 0, wide), (2, 1, 0, wider)), wider)
    calm = body(12, 0.5, 3.0)
    found = tracked(12, (1, 0, 0, calm), (2, 1, 0, wide), (3, 2, 0, wider))
    check(found, wider)


def test_a_single_track_is_kept_as_it_is():
    wide = body(5, 1, 3.0)
    wide[0] *= 1e-6
    wide[4] *= 1e-6
    check(tracked(5, (1, 0, 0, wide)), wide)
    # The only one that is long enough is not looked at either.
    wide = body(12, 1, 3.0)
    wide[0] *= 1e-6
    check(tracked(12, (1, 0, 0, wide), (2, 1, 0, body(11, 9))), wide)


def test_frames_without_anybody_are_no_time():
    a, b, c = body(20, 3), body(12, 2), body(12, 1)
    # Frames 0 to 19, nobody, 25 to 36 twice.
    found = tracked(40, (1, 0, 0, a), (2, 0, 25, b), (3, 1, 25, c))
    check(found, np.concatenate([a, b]), with_gaps(32, (20, c)))


def test_a_gap_in_a_track_closes():
    whole, parts = body(20, 1), body(13, 2)
    found = tracked(20, (1, 0, 0, whole), (2, 1, 2, parts[:1]), (2, 1, 8, parts[1:]))
    # From its first frame on, without the five frames in between.
    check(found, whole, with_gaps(20, (2, parts)))


def test_a_track_between_two_of_the_first_person_goes_to_the_second():
    # By motion: the first person has frames 0 to 11 and 24 to 35, so its time is all
    # of 0 to 35.
    late, early, between = body(12, 3), body(12, 2), body(12, 1)
    found = tracked(36, (1, 0, 24, late), (2, 0, 0, early), (3, 0, 12, between))
    check(found, with_gaps(36, (0, early), (24, late)), with_gaps(36, (12, between)))
    early, late = body(12, 3), body(12, 2)
    found = tracked(36, (1, 0, 24, late), (2, 0, 0, early), (3, 0, 12, between))
    check(found, with_gaps(36, (0, early), (24, late)), with_gaps(36, (12, between)))


def test_the_second_person_may_have_several_tracks():
    whole, early, late = body(24, 3), body(12, 2), body(12, 1)
    found = tracked(24, (1, 0, 0, whole), (2, 1, 0, early), (3, 1, 12, late))
    check(found, whole, np.concatenate([early, late]))


def test_the_time_of_the_second_person_starts_with_the_recording():
    # As in the source: a track that ends before the second person's first one starts
    # is taken for an overlap, and goes.
    whole, late, early = body(40, 3), body(20, 2), body(12, 1)
    found = tracked(40, (1, 0, 0, whole), (2, 1, 20, late), (3, 1, 0, early))
    check(found, whole, with_gaps(40, (20, late)))


def test_a_track_that_overlaps_both_persons_is_left_out():
    first, second, third = body(20, 3), body(20, 2), body(20, 1)
    found = tracked(20, (3, 0, 0, third), (1, 1, 0, first), (2, 2, 0, second))
    check(found, first, second)


def test_tracks_that_overlap_by_one_frame_are_two_persons():
    first, second = body(12, 3), body(12, 2)
    found = tracked(23, (1, 0, 0, first), (2, 1, 11, second))
    check(found, with_gaps(23, (0, first)), with_gaps(23, (11, second)))
    # The one that comes later may move more.
    found = tracked(23, (1, 0, 0, second), (2, 1, 11, first))
    check(found, with_gaps(23, (0, second)), with_gaps(23, (11, first)))


@pytest.mark.parametrize(
    ('size', 'stays'), [(0.0015, True), (0.001, True), (0.0009, False)]
)
def test_frames_of_almost_nothing_go_at_both_ends(size, stays):
    first, second = body(16, 2), body(12, 1)
    first[[0, 1, 7, 14, 15]] = 0
    first[[0, 7, 15], 0, 1] = 1e-6
    first[[1, 14], 0, 1] = size
    second[5] = 0
    second[5, 0, 1] = 1e-6
    found = tracked(16, (1, 0, 0, first), (2, 1, 2, second))
    begin, end = (1, 15) if stays else (2, 14)
    check(found, first[begin:end], with_gaps(16, (2, second))[begin:end])


@pytest.mark.parametrize(
    ('one', 'other', 'swapped'),
    [(0.0, 2.0, True), (0.0009, 2.0, True), (0.001, 2.0, False),
     (0.002, 2.0, False), (0.0, 0.0005, False), (0.0, 0.001, False),
     (0.0, 0.0015, True)],
)  # fmt: skip
def test_whose_middle_is_there_at_the_start_comes_first(one, other, swapped):
    # By the sum of the sizes of joint 1 in the first frame, as in the source.
    first, second = body(12, 2), body(12, 1)
    first[0, 1] = 0, 0, one
    second[0, 1] = 0, other, 0
    found = tracked(12, (1, 0, 0, first), (2, 1, 0, second))
    check(found, *([second, first] if swapped else [first, second]))


def test_whoever_starts_later_comes_second():
    wild, calm = body(12, 2), body(14, 1)
    found = tracked(16, (1, 0, 4, wild), (2, 1, 2, calm))
    check(found, calm, with_gaps(14, (2, wild)))


def test_scores_go_with_their_tracks():
    wild, calm = body(12, 2), body(14, 1)
    sequence = recording(14, (1, 0, 0, calm), (2, 1, 2, wild))
    score = np.arange(2 * 14 * 4, dtype=np.float32).reshape(2, 14, 4) + 1
    # Were scores motion, the calm one would move more.
    score[0] *= 100
    score[1, :2] = 0
    sequence = SkeletonSequence(
        sequence.keypoints, 'clip', score=score, body_ids=sequence.body_ids
    )
    chosen = select_persons(sequence, 'tracked')
    # The wild one is absent at the start, so the calm one comes first after all.
    check(chosen.keypoints, calm, with_gaps(14, (2, wild)))
    check(chosen.score, score[0], score[1])
    assert chosen.keypoints.flags.c_contiguous
    one = SkeletonSequence(
        sequence.keypoints[1:], 'clip', score=score[1:], body_ids=np.ones((1, 14), int)
    )
    chosen = select_persons(one, 'tracked')
    check(chosen.keypoints, wild)
    check(chosen.score, score[1, 2:])


def test_scores_are_no_size():
    # Two tracks end in a frame of almost nothing, whatever its scores.
    wild, calm = body(12, 2), body(12, 1)
    wild[11], calm[11] = 0, 0
    wild[11, 0, 0] = calm[11, 0, 0] = 1e-5
    sequence = recording(12, (1, 0, 0, wild), (2, 1, 0, calm))
    score = np.ones((2, 12, 4), np.float32)
    score[:, 11, 1:] = 0
    score[0, :, 0] = 50
    sequence = SkeletonSequence(
        sequence.keypoints, 'clip', score=score, body_ids=sequence.body_ids
    )
    chosen = select_persons(sequence, 'tracked')
    check(chosen.keypoints, wild[:11], calm[:11])
    check(chosen.score, score[0, :11], score[1, :11])


# By score ----------------------------------------------------------------------


def test_score_sorts_the_first_five_bodies_of_each_frame():
    x = np.arange(1, 6 * 3 * 2 * 2 + 1, dtype=np.float32).reshape(6, 3, 2, 2)
    score = np.zeros((6, 3, 2), np.float32)
    # Sums by frame; the sixth would be the best of all.
    score[:, 0] = [[0.1, 0.2], [0.5, 0.1], [0.9, 0.1], [0.2, 0.2], [0.1, 0.1], [1, 1]]
    score[:, 1] = [[0.9, 0.9], [0.1, 0.1], [0.2, 0.1], [0.2, 0.2], [0.8, 0.8], [1, 1]]
    score[:, 2] = [[0.9, 0.0], [0.4, 0.6], [0.1, 0.1], [0.3, 0.1], [0.2, 0.1], [1, 1]]
    sequence = SkeletonSequence(x, 'clip', score=score)
    x, score = sequence.keypoints, sequence.score
    chosen = select_persons(sequence, 'score')
    first, second = [2, 0, 1], [1, 4, 0]
    frames = [0, 1, 2]
    check(chosen.keypoints, x[first, frames], x[second, frames])
    check(chosen.score, score[first, frames], score[second, frames])
    assert chosen.body_ids is None


def test_score_leaves_nobody_twice_or_in_the_wrong_frame():
    x = np.ones((2, 4, 3, 2), np.float32) * np.arange(1, 5)[:, None, None]
    x[1] += 10
    score = np.ones((2, 4, 3), np.float32)
    score[1, 1::2] = 2
    chosen = select_persons(SkeletonSequence(x, 'clip', score=score), 'score')
    assert chosen.keypoints[0, :, 0, 0].tolist() == [1, 12, 3, 14]
    assert chosen.keypoints[1, :, 0, 0].tolist() == [11, 2, 13, 4]


# All rules ---------------------------------------------------------------------


@pytest.mark.parametrize('rule', ['energy', 'tracked', 'score', 'all'])
def test_what_else_a_recording_has_stays(rule):
    x = body(12, 1)[None].repeat(2, 0)
    ids = np.array([[1] * 12, [2] * 12])
    sequence = SkeletonSequence(
        x, 'clip', np.ones((2, 12, 4), np.float32), 5, (480, 640),
        ids, 'folder/clip',
    )  # fmt: skip
    chosen = select_persons(sequence, rule)
    assert (chosen.name, chosen.label, chosen.path) == ('clip', 5, 'folder/clip')
    assert chosen.image_size == (480, 640)
    assert chosen.body_ids is None
    assert chosen.keypoints.shape == x.shape
    assert chosen.score.shape == x.shape[:3]


@pytest.mark.parametrize('rule', ['energy', 'score', 'all'])
def test_people_who_are_never_there_go_with_their_scores(rule):
    x = np.zeros((4, 6, 4, 3), np.float32)
    x[1] = body(6, 1)
    score = np.zeros((4, 6, 4), np.float32)
    score[1] = np.arange(1, 25).reshape(6, 4)
    sequence = SkeletonSequence(x, 'clip', score=score)
    chosen = select_persons(sequence, rule)
    check(chosen.keypoints, x[1])
    check(chosen.score, score[1])
