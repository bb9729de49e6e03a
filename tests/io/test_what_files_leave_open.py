"""What was not seen is one thing in all formats; what files do not tell is asked for,
or assumed and said."""

import json
import pickle
import warnings

import numpy as np
import pytest
from skeleton_files import annotation, skeleton_text, write_official

from pyg_msg3d.data import SkeletonDataError, SkeletonDataWarning
from pyg_msg3d.datasets import SkeletonFolder
from pyg_msg3d.io import SkeletonSequence, read
from pyg_msg3d.skeletons import guess_skeleton

RNG = np.random.default_rng(0)


def silently(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter('error', SkeletonDataWarning)
        return read(path, **options)[0]


# Missing is one thing -----------------------------------------------------------


def json_file(folder, value, score=None):
    """Two persons for three frames, of whom the second lacks ``value``'s place: a
    number, a joint, a body, or a frame of it."""
    record = {'keypoints': value}
    if score is not None:
        record['score'] = score
    (folder / 'x.json').write_text(json.dumps(record))
    return folder / 'x.json'


@pytest.mark.parametrize('dims', [2, 3])
@pytest.mark.parametrize(
    'missing', [None, [None, None, None], [0, 0, 0], [-1, -1, -1], 'no confidence']
)
def test_a_joint_that_was_not_seen_is_zero(tmp_path, dims, missing):
    x = RNG.uniform(20, 400, (2, 3, 17, dims)).tolist()
    score = np.full((2, 3, 17), 0.5).tolist()
    x[1][2][5] = missing[:dims] if isinstance(missing, list) else missing
    if missing == 'no confidence':
        x[1][2][5], score[1][2][5] = [7.0] * dims, 0
    sequence = silently(json_file(tmp_path, x, score))
    assert sequence.keypoints[1, 2, 5].tolist() == [0] * dims
    assert sequence.score[1, 2, 5] == 0
    seen = np.ones((2, 3, 17), bool)
    seen[1, 2, 5] = False
    assert (sequence.keypoints != 0).all(-1).tolist() == seen.tolist()
    assert (sequence.score > 0).tolist() == seen.tolist()


@pytest.mark.parametrize('dims', [2, 3])
@pytest.mark.parametrize('value', [np.nan, -1, 0])
@pytest.mark.parametrize('ending', ['npy', 'npz', 'pkl', 'official'])
def test_a_body_that_was_not_seen_is_zero(tmp_path, dims, value, ending):
    joints = {2: 18, 3: 25}[dims]
    x = RNG.uniform(20, 400, (2, 6, joints, dims)).astype('f4')
    x[1, 2] = x[0, 4] = value
    if ending == 'npy':
        np.save(tmp_path / 'x.npy', x)
    elif ending == 'npz':
        np.savez(tmp_path / 'x.npz', keypoints=x)
    elif ending == 'pkl':
        record = {'frame_dir': 'a', 'keypoint': x, 'total_frames': 6, 'label': 0}
        (tmp_path / 'x.pkl').write_bytes(pickle.dumps([record]))
    else:
        write_official(tmp_path, joints)
        channels = np.full((1, 3, 6, joints, 2), 0.7, 'f4')
        channels[0, :dims] = x.transpose(3, 1, 2, 0)
        np.save(tmp_path / 'val_data_joint.npy', channels)
        label = (['S001C001P001R001A001'], [0])
        (tmp_path / 'val_label.pkl').write_bytes(pickle.dumps(label))
    name = 'val_data_joint.npy' if ending == 'official' else f'x.{ending}'
    present = np.ones((2, 6), bool)
    present[1, 2] = present[0, 4] = False
    sequence = read(tmp_path / name)[0]
    assert sequence.present.tolist() == present.tolist()
    if sequence.score is not None:
        assert (sequence.score > 0).all(-1).tolist() == present.tolist()


def test_nan_among_joints_that_were_seen_is_an_error_with_its_place(tmp_path):
    for place in [(1, 2, 3), (1, 2, 3, 0)]:
        x = RNG.uniform(20, 400, (2, 6, 17, 3))
        x[place] = np.nan
        np.save(tmp_path / 'x.npy', x)
        with pytest.raises(SkeletonDataError, match='body 1, frame 2, joint 3'):
            read(tmp_path / 'x.npy')
    x = RNG.uniform(20, 400, (2, 6, 17, 2)).tolist()
    x[1][2][3] = [4, None]
    with pytest.raises(SkeletonDataError, match='null in part'):
        read(json_file(tmp_path, x))


def test_nan_in_columns_that_nobody_uses(tmp_path):
    text = skeleton_text([[(1, RNG.normal(size=(25, 3)))]] * 2).split(b'\r\n')
    file = tmp_path / 'x.skeleton'
    for column, word in [(3, b'NaN'), (6, b'-nan(ind)'), (8, b'1.#QNAN'), (10, b'inf')]:
        fields = text[9].split(b' ')
        fields[column] = word
        file.write_bytes(b'\r\n'.join([*text[:9], b' '.join(fields), *text[10:]]))
        expected = np.array(fields[:3], 'f4')
        np.testing.assert_array_equal(read(file)[0].keypoints[0, 0, 5], expected)
    for column in (0, 1, 2, 11):
        fields = text[9].split(b' ')
        fields[column] = b'nan'
        file.write_bytes(b'\r\n'.join([*text[:9], b' '.join(fields), *text[10:]]))
        with pytest.raises(SkeletonDataError, match=r"x.skeleton', line 10"):
            read(file)


def test_nulls_do_not_unfold(tmp_path):
    """A long list and many nulls beside it would be a large array."""
    path = json_file(tmp_path, [[[0.5] * 30_000] + [None] * 30_000])
    with pytest.raises(SkeletonDataError, match='is null'):
        read(path)


# Layouts -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ('shape', 'said'),
    [
        ((3, 300, 25, 2), "3 persons x 300 frames.*'MTVC'.*3 coordinates.*'CTVM'"),
        ((300, 2, 25, 3), "300 persons x 2 frames.*'MTVC'.*300 frames.*'TMVC'"),
        ((3, 300, 25), "'CTV'.*'CVT'"),
        ((3, 300, 25, 8), "'CTVM'"),
        ((300, 75), 'expected key points of shape'),
        ((9, 3, 300, 25, 2), "'NCTVM'.*'NMTVC'"),
    ],
)
def test_arrays_that_may_be_several_things_are_refused(tmp_path, shape, said):
    np.save(tmp_path / 'x.npy', RNG.normal(size=shape))
    with pytest.raises(SkeletonDataError, match=f'x.npy.*{said}'):
        read(tmp_path / 'x.npy')


