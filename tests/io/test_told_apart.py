"""Recordings, frames, people and joints that files of pose estimators must not mix."""

import json

import numpy as np
import pose_files
import pytest
from pose_files import FRAMES, triples, write_table

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io import read

XYZ = [f'{axis}{v}' for v in range(33) for axis in 'xyz']


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# Tables ------------------------------------------------------------------------


@pytest.mark.parametrize('column', ['video_id', 'clip_id', 'path', 'Sequence Name'])
def test_tables_tell_recordings_by_many_words(tmp_path, rng, column):
    rows = [[column, 'frame', *XYZ]]
    rows += [[f'v{v}', t, *rng.random(99)] for v in (1, 2) for t in range(5)]
    reader = read(write_table(tmp_path / 'a.csv', rows))
    assert reader.names == ['v1', 'v2']
    assert [sequence.num_frames for sequence in reader] == [5, 5]


def test_a_frame_that_stands_there_twice_is_refused(tmp_path, rng):
    """Of two videos, or people, that no column tells apart."""
    rows = [['label', 'frame', *XYZ]]
    rows += [['walk', t % 5, *rng.random(99)] for t in range(10)]
    with pytest.raises(SkeletonDataError, match=r"line 7: the same frame.*'video'"):
        read(write_table(tmp_path / 'a.csv', rows))
    rows = [['frame', 'landmark_id', 'x', 'y', 'z']]
    rows += [[0, v % 33, *rng.random(3)] for v in range(34)]
    with pytest.raises(SkeletonDataError, match='line 35: the same frame'):
        read(write_table(tmp_path / 'a.csv', rows))
    rows = [['frame', 'person', *XYZ]]
    rows += [[t, who, *rng.random(99)] for t in range(3) for who in ('Ann', 'Bo')]
    sequence = read(write_table(tmp_path / 'a.csv', rows))[0]
    assert sequence.keypoints.shape == (2, 3, 33, 3)


def test_joints_of_two_parts_are_not_one(tmp_path, rng):
    header = [f'{side}{v}_{axis}' for side in ('left', 'right')
              for v in range(21) for axis in 'xyz']  # fmt: skip
    x = rng.random((4, 126))
    sequence = read(write_table(tmp_path / 'a.csv', [header, *x.tolist()]))[0]
    np.testing.assert_allclose(sequence.keypoints[0].reshape(4, 126), x, rtol=1e-5)
    header[3] = header[0]
    with pytest.raises(SkeletonDataError, match='the same coordinate of one joint'):
        read(write_table(tmp_path / 'a.csv', [header, *x.tolist()]))


def test_names_of_images_are_frames_of_videos(tmp_path, rng):
    x = rng.random((12, 99))
    names = [f'{n}.jpg' for n in (1, 10, 11, 12, 2, 3, 4, 5, 6, 7, 8, 9)]
    rows = [['image', *XYZ], *[[n, *v] for n, v in zip(names, x, strict=True)]]
    sequence = read(write_table(tmp_path / 'a.csv', rows))[0]
    order = np.argsort([int(name[:-4]) for name in names])
    np.testing.assert_allclose(sequence.keypoints[0].reshape(12, 99), x[order], 1e-5)
    for row, name in zip(rows[1:], ('walk', 'run') * 6, strict=True):
        row[0] = f'{name}_{row[0]}'
    reader = read(write_table(tmp_path / 'a.csv', rows))
    assert reader.names == ['walk', 'run']
    # Times that are not in order are put so.
    times = rng.permutation(12) * 33.4
    rows = [['time', *XYZ], *[[t, *v] for t, v in zip(times, x, strict=True)]]
    sequence = read(write_table(tmp_path / 'a.csv', rows))[0]
    np.testing.assert_allclose(
        sequence.keypoints[0].reshape(12, 99), x[np.argsort(times)], rtol=1e-5
    )


# JSON --------------------------------------------------------------------------


def test_bodies_that_tell_their_frame_are_frames(tmp_path, rng):
    x, score = pose_files.pixels(rng, 1, 17)
    points = [triples(x[0, t], score[0, t]) for t in range(FRAMES)]
    path = tmp_path / 'a.json'
    for content in (
        [{'frame': t, 'keypoints': p} for t, p in enumerate(points)],
        {'frames': [{'keypoints': p} for p in points]},
        {'frames': [{'frame_id': 3 + t, 'keypoints': p} for t, p in enumerate(points)]},
    ):
        path.write_text(json.dumps(content))
        np.testing.assert_allclose(read(path)[0].keypoints, x, rtol=1e-5)
    path.write_text(json.dumps([{'keypoints': p} for p in points]))
    with pytest.raises(SkeletonDataError, match='6 people in one frame, or one in 6'):
        read(path)
    # In a folder of a class, such files are recordings of their own.
    for number in (1, 2, 3):
        file = tmp_path / f'classes/walk/walk_{number:03d}.json'
        file.parent.mkdir(parents=True, exist_ok=True)
        content = [{'frame': t, 'keypoints': p} for t, p in enumerate(points)]
        file.write_text(json.dumps(content))
    with pytest.warns(UserWarning, match='taken for classes: walk'):
        reader = read(tmp_path / 'classes')
    assert len(reader) == 3
    assert [sequence.label for sequence in reader] == [0, 0, 0]


