"""The formats other than NTU RGB+D's, recognised by :func:`pyg_msg3d.io.read`."""

import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from skeleton_files import (
    annotation,
    kinetics_clip,
    valid_skeletons,
    write_ctrgcn,
    write_folder,
    write_kinetics,
    write_official,
    write_openpose,
)

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io import SkeletonSequence, from_landmarks, read
from pyg_msg3d.io.arrays import StoredArray

# MMAction2 and PYSKL -----------------------------------------------------------


@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize('dims', [2, 3])
def test_mmaction2(tmp_path, dims, protocol):
    record = annotation(np.random.default_rng(0), dims)
    content = {'split': {'xsub_train': [record['frame_dir']]}, 'annotations': [record]}
    file = tmp_path / 'ntu60.pkl'
    file.write_bytes(pickle.dumps(content, protocol=protocol))
    reader = read(file)
    (sequence,) = reader
    assert reader.splits == {'xsub_train': ['S001C002P003R001A013']}
    assert (sequence.name, sequence.label) == ('S001C002P003R001A013', 12)
    assert sequence.keypoints.dtype == np.float32
    np.testing.assert_array_equal(sequence.keypoints, record['keypoint'])
    if dims == 2:
        np.testing.assert_array_equal(sequence.score, record['keypoint_score'])
        assert sequence.image_size == (1080, 1920)
    else:
        assert sequence.score is None
        assert sequence.image_size is None


def test_mmaction2_variants(tmp_path):
    rng = np.random.default_rng(0)
    record = annotation(rng)
    renamed = {'filename': 'folder/x.skeleton', **record}
    del renamed['frame_dir']
    fortran = {**record, 'keypoint': np.asfortranarray(record['keypoint'])}
    scalar = {**record, 'label': np.int64(12), 'total_frames': np.int32(5)}
    file = tmp_path / 'x.pkl'
    for content, name in [
        ([record], record['frame_dir']),
        ({'annos': [record]}, record['frame_dir']),
        ({'annotations': [renamed]}, 'folder/x'),
        (record, record['frame_dir']),
        ([fortran], record['frame_dir']),
        ([scalar], record['frame_dir']),
    ]:
        file.write_bytes(pickle.dumps(content))
        (sequence,) = read(file)
        assert (sequence.name, sequence.label) == (name, 12)
        np.testing.assert_array_equal(sequence.keypoints, record['keypoint'])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'keypoint': None}, 'keypoint.: expected an array of numbers'),
        ({'keypoint': [1, 2]}, r"expected 'keypoint' of shape .*\(got \[2\]"),
        ({'keypoint': np.zeros((2, 5, 25, 4))}, r'\(got \[2, 5, 25, 4\]\)'),
        ({'total_frames': 4}, "'total_frames' is 4, but 'keypoint' has 5 frames"),
        ({'label': 'wave'}, r"whole number from 0.* \(got 'wave'\)"),
        ({'label': 99_999_999}, r'a class from 0 to 99999 \(got 99999999\)'),
        ({'label': 1 << 20000}, r'got a number of 6021 digits'),
        ({'img_shape': np.array(3)}, 'height and width in pixels'),
        ({'keypoint_score': np.zeros((2, 4, 25))}, r'\[2, 5, 25\] \(got \[2, 4, 25\]'),
        ({'img_shape': (0, 3)}, 'height and width in pixels'),
        ({'keypoint': np.full((1, 5, 25, 3), [np.nan, 1, 1])}, 'NaN or infinite'),
        ({'raw_file': 'x'}, None),
    ],
)
def test_mmaction2_names_the_bad_annotation(tmp_path, change, message):
    rng = np.random.default_rng(0)
    file = tmp_path / 'x.pkl'
    good, bad = annotation(rng), {**annotation(rng, name='bad'), **change}
    file.write_bytes(pickle.dumps([good, bad]))
    reader = read(file)
    assert reader[0].label == 12
    if message is None:
        assert reader[1].name == 'bad'
        return
    with pytest.raises(SkeletonDataError, match=f'bad.*{message}|{message}'):
        reader[1]