@pytest.mark.parametrize('layout', ['MTVC', 'CTVM', 'TMVC', 'VCTM', 'TVC', 'CTV'])
def test_named_layouts(tmp_path, layout):
    x = RNG.normal(size=(2, 6, 17, 3)).astype('f4')
    x = x if 'M' in layout else x[:1]
    full = dict(zip('MTVC', range(4), strict=True))
    array = x.transpose([full[c] for c in layout] + ([] if 'M' in layout else [0]))
    array = array if 'M' in layout else array[..., 0]
    np.save(tmp_path / 'x.npy', array)
    sequence = silently(tmp_path / 'x.npy', layout=layout)
    np.testing.assert_array_equal(sequence.keypoints, x)
    # A file may say it itself, and has its scores in the same order.
    plain = layout.replace('C', '')
    score = array.mean(layout.index('C'))
    np.savez(tmp_path / 'x.npz', keypoints=array, layout=layout, score=score)
    again = silently(tmp_path / 'x.npz')
    np.testing.assert_array_equal(again.keypoints, x)
    np.testing.assert_allclose(again.score, x.mean(-1), rtol=1e-5)
    assert len(plain) == score.ndim
    (tmp_path / 'labels.csv').write_text('file,label\nx.npy,a\n')
    folder = SkeletonFolder(tmp_path, layout=layout, num_workers=0)
    np.testing.assert_array_equal(folder[0].x, x)