def test_ids_that_everybody_has_are_none(tmp_path, rng):
    """AlphaPose's, without tracking: people stay who they are all the same."""
    x, score = pose_files.pixels(rng, 2, 17)
    entries = [
        {'image_id': f'{t}.jpg', 'category_id': 1, 'score': 1, 'idx': [0.0],
         'keypoints': triples(x[m, t], score[m, t])}
        for t in range(FRAMES) for m in (0, 1) if (t, m) != (3, 0)
    ]  # fmt: skip
    path = tmp_path / 'alphapose-results.json'
    path.write_text(json.dumps(entries))
    sequence = read(path)[0]
    x[0, 3] = 0
    first = 0 if sequence.keypoints[0, 0, 0, 0] == x[0, 0, 0, 0] else 1
    there = [t for t in range(FRAMES) if t != 3]
    np.testing.assert_allclose(sequence.keypoints[first, :3], x[0, :3], rtol=1e-5)
    np.testing.assert_allclose(sequence.keypoints[1 - first], x[1], rtol=1e-5)
    ids = sequence.body_ids
    assert all(ids[0, t] != ids[1, t] for t in there)


def test_somebody_who_comes_late_is_seen(tmp_path, rng):
    path, x, _ = pose_files.openpose_body(tmp_path, rng)
    for file in sorted(path.iterdir(), reverse=True):
        number = int(file.stem.split('_')[1])
        file.rename(path / f'video_{number + 70:012d}_keypoints.json')
    for t in range(70):
        file = path / f'video_{t:012d}_keypoints.json'
        file.write_text(json.dumps({'version': 1.3, 'people': []}))
    sequence = read(path)[0]
    assert sequence.num_frames == 70 + FRAMES
    np.testing.assert_allclose(sequence.keypoints[:, 70:], x, rtol=1e-5)


def test_hands_whose_side_is_not_told_are_asked_for(tmp_path):
    marks = [{'x': 0.1, 'y': 0.2, 'z': 0.0}] * 21
    path = tmp_path / 'a.json'
    path.write_text(json.dumps({'frames': [{'hand_landmarks': [marks]}] * 3}))
    with pytest.raises(SkeletonDataError, match='left_hand_landmarks'):
        read(path)


# Folders and arrays ------------------------------------------------------------


@pytest.mark.filterwarnings('ignore:Of 1662')
def test_mp_data_in_folders_of_splits(tmp_path):
    for name in ('train/walk/0', 'train/run/0', 'test/run/1'):
        (tmp_path / name).mkdir(parents=True)
        np.save(tmp_path / name / '0.npy', np.ones(1662))
    with pytest.warns(UserWarning, match='classes: run, walk; for splits: test as'):
        reader = read(tmp_path)
    assert reader.classes == ['run', 'walk']
    assert [sequence.label for sequence in reader] == [0, 0, 1]
    assert reader.splits == {
        'test': ['test/run/1'],
        'train': ['train/run/0', 'train/walk/0'],
    }


def test_validation_is_no_test_where_there_is_one(tmp_path, rng):
    for name in ('train/a/1', 'val/a/2', 'test/a/3'):
        (tmp_path / name).parent.mkdir(parents=True)
        np.save(tmp_path / f'{name}.npy', rng.normal(size=(4, 17, 3)))
    with pytest.warns(UserWarning, match="val as 'val'"):
        reader = read(tmp_path)
    assert set(reader.splits) == {'train', 'val', 'test'}


def test_many_clips_are_not_many_people(tmp_path, rng):
    x = rng.normal(size=(50, 30, 17, 3)).astype('f4')
    np.save(tmp_path / 'x.npy', x)
    with pytest.raises(SkeletonDataError, match="50 clips.*'NTVC'.*'MTVC'"):
        read(tmp_path / 'x.npy')
    reader = read(tmp_path / 'x.npy', layout='NTVC')
    assert len(reader) == 50
    np.testing.assert_array_equal(reader[7].keypoints[0], x[7])


def test_sequences_of_utkinect_are_told_apart(tmp_path, rng):
    pose_files.utkinect(tmp_path, rng)
    (tmp_path / 'joints/joints_s2_e1.txt').write_bytes(
        (tmp_path / 'joints/joints_s01_e01.txt').read_bytes()
    )
    with pytest.warns(UserWarning, match='does not name s02_e01'):
        assert len(read(tmp_path)) == 2
    (tmp_path / 'joints/joints_s1_e1.txt').write_text('')
    with pytest.raises(SkeletonDataError, match='are both sequence s01_e01'):
        read(tmp_path)