def test_mmaction2_refuses_other_pickles(tmp_path):
    file = tmp_path / 'x.pkl'
    for content in [3, {'a': 1}, [1, 2], {'annotations': [{'label': 3}]}]:
        file.write_bytes(pickle.dumps(content))
        with pytest.raises(SkeletonDataError, match=str(file)):
            read(file)


# The authors' arrays, CTR-GCN's archive ----------------------------------------


def test_official(tmp_path):
    x = write_official(tmp_path)
    for reader in (read(tmp_path), read(tmp_path / 'val_data_joint.npy')):
        assert reader.names[2] == 'S001C001P001R001A003'
        assert reader.splits == {'val': reader.names}
        assert reader[2].label == 2
        np.testing.assert_array_equal(reader[2].keypoints, x[2].transpose(3, 1, 2, 0))
        again = pickle.loads(pickle.dumps(reader))
        np.testing.assert_array_equal(again[2].keypoints, reader[2].keypoints)
    x = write_official(tmp_path / 'kinetics', joints=18)
    sequence = read(tmp_path / 'kinetics')[0]
    np.testing.assert_array_equal(sequence.keypoints, x[0, :2].transpose(3, 1, 2, 0))
    np.testing.assert_array_equal(sequence.score, x[0, 2].transpose(2, 0, 1))


def test_official_needs_labels_that_fit(tmp_path):
    write_official(tmp_path)
    (tmp_path / 'val_label.pkl').write_bytes(pickle.dumps((['a'], [0])))
    with pytest.raises(SkeletonDataError, match=r'has 3 clips, but .* 1 names'):
        read(tmp_path)
    (tmp_path / 'val_label.pkl').unlink()
    with pytest.raises(FileNotFoundError, match='names and labels of the array'):
        read(tmp_path)


@pytest.mark.parametrize('compressed', [False, True])
def test_ctrgcn(tmp_path, compressed):
    x = write_ctrgcn(tmp_path / 'NTU60_CS.npz', compressed)
    reader = read(tmp_path / 'NTU60_CS.npz')
    assert reader.splits == {
        'train': ['train_000000', 'train_000001'], 'test': ['test_000000'],
    }  # fmt: skip
    assert [sequence.label for sequence in reader] == [5, 6, 7]
    expected = x[2, :7].reshape(7, 2, 25, 3).swapaxes(0, 1)
    np.testing.assert_array_equal(reader[2].keypoints, expected)
    again = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(again[2].keypoints, expected)


def test_clips_of_uncompressed_archives_are_read_one_by_one(tmp_path):
    file = tmp_path / 'NTU60_CS.npz'
    write_ctrgcn(file)
    x, _ = read(file)._arrays['test']
    assert isinstance(x, StoredArray)


# JSON --------------------------------------------------------------------------


def test_kinetics(tmp_path):
    write_kinetics(tmp_path)
    reader = read(tmp_path)
    assert reader.splits == {'train': ['aaa', 'bbb'], 'val': ['ccc']}
    assert list(reader.classes) == ['abseiling', 'juggling balls']
    sequence = reader[reader.names.index('aaa')]
    record = json.loads((tmp_path / 'kinetics_train/aaa.json').read_text())
    # frame_index counts from 1.
    assert sequence.keypoints.shape == (2, 3, 18, 2)
    assert sequence.present.sum(0).tolist() == [1, 2, 0]
    body = record['data'][1]['skeleton'][1]
    np.testing.assert_allclose(sequence.keypoints[1, 1].ravel(), body['pose'], 1e-6)
    np.testing.assert_allclose(sequence.score[1, 1], body['score'], 1e-6)
    assert sequence.label == 1
    assert read(tmp_path / 'kinetics_train/aaa.json')[0].label == 1


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda r: r.update(data=3), "expected an object with 'data'|no known format"),
        (lambda r: r['data'][0].pop('skeleton'), 'expected frame 0 to have'),
        (lambda r: r['data'][1].update(frame_index=-1), 'frame 1.*got -1'),
        (lambda r: r['data'][1].update(frame_index=10**8), 'nearly all empty'),
        (lambda r: r['data'][0]['skeleton'][0]['pose'].pop(), r'got \[35\] and \[18\]'),
        (lambda r: r['data'][0]['skeleton'][0].pop('score'), 'array of numbers'),
        (
            lambda r: r['data'][0]['skeleton'][0].update(score=['x'] * 18),
            'to float',
        ),
        (lambda r: r.update(label_index=0), 'says class 0, but the label file 1'),
    ],
)
def test_kinetics_errors(tmp_path, edit, message):
    write_kinetics(tmp_path)
    record = kinetics_clip(np.random.default_rng(0))
    edit(record)
    (tmp_path / 'kinetics_train/aaa.json').write_text(json.dumps(record))
    reader = read(tmp_path)
    with pytest.raises(SkeletonDataError, match=f'aaa.json.*({message})'):
        reader[reader.names.index('aaa')]


