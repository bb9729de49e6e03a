"""Formats of pose estimators and data sets, each against what its generator wrote."""

import json
import pickle
import zipfile

import numpy as np
import pose_files
import pytest
from pose_files import FORMATS, FRAMES, only_file

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io import read
from pyg_msg3d.skeletons import Skeleton, skeleton

ALL = [pytest.param(write, name, id=write.__name__) for write, name in FORMATS.items()]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.filterwarnings('ignore:Of 1662')
@pytest.mark.parametrize(('write', 'name'), ALL)
def test_what_was_written_is_read(tmp_path, rng, write, name):
    path, x, score = write(tmp_path, rng)
    reader = read(path)
    assert reader.skeleton == name
    sequence = reader[0]
    np.testing.assert_allclose(sequence.keypoints, x, rtol=1e-5, atol=2e-6)
    if score is None:
        assert sequence.score is None
    else:
        np.testing.assert_allclose(sequence.score, score, rtol=1e-5, atol=1e-6)
    again = pickle.loads(pickle.dumps(reader))[0]  # To another process.
    np.testing.assert_array_equal(again.keypoints, sequence.keypoints)


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(('write', 'name'), ALL)
@pytest.mark.parametrize('kind', ['cut', 'empty', 'noise'])
def test_broken_files_are_refused_by_name(tmp_path, rng, write, name, kind):
    """Or read, where what is left is a file of fewer frames."""
    path, *_ = write(tmp_path, rng)
    file = only_file(path)
    content = file.read_bytes()
    broken = {
        'cut': content[: len(content) * 3 // 5],
        'empty': b'',
        'noise': rng.integers(0, 256, 400, np.uint8).tobytes(),
    }[kind]
    file.write_bytes(broken)
    found, message = [], None
    try:
        found = [*read(path)]
    except SkeletonDataError as error:
        message = str(error)
    if message is None:
        assert all(np.isfinite(sequence.keypoints).all() for sequence in found)
        assert kind == 'cut' or not path.is_file()
    else:
        assert file.name in message or path.name in message


def test_joints_are_taken_by_name(tmp_path, rng):
    """All of OpenPose's body, hands, or a skeleton of one's own."""
    path, x, score = pose_files.openpose_hands(tmp_path, rng, keep=137)
    for name, count in (('openpose-25', 25), ('openpose-67', 67)):
        reader = read(path, skeleton=name)
        assert reader.skeleton == name
        np.testing.assert_allclose(reader[0].keypoints, x[:, :, :count], rtol=1e-5)
    own = Skeleton('own', ['face 3', 'left wrist'], [(0, 1)])
    reader = read(path, skeleton=own)
    np.testing.assert_allclose(reader[0].keypoints, x[:, :, [67 + 3, 7]], rtol=1e-5)
    np.testing.assert_allclose(reader[0].score, score[:, :, [67 + 3, 7]], rtol=1e-5)


def test_mp_data_names_classes_and_orders_frames(tmp_path, rng):
    pose_files.mp_data(tmp_path, rng)
    root = tmp_path / 'MP_Data'
    for name in ('thanks/0', 'thanks/10'):
        (root / name).mkdir(parents=True)
        np.save(root / name / '0.npy', np.ones(1662))
    with pytest.warns(UserWarning, match='the face is left out'):
        reader = read(root)
    assert reader.classes == ['hello', 'thanks']
    assert reader.names == ['hello/0', 'thanks/0', 'thanks/10']
    assert [sequence.label for sequence in reader] == [0, 1, 1]
    np.save(root / 'thanks/0/1.npy', np.ones(1661))
    with pytest.raises(SkeletonDataError, match=r'1.npy.*1662 numbers.*got 1661'):
        read(root)[1]


def test_rows_of_landmarks_in_one_file(tmp_path, rng):
    path, x, score = pose_files.mp_data(tmp_path, rng)
    folder = path / 'hello/0'
    rows = [np.load(folder / f'{t}.npy') for t in range(12)]
    np.save(tmp_path / 'clip.npy', rows)
    with pytest.warns(UserWarning, match='the face is left out'):
        sequence = read(tmp_path / 'clip.npy')[0]
    np.testing.assert_allclose(sequence.keypoints, x, rtol=1e-6)
    np.testing.assert_allclose(sequence.score, score, rtol=1e-6)


def test_protocols_of_odd_and_even_subjects(tmp_path, rng):
    pytest.importorskip('scipy')
    for subject in (1, 2, 3):
        for action in (1, 27):
            folder = tmp_path / f'{subject}{action}'
            folder.mkdir()
            file, *_ = pose_files.utd_mhad(folder, rng)
            file.replace(tmp_path / f'a{action}_s{subject}_t1_skeleton.mat')
    reader = read(tmp_path)
    assert reader.splits == {
        'train': [f'a{a}_s{s}_t1_skeleton' for a in (1, 27) for s in (1, 3)],
        'test': ['a1_s2_t1_skeleton', 'a27_s2_t1_skeleton'],
    }
    assert len(reader.classes) == 27
    assert {sequence.label for sequence in reader} == {0, 26}


def test_utkinect_has_several_recordings_in_a_file(tmp_path, rng):
    pose_files.utkinect(tmp_path, rng)
    reader = read(tmp_path)
    assert reader.names == ['s01_e01_walk', 's01_e01_sitDown']
    assert [sequence.label for sequence in reader] == [0, 1]
    (tmp_path / 'actionLabel.txt').write_text('s01_e01\nwalk: 1 x\n')
    with pytest.raises(SkeletonDataError, match='actionLabel.txt.*line 2'):
        read(tmp_path)
    file = tmp_path / 'joints/joints_s01_e01.txt'
    lines = file.read_text().splitlines()
    lines[3] += ' 7'
    file.write_text('\n'.join(lines))
    (tmp_path / 'actionLabel.txt').unlink()
    with pytest.raises(SkeletonDataError, match='line 4: expected 61 numbers'):
        read(tmp_path)[0]


def test_tables_of_several_recordings(tmp_path, rng):
    """By a column of files; by runs of one class, which is said."""
    header = [f'{axis}{v}' for v in range(33) for axis in 'xyz']
    x = rng.random((9, 99)).tolist()
    rows = [['video', 'frame', 'label', *header]]
    rows += [[f'v{i // 3}', i % 3, 'ab'[i // 6], *x[i]] for i in range(9)]
    path = pose_files.write_table(tmp_path / 'all.csv', rows)
    reader = read(path)
    assert (reader.names, reader.classes) == (['v0', 'v1', 'v2'], ['a', 'b'])
    assert [sequence.label for sequence in reader] == [0, 0, 1]
    np.testing.assert_allclose(reader[1].keypoints[0].reshape(3, 99), x[3:6], rtol=1e-5)
    rows = [['class', *header], *[['aab'[i // 3], *x[i]] for i in range(9)]]
    path = pose_files.write_table(tmp_path / 'coords.csv', rows)
    with pytest.warns(UserWarning, match='Rows in a row with one class'):
        reader = read(path)
    assert [sequence.num_frames for sequence in reader] == [6, 3]
    rows[4][5] = 'high'
    pose_files.write_table(path, rows)
    with pytest.raises(SkeletonDataError, match="line 5: expected a number .*'high'"):
        read(path)
    pose_files.write_table(path, [*rows[:3], rows[3][:-1]])
    with pytest.raises(SkeletonDataError, match='line 4: expected 100 columns'):
        read(path)


def test_a_missing_frame_has_nobody_in_it(tmp_path, rng):
    path, *_ = pose_files.pose2sim(tmp_path, rng)
    (path / 'cam01_json/cam01_000004.json').unlink()
    sequence = read(path)[0]
    assert sequence.name == 'cam01'
    assert sequence.num_frames == FRAMES
    assert not sequence.present[:, 4].any()


def test_people_are_followed(tmp_path, rng):
    """Without ids, by where they are, whatever order a frame lists them in."""
    x, score = pose_files.pixels(rng, 2, 17)
    frames = [
        pose_files._instances(x, score, t)[:: 1 if t % 2 == 0 else -1]
        for t in range(FRAMES)
    ]
    path = tmp_path / 'video.json'
    path.write_text(json.dumps(frames))
    np.testing.assert_allclose(read(path)[0].keypoints, x, rtol=1e-5)


def test_two_videos_in_one_document(tmp_path, rng):
    x, score = pose_files.pixels(rng, 1, 17)
    entries = [
        {'image_id': f'{video}_{t:03d}.jpg', 'category_id': 1, 'score': 1,
         'keypoints': pose_files.triples(x[0, t], score[0, t])}
        for video in ('a', 'b') for t in range(FRAMES)
    ]  # fmt: skip
    path = tmp_path / 'alphapose-results.json'
    path.write_text(json.dumps(entries))
    reader = read(path)
    assert reader.names == ['a', 'b']
    np.testing.assert_allclose(reader[1].keypoints, x, rtol=1e-5)


# Hostile files -----------------------------------------------------------------


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), 'w'))


def test_pickled_arrays_run_no_code(tmp_path):
    trap = tmp_path / 'trap'
    for content in (Trap(trap), {'skel_body0': Trap(trap)}, [Trap(trap)]):
        file = tmp_path / 'S001C001P001R001A001.skeleton.npy'
        np.save(file, np.array(content, dtype=object), allow_pickle=True)
        with pytest.raises(SkeletonDataError, match=r'npy.*cannot be unpickled'):
            read(file)
    assert not trap.exists()


def test_matlab_files_do_not_unfold(tmp_path):
    savemat = pytest.importorskip('scipy.io').savemat
    file = tmp_path / 'a1_s1_t1_skeleton.mat'
    savemat(file, {'d_skel': np.zeros((20, 3, 400_000))}, do_compression=True)
    assert file.stat().st_size < 1 << 20
    with pytest.raises(SkeletonDataError, match='compressed bytes would unfold'):
        read(file)
    savemat(file, {'d_skel': np.array([[1, 'a']], object)})
    with pytest.raises(SkeletonDataError, match="expected 'd_skel' of shape"):
        read(file)
    savemat(file, {'other': np.zeros((20, 3, 4))})
    with pytest.raises(SkeletonDataError, match="expected 'd_skel' of shape"):
        read(file)


# Folders -----------------------------------------------------------------------


def clip(folder, name, rng, joints=17):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, rng.normal(size=(8, joints, 3)))


def test_folders_are_classes(tmp_path, rng):
    for name in ('walk/a.npy', 'walk/b.npy', 'fall/a.npy', 'loose.npy'):
        clip(tmp_path, name, rng)
    with pytest.warns(UserWarning, match='taken for classes: fall, walk'):
        reader = read(tmp_path)
    assert reader.classes == ['fall', 'walk']
    assert reader.names == ['fall/a', 'loose', 'walk/a', 'walk/b']
    assert [sequence.label for sequence in reader] == [0, None, 1, 1]
    for name in ('train/walk/a.npy', 'val/walk/b.npy', 'val/fall/b.npy'):
        clip(tmp_path / 'split', name, rng)
    with pytest.warns(UserWarning, match='taken for classes: fall, walk'):
        reader = read(tmp_path / 'split')
    assert reader.splits == {
        'train': ['train/walk/a'], 'test': ['val/fall/b', 'val/walk/b'],
    }  # fmt: skip


def test_folders_of_frames_in_folders_of_classes(tmp_path, rng):
    for label in ('sit', 'stand'):
        for video in ('one', 'two'):
            folder = tmp_path / label / video
            folder.mkdir(parents=True)
            path, x, _ = pose_files.openpose_body(folder, rng)
            for file in path.iterdir():
                file.replace(folder / file.name)
            path.rmdir()
    for table in (False, True):
        if table:
            (tmp_path / 'labels.csv').write_text(
                'file,label\nsit/one,sit\nsit/two,sit\nstand/one,stand\nstand/two,stand\n'
            )
            reader = read(tmp_path)
        else:
            with pytest.warns(UserWarning, match='taken for classes: sit, stand'):
                reader = read(tmp_path)
        assert reader.names == ['sit/one', 'sit/two', 'stand/one', 'stand/two']
        assert reader.skeleton == 'openpose-18'
        assert [sequence.label for sequence in reader] == [0, 0, 1, 1]
        np.testing.assert_allclose(reader[3].keypoints, x, rtol=1e-5)


def test_labels_name_anything_that_is_known(tmp_path, rng):
    pose_files.csv_numbered(tmp_path, rng)
    header = [f'{axis}{v}' for v in range(33) for axis in 'xyz']
    rows = [['video', *header], *[[f'v{i}', *rng.random(99)] for i in (1, 2)]]
    pose_files.write_table(tmp_path / 'two.csv', rows)
    _, x, _ = pose_files.mediapipe_lists(tmp_path, rng)
    (tmp_path / 'labels.csv').write_text(
        'file,label\na.csv,a\ntwo.csv,b\nposes.json,a\n'
    )
    reader = read(tmp_path)
    assert reader.names == ['a', 'two/v1', 'two/v2', 'poses']
    assert [sequence.label for sequence in reader] == [0, 1, 1, 0]
    assert reader.skeleton == 'mediapipe-pose-33'
    np.testing.assert_allclose(reader[3].keypoints, x, rtol=1e-5)


def test_files_of_other_joints_are_refused(tmp_path, rng):
    pose_files.csv_numbered(tmp_path, rng)
    pose_files.coco_results(tmp_path, rng)
    (tmp_path / 'labels.csv').write_text(
        'file,label\na.csv,a\nperson_keypoints.json,b\n'
    )
    with pytest.raises(SkeletonDataError, match="joints of 'coco-17', but other"):
        read(tmp_path)[1]


def test_archives_of_the_same(tmp_path, rng):
    path, x, _ = pose_files.easymocap(tmp_path, rng)
    with zipfile.ZipFile(tmp_path / 'all.zip', 'w') as archive:
        for file in path.iterdir():
            archive.write(file, f'keypoints3d/{file.name}')
    np.testing.assert_allclose(read(tmp_path / 'all.zip')[0].keypoints, x, rtol=1e-5)


def test_skeletons_of_the_formats_have_their_joints():
    assert skeleton('utd-mhad-20').joints[:4] == (
        'head', 'shoulder centre', 'spine', 'hip centre',
    )  # fmt: skip
    msr = skeleton('msr-action3d-20')
    published = [(20, 3), (1, 3), (2, 3), (1, 8), (8, 10), (10, 12), (2, 9), (9, 11),
                 (11, 13), (3, 4), (4, 7), (7, 5), (7, 6), (5, 14), (6, 15), (14, 16),
                 (15, 17), (16, 18), (17, 19)]  # fmt: skip
    ours = {frozenset(bone) for bone in msr.bones}
    assert ours == {frozenset((u - 1, v - 1)) for u, v in published}
    assert msr.joints[8] == 'right elbow'