def test_names_of_layouts_are_checked(tmp_path):
    np.save(tmp_path / 'x.npy', RNG.normal(size=(4, 17, 2)))
    with pytest.raises(SkeletonDataError, match="'layout' must name .*got 'NTVC'"):
        read(tmp_path / 'x.npy', layout='NTVC')
    with pytest.raises(SkeletonDataError, match="4 dimensions, as layout='MTVC'"):
        read(tmp_path / 'x.npy', layout='MTVC')
    with pytest.raises(SkeletonDataError, match="'coordinates' must be one of xy, xyz"):
        read(tmp_path / 'x.npy', coordinates='yx')
    with pytest.raises(SkeletonDataError, match='3 numbers a joint, as coord'):
        read(tmp_path / 'x.npy', coordinates='xyc')
    (tmp_path / 'a.skeleton').write_bytes(skeleton_text([[]]))
    with pytest.raises(ValueError, match='leaves nothing open for layout'):
        read(tmp_path / 'a.skeleton', layout='TVC')


def test_a_confidence_beside_pixels(tmp_path):
    x = np.concatenate([RNG.uniform(9, 900, (6, 17, 2)), RNG.random((6, 17, 1))], 2)
    np.save(tmp_path / 'x.npy', x)
    with pytest.warns(SkeletonDataWarning, match="coordinates='xyz' if it is"):
        sequence = read(tmp_path / 'x.npy')[0]
    assert sequence.keypoints.shape == (1, 6, 17, 2)
    np.testing.assert_allclose(sequence.score[0], x[..., 2], rtol=1e-6)
    assert silently(tmp_path / 'x.npy', coordinates='xyc').score is not None
    assert silently(tmp_path / 'x.npy', coordinates='xyz').keypoints.shape[3] == 3
    np.save(tmp_path / 'x.npy', RNG.random((6, 17, 3)))
    with pytest.warns(SkeletonDataWarning, match="coordinates='xyc' if it is a conf"):
        assert read(tmp_path / 'x.npy')[0].keypoints.shape == (1, 6, 17, 3)


def test_what_is_assumed_of_a_data_set_is_said_once(tmp_path):
    rows = ['file,label']
    for number in range(80):
        x = np.concatenate([RNG.uniform(9, 900, (6, 17, 2)), RNG.random((6, 17, 1))], 2)
        np.save(tmp_path / f'{number:02d}.npy', x)
        rows.append(f'{number:02d}.npy,{"ab"[number % 2]}')
    (tmp_path / 'labels.csv').write_text('\n'.join(rows))
    for workers in (0, 2):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter('always')
            clips = SkeletonFolder(tmp_path, num_workers=workers, force_reload=True)
        texts = [str(w.message) for w in said if w.category is SkeletonDataWarning]
        assert len(texts) == 1
        assert "confidence; coordinates='xyz'" in texts[0]
        assert "(first in '00')" in texts[0]
        assert len(clips.report['assumed']) == 1
        assert clips[0].score.shape == (1, 6, 17)


# Skeletons, labels ---------------------------------------------------------------


@pytest.mark.parametrize(
    ('joints', 'dims', 'candidates'),
    [(20, 3, 'kinect-20.*msr'), (20, 2, 'kinect-20'), (25, 2, 'ntu-rgb.*BODY_25'),
     (17, 3, 'h36m-17.*coco-17'), (7, 3, 'pass yours as')],
)  # fmt: skip
def test_joints_of_several_skeletons_are_refused(tmp_path, joints, dims, candidates):
    np.save(tmp_path / 'x.npy', RNG.normal(size=(4, joints, dims)))
    (tmp_path / 'labels.csv').write_text('file,label\nx.npy,a\n')
    clips = SkeletonFolder(tmp_path, num_workers=0)
    with pytest.raises(SkeletonDataError, match=candidates):
        _ = clips.skeleton


@pytest.mark.parametrize(
    ('joints', 'dims', 'name'),
    [(25, 3, 'ntu-rgb+d'), (17, 2, 'coco-17'), (18, 2, 'openpose-18')],
)
def test_assumed_skeletons_are_said(joints, dims, name):
    with pytest.warns(SkeletonDataWarning, match=f'{joints} joints.*skeleton=...'):
        assert guess_skeleton(joints, dims).name == name
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert guess_skeleton(133, 2).name == 'coco-wholebody-133'