def test_nw_ucla(tmp_path):
    x = np.random.default_rng(0).normal(size=(4, 20, 3)).round(3)
    for name in ('a01_s02_e03_v03', 'a01_s02_e03_v01'):
        record = {'file_name': name, 'skeletons': x.tolist(), 'label': 10}
        (tmp_path / f'{name}.json').write_text(json.dumps(record))
    reader = read(tmp_path)
    assert reader.splits == {'train': ['a01_s02_e03_v01'], 'test': ['a01_s02_e03_v03']}
    np.testing.assert_allclose(reader[0].keypoints[0], x, 1e-6)
    assert reader[0].label == 9
    assert read(tmp_path / 'a01_s02_e03_v01.json')[0].label == 9


@pytest.mark.parametrize('joints', [25, 18])
def test_openpose_bodies_are_followed(tmp_path, joints):
    x = write_openpose(tmp_path / 'video', joints)
    (sequence,) = read(tmp_path / 'video')
    assert sequence.name == 'video'
    assert sequence.keypoints.shape == (2, 4, 18, 2)
    # They change places in the lists midway, but not in the slots.
    kept = [*range(8), *range(9, 19)] if joints == 25 else range(18)
    np.testing.assert_allclose(sequence.keypoints, x[:, :, kept, :2], 1e-6)
    np.testing.assert_allclose(sequence.score, x[:, :, kept, 2], 1e-6)
    assert sequence.body_ids.tolist() == [[1] * 4, [2] * 4]


def test_openpose_newcomers_get_ids_of_their_own(tmp_path):
    write_openpose(tmp_path, frames=6)
    file = tmp_path / 'video_000000000003_keypoints.json'
    file.write_text(json.dumps({'people': []}))  # For a frame, nobody is seen.
    (sequence,) = read(tmp_path)
    assert sequence.body_ids[:, 2].tolist() == [1, 2]
    assert sequence.present[:, 3].tolist() == [False, False]
    assert sorted(sequence.body_ids[:, 4].tolist()) == [3, 4]


# A user's own recordings -------------------------------------------------------


def test_folder(tmp_path):
    write_folder(tmp_path)
    reader = read(tmp_path)
    assert list(reader.names) == ['a', 'b', 'c']
    assert list(reader.classes) == ['fall', 'run']
    assert reader.splits == {'train': ['a', 'b'], 'test': ['c']}
    assert [sequence.label for sequence in reader] == [1, 0, 1]
    assert [s.keypoints.shape[:2] for s in reader] == [(1, 6), (1, 8), (1, 4)]
    assert reader[0].image_size == (480, 640)
    assert reader[0].score.shape == (1, 6, 17)


def test_folder_of_skeleton_files_with_numbers_for_labels(tmp_path):
    (tmp_path / 'sub').mkdir()
    content = valid_skeletons()['one body']
    (tmp_path / 'sub/x.skeleton').write_bytes(content)
    (tmp_path / 'labels.csv').write_text('file, label\nsub/x.skeleton, 7\n')
    reader = read(tmp_path)
    assert (reader[0].name, reader[0].label) == ('sub/x', 7)
    assert reader.splits == {}
    assert list(reader.classes) == []


