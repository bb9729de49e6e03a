import numpy as np
import pytest

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.datasets import select_persons
from pyg_msg3d.io import SkeletonSequence

RNG = np.random.default_rng(0)
SLIM, WIDE = (0.5, 2, 1), (2, 1, 1)


def recording(tracks, num_frames, scored=False):
    """Tracks are (id, slot, first frame, end, size, shape)."""
    slots = 1 + max(slot for _, slot, *_ in tracks)
    x = np.zeros((slots, num_frames, 25, 3), np.float32)
    ids = np.zeros((slots, num_frames), np.int64)
    for body_id, slot, begin, end, size, shape in tracks:
        x[slot, begin:end] = RNG.normal(size=(end - begin, 25, 3)) * size * shape
        ids[slot, begin:end] = body_id
    score = RNG.random(x.shape[:3]).astype(np.float32) if scored else None
    return SkeletonSequence(x, 'clip', score=score, body_ids=ids)


def test_energy_takes_the_two_that_move_most_of_the_first_four():
    sequence = recording(
        [(1, 0, 0, 9, 1, SLIM), (2, 1, 0, 9, 3, SLIM), (3, 2, 0, 3, 2, SLIM),
         (4, 3, 0, 9, 0.5, SLIM), (5, 4, 0, 9, 9, SLIM)], 9,
    )  # fmt: skip
    chosen = select_persons(sequence, 'energy')
    # Frames without the body do not count against it.
    np.testing.assert_array_equal(chosen.keypoints, sequence.keypoints[[1, 2]])
    assert chosen.body_ids is None


def test_energy_drops_empty_slots():
    sequence = recording([(1, 1, 0, 9, 1, SLIM)], 9)
    assert select_persons(sequence, 'energy').keypoints.shape == (1, 9, 25, 3)


def test_tracked_follows_ids_across_slots():
    sequence = recording(
        [(1, 0, 0, 20, 1, SLIM), (2, 0, 20, 40, 2, SLIM), (1, 1, 20, 40, 1, SLIM)], 40
    )
    x = sequence.keypoints
    first, second = select_persons(sequence, 'tracked').keypoints
    np.testing.assert_array_equal(first, np.concatenate([x[0, :20], x[1, 20:]]))
    np.testing.assert_array_equal(second[20:], x[0, 20:])
    assert not second[:20].any()


def test_tracked_drops_short_and_wide_tracks():
    long = (1, 0, 0, 30, 1, SLIM)
    for other in [(2, 1, 0, 11, 9, SLIM), (2, 1, 0, 30, 9, WIDE)]:
        sequence = recording([long, other], 30)
        chosen = select_persons(sequence, 'tracked')
        np.testing.assert_array_equal(chosen.keypoints, sequence.keypoints[:1])
    sequence = recording([long, (2, 1, 0, 12, 9, SLIM)], 30)
    assert len(select_persons(sequence, 'tracked').keypoints) == 2


def test_tracked_joins_tracks_that_do_not_overlap():
    sequence = recording(
        [(1, 0, 0, 15, 3, SLIM), (2, 0, 15, 30, 2, SLIM), (3, 1, 0, 30, 1, SLIM)], 30
    )
    chosen = select_persons(sequence, 'tracked')
    np.testing.assert_array_equal(chosen.keypoints, sequence.keypoints)


def test_tracked_leaves_out_frames_without_anybody():
    sequence = recording([(1, 0, 5, 20, 1, SLIM)], 30)
    chosen = select_persons(sequence, 'tracked')
    np.testing.assert_array_equal(chosen.keypoints[0], sequence.keypoints[0, 5:20])


def test_tracked_keeps_somebody_where_all_tracks_are_short():
    sequence = recording([(1, 0, 0, 5, 1, SLIM), (2, 1, 0, 5, 2, SLIM)], 5)
    chosen = select_persons(sequence, 'tracked')
    np.testing.assert_array_equal(chosen.keypoints, sequence.keypoints[1:])


def test_tracked_without_ids_takes_the_first_two_as_they_are():
    x = RNG.normal(size=(3, 5, 17, 2)).astype(np.float32)
    chosen = select_persons(SkeletonSequence(x, 'clip', score=x[..., 0]), 'tracked')
    np.testing.assert_array_equal(chosen.keypoints, x[:2])
    np.testing.assert_array_equal(chosen.score, x[:2, ..., 0])


def test_score_takes_the_two_best_of_every_frame():
    sequence = recording([(b, b, 0, 4, 1, SLIM) for b in range(6)], 4, scored=True)
    chosen = select_persons(sequence, 'score')
    for frame in range(4):
        best = np.argsort(-sequence.score[:5, frame].sum(1))[:2]
        np.testing.assert_array_equal(
            chosen.keypoints[:, frame], sequence.keypoints[best, frame]
        )
    with pytest.raises(SkeletonDataError, match="'clip' has no scores"):
        select_persons(recording([(1, 0, 0, 4, 1, SLIM)], 4), 'score')


def test_all_drops_nobody_but_the_absent():
    sequence = recording([(b, b, 0, 4, 1, SLIM) for b in (0, 1, 3)], 4)
    assert len(select_persons(sequence, 'all').keypoints) == 3


@pytest.mark.parametrize('rule', ['energy', 'tracked', 'score', 'all'])
@pytest.mark.parametrize('slots', [0, 2])
def test_nobody_is_an_error(rule, slots):
    empty = SkeletonSequence(np.zeros((slots, 7, 25, 3), np.float32), 'empty')
    with pytest.raises(SkeletonDataError, match="'empty' has no body in any of its 7"):
        select_persons(empty, rule)
    with pytest.raises(ValueError, match="'persons' must be one of energy, tracked"):
        select_persons(empty, 'best')