def test_formats_tell_their_skeleton(tmp_path):
    (tmp_path / 'S001C001P001R001A001.skeleton').write_bytes(
        skeleton_text([[(1, RNG.normal(size=(25, 3)))]])
    )
    with warnings.catch_warnings():
        warnings.simplefilter('error', SkeletonDataWarning)
        assert SkeletonFolder(tmp_path, num_workers=0).skeleton.name == 'ntu-rgb+d'


def test_labels_that_may_count_from_one(tmp_path):
    rows = [f'{n}.npy,{1 + n % 3}' for n in range(6)]
    for n in range(6):
        np.save(tmp_path / f'{n}.npy', RNG.normal(size=(4, 17, 2)))
    (tmp_path / 'labels.csv').write_text('\n'.join(['file,label', *rows]))
    with pytest.raises(SkeletonDataError, match=r'1 to 3, .* first_label=1 or first_l'):
        read(tmp_path)
    for first, expected in ((0, [1, 2, 3]), (1, [0, 1, 2])):
        labels = [s.label for s in read(tmp_path, first_label=first)]
        assert labels == expected * 2
        clips = SkeletonFolder(tmp_path, first_label=first, num_workers=0)
        assert clips.labels.tolist() == labels
    records = [annotation(RNG, 2, f'clip{n}') | {'label': 1 + n} for n in range(3)]
    file = tmp_path / 'x.pkl'
    file.write_bytes(pickle.dumps(records))
    with pytest.raises(SkeletonDataError, match='first_label=1'):
        read(file)
    assert [s.label for s in read(file, first_label=1)] == [0, 1, 2]
    names = [f'S001C001P001R001A{n + 1:03d}' for n in range(3)]
    file.write_bytes(pickle.dumps([
        r | {'frame_dir': name} for r, name in zip(records, names, strict=True)
    ]))  # fmt: skip
    with pytest.raises(SkeletonDataError, match='actions of NTU RGB'):
        read(file)
    assert [s.label for s in read(file, first_label=1)] == [0, 1, 2]


@pytest.mark.parametrize('label', [None, -1, '', '-1'])
def test_recordings_without_a_label(tmp_path, label):
    record = {'keypoints': RNG.normal(size=(4, 17, 2)).tolist(), 'label': label}
    (tmp_path / 'x.json').write_text(json.dumps(record))
    assert read(tmp_path / 'x.json')[0].label is None
    a = annotation(RNG, 2, 'x') | {'label': label}
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps([a]))
    assert read(tmp_path / 'x.pkl')[0].label is None
    text = '' if label is None else label
    table = f'file,label\nx.json,{text}\ny.json,0\n'
    (tmp_path / 'labels.csv').write_text(table)
    (tmp_path / 'y.json').write_text(json.dumps(record))
    assert [s.label for s in read(tmp_path)] == [None, 0]
    assert SkeletonFolder(tmp_path, num_workers=0).labels.tolist() == [-1, 0]


def test_labels_inside_recordings_yield_to_the_table(tmp_path):
    for name, label in (('a', 'walk'), ('b', -1), ('c', 10**30), ('d', [1])):
        record = {'keypoints': RNG.normal(size=(4, 17, 2)).tolist(), 'label': label}
        (tmp_path / f'{name}.json').write_text(json.dumps(record))
    rows = [f'{name}.json,{word}' for name, word in zip('abcd', 'xyxy', strict=True)]
    (tmp_path / 'labels.csv').write_text('\n'.join(['file,label', *rows]))
    assert [s.label for s in read(tmp_path)] == [0, 1, 0, 1]
    with pytest.warns(SkeletonDataWarning, match='own label is text'):
        assert read(tmp_path / 'a.json')[0].label is None


def test_sequences_know_no_negative_size():
    with pytest.raises(SkeletonDataError, match='expected key points .got none'):
        SkeletonSequence(np.zeros((0, 10**12, 25, 3), np.float32), 'empty')