@pytest.mark.parametrize(
    ('table', 'message'),
    [
        ('', 'line 1: expected the columns file, label'),
        ('file,label\n', 'names no file'),
        ('name,label\na.npy,1\n', r'line 1: .*\(got name, label\)'),
        ('file,label\na.npy,1\na.npy,2\n', "line 3: 'a' has a line already"),
        ('file,label\na.mp4,1\n', 'line 2: expected a file that ends in .npz'),
        ('file,label\na.npy\n', 'line 2: expected 2 columns'),
        ('file,label\na.npy,1,2,3\n', 'line 2: expected 2 columns'),
        ('file,label\n"a.npy,1\n', 'line 2'),
        ('file,label\na.npy,' + '9' * 30 + '\n', 'line 2: 9+ is no number of a class'),
    ],
)
def test_folder_tables_that_are_none(tmp_path, table, message):
    (tmp_path / 'labels.csv').write_text(table)
    with pytest.raises(SkeletonDataError, match=f'labels.csv.*{message}'):
        read(tmp_path)
    (tmp_path / 'labels.csv').write_bytes(b'file,label\n\xff,1')
    with pytest.raises(SkeletonDataError, match='byte 11: expected text in UTF-8'):
        read(tmp_path)


def test_folder_with_a_file_that_is_missing(tmp_path):
    (tmp_path / 'labels.csv').write_text('file,label\na.npy,1\n')
    with pytest.raises(
        SkeletonDataError, match=r'a.npy.* cannot be read .No such.*labels.csv names it'
    ):
        read(tmp_path)[0]


def test_mediapipe(tmp_path):
    rng = np.random.default_rng(0)
    landmarks = rng.random((6, 33, 5)).astype(np.float32)
    landmarks[2] = np.nan  # Nobody was found.
    np.save(tmp_path / 'pose.npy', landmarks)
    (sequence,) = read(tmp_path / 'pose.npy')
    assert sequence.keypoints.shape == (1, 6, 33, 3)
    assert not sequence.present[0, 2]
    assert sequence.score[0, 2].tolist() == [0] * 33
    np.testing.assert_array_equal(sequence.keypoints[0, 3], landmarks[3, :, :3])
    np.testing.assert_array_equal(sequence.score[0, 3], landmarks[3, :, 3])

    hands = rng.random((2, 6, 21, 3))
    np.savez(tmp_path / 'hands.npz', landmarks=hands, label=4)
    (sequence,) = read(tmp_path / 'hands.npz')
    assert (sequence.keypoints.shape, sequence.label) == ((2, 6, 21, 3), 4)
    assert sequence.score is None

    landmarks[3, 4] = np.nan
    with pytest.raises(SkeletonDataError, match='NaN'):
        from_landmarks(landmarks, 'pose')
    with pytest.raises(SkeletonDataError, match=r'expected landmarks of shape'):
        from_landmarks(landmarks[:, :30], 'pose')


# All of them --------------------------------------------------------------------


def test_unknown_formats_are_named_with_the_known_ones(tmp_path):
    (tmp_path / 'x.mp4').write_bytes(b'video')
    for path in (tmp_path / 'x.mp4', tmp_path):
        with pytest.raises(SkeletonDataError, match=r'no known format. Known are:\n'):
            read(path)
    with pytest.raises(FileNotFoundError, match='There is no'):
        read(tmp_path / 'nothing')


def test_readers_are_sequences(tmp_path):
    write_folder(tmp_path)
    reader = read(tmp_path)
    assert [sequence.name for sequence in reader[1:]] == ['b', 'c']
    assert reader[-1].name == 'c'
    with pytest.raises(IndexError):
        reader[3]
    assert repr(reader) == f"FolderReader('{tmp_path}', 3)"


def test_sequences_check_what_they_are_made_of():
    x = np.zeros((1, 2, 3, 2), np.float32)
    with pytest.raises(SkeletonDataError, match=r"'clip': expected keypoints of shape"):
        SkeletonSequence(x[0], 'clip')
    with pytest.raises(SkeletonDataError, match=r'expected score of shape \[1, 2, 3\]'):
        SkeletonSequence(x, 'clip', score=x)
    x[0, 1, 2, 0] = np.nan
    with pytest.raises(
        SkeletonDataError, match='1 keypoints are NaN.* body 0, frame 1'
    ):
        SkeletonSequence(x, 'clip')


def test_damaged_archives(tmp_path):
    file = tmp_path / 'x.zip'
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('a.skeleton', valid_skeletons()['one body'])
    content = bytearray(file.read_bytes())
    content[60:80] = bytes(20)
    file.write_bytes(content)
    with pytest.raises(SkeletonDataError, match=r'zip/a.skeleton.*cannot be unpacked'):
        read(file)[0]
    file.write_bytes(content[:-30])
    with pytest.raises(SkeletonDataError, match='no zip archive, or an incomplete one'):
        read(file)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / 'gone.skeleton').symlink_to(tmp_path / 'nowhere')
    with pytest.raises(SkeletonDataError, match='gone.skeleton. cannot be read .No s'):
        read(tmp_path)[0]
    table = tmp_path / 'labels.csv'
    table.write_text(f'file,label\n{"x" * 900}.npy,3\na.npz/b.npy,2\nc.json,0\n')
    (tmp_path / 'a.npz').mkdir()
    os.mkfifo(tmp_path / 'c.json')
    reader = read(tmp_path)
    for index in range(3):
        with pytest.raises(SkeletonDataError, match='(cannot be read|no regular file)'):
            reader[index]
    table.write_text(f'file,label\n{"x" * 5000}.npy,1\n')
    with pytest.raises(SkeletonDataError, match='line 2.*a name has 5,004 characters'):
        read(tmp_path)


def test_odd_values(tmp_path):
    """What fits the container, but not the place."""
    record = annotation(np.random.default_rng(0))
    for key, value, message in [
        ('total_frames', np.array([5, 5]), 'total_frames.: expected a whole number'),
        ('total_frames', 5.5, 'total_frames.: expected a whole number'),
        ('label', True, 'whole number from 0'),
        ('keypoint', np.full((1, 5, 25, 3), 1e300), 'NaN or infinite'),
        ('keypoint', np.full((1, 5, 25, 3), 'x'), 'array of <U1'),
    ]:
        file = tmp_path / 'x.pkl'
        file.write_bytes(pickle.dumps([{**record, key: value}]))
        with pytest.raises(SkeletonDataError, match=f'x.pkl.*{message}'):
            read(file)[0]
    np.savez(tmp_path / 'x.npz', a=np.zeros(3))
    (tmp_path / 'x.npz').rename(tmp_path / 'x.npy')  # An archive that says it is none.
    with pytest.raises(SkeletonDataError, match='no array of numpy'):
        read(tmp_path / 'x.npy')[0]
    write_official(tmp_path / 'official')
    x = np.full((3, 3, 4, 25, 2), 'text')
    np.save(tmp_path / 'official/val_data_joint.npy', x)
    with pytest.raises(SkeletonDataError, match='array of numbers .*got <U4'):
        read(tmp_path / 'official')
    write_kinetics(tmp_path / 'kinetics')
    deep = '[' * 800 + ']' * 800
    table = f'{{"aaa": {{"label_index": 0, "label": {deep}}}}}'
    (tmp_path / 'kinetics/kinetics_train_label.json').write_text(table)
    assert 'abseiling' in read(tmp_path / 'kinetics').classes


def test_a_crowd_is_no_hang(tmp_path):
    person = {'pose_keypoints_2d': [1, 2, 1] * 25}
    for frame, number in enumerate([200, 200, 201]):
        file = tmp_path / f'video_{frame:012d}_keypoints.json'
        file.write_text(json.dumps({'people': [person] * number}))
    with pytest.raises(SkeletonDataError, match='000000000002.*has 201 people'):
        read(tmp_path)[0]
    file.unlink()
    assert read(tmp_path)[0].keypoints.shape == (200, 2, 18, 2)
