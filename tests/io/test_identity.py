"""Every recording itself, whole and once, whatever it is called."""

import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from skeleton_files import (
    annotation,
    kinetics_clip,
    skeleton_text,
    write_ctrgcn,
    write_official,
)

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.datasets import NTU60, SkeletonFolder
from pyg_msg3d.io import JoinedReader, SkeletonSequence, read, write_folder

RNG = np.random.default_rng(0)
BODY = [(1, RNG.normal(size=(25, 3)))]


def frame(path, x0, people=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    pose = [v for j in range(25) for v in (x0 + j, 100.0 + 3 * j, 0.9)]
    path.write_text(json.dumps({'people': [{'pose_keypoints_2d': pose}] * people}))


@pytest.mark.parametrize(
    ('numbered', 'video'),
    [
        ('video_{:012d}_keypoints', 'video'),
        ('video.{:04d}', 'video'),
        ('frame{:04d}', 'frame'),
        ('frame{}', 'frame'),
        ('img{:05d}', 'img'),
        ('my video-{:04d}', 'my video'),
        ('video {}', 'video'),
        ('cam1_{}', 'cam1'),
        ('{:06d}', ''),
    ],
)
def test_frames_however_they_are_numbered(tmp_path, numbered, video):
    """Nine to eleven: in order of the number, not of the text. The tenth is missing."""
    for number in (8, 9, 11):
        for folder in ('walk', 'fall/take1'):
            frame(tmp_path / folder / f'{numbered.format(number)}.json', 10 * number)
    reader = read(tmp_path)
    expected = ['fall/take1', 'walk']
    assert reader.names == [f'{f}/{video}'.rstrip('/') for f in expected]
    for sequence in reader:
        assert sequence.keypoints[0, :, 0, 0].tolist() == [80, 90, 0, 110]
        assert sequence.score[0, 2].tolist() == [0] * 18


def test_a_frame_has_one_file(tmp_path):
    frame(tmp_path / 'v_1.json', 1)
    frame(tmp_path / 'v_01.json', 2)
    with pytest.raises(SkeletonDataError, match=r'v_01.json.*v_1.json.*both frame 1'):
        read(tmp_path)


def test_videos_of_a_frame_and_frames_of_a_video_are_told_apart(tmp_path):
    for number in (1, 2):
        frame(tmp_path / f'cam{number}.json', number)
    with pytest.raises(SkeletonDataError, match=r'cam1.json.*cam2.json.*two videos'):
        read(tmp_path)
    (tmp_path / 'cam2.json').unlink()
    assert read(tmp_path).names == ['cam1']


def test_videos_of_one_name_are_refused(tmp_path):
    frame(tmp_path / 'a' / 'b_0001.json', 1)
    frame(tmp_path / 'a' / 'b' / '0001.json', 2)
    with pytest.raises(SkeletonDataError, match="called 'a/b': .*0001.json"):
        read(tmp_path)


def test_a_sample_of_two_files_is_refused(tmp_path):
    name = 'S001C001P001R001A001'
    for folder in ('x', 'y'):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f'{name}.skeleton').write_bytes(skeleton_text([BODY]))
    with pytest.raises(SkeletonDataError, match=rf"'{name}': '.*x/.*' and '.*y/"):
        read(tmp_path)
    (tmp_path / 'y' / f'{name}.skeleton').rename(tmp_path / 'y/other.skeleton')
    assert read(tmp_path).names == [name, 'y/other']
    (tmp_path / 'x' / f'{name}.skeleton').rename(tmp_path / 'x/other.skeleton')
    assert read(tmp_path).names == ['x/other', 'y/other']


def test_clips_of_one_name_in_two_splits_of_kinetics(tmp_path):
    for split, first in (('train', 0.1), ('val', 0.7)):
        folder = tmp_path / f'kinetics_{split}'
        folder.mkdir()
        clip = kinetics_clip(RNG, [1])
        clip['data'][0]['skeleton'][0]['pose'][0] = first
        (folder / 'clip.json').write_text(json.dumps(clip))
        label = {'clip': {'has_skeleton': True, 'label': 'a', 'label_index': 1}}
        (tmp_path / f'kinetics_{split}_label.json').write_text(json.dumps(label))
    reader = read(tmp_path)
    assert reader.splits == {
        'train': ['kinetics_train/clip'], 'val': ['kinetics_val/clip'],
    }  # fmt: skip
    assert [s.keypoints[0, 0, 0, 0] for s in reader] == pytest.approx([0.1, 0.7])


def test_names_of_annotations_are_whole(tmp_path):
    records = [annotation(RNG, 2, f'{f}/clip') for f in ('walk', 'fall')]
    split = {'train': ['walk/clip'], 'test': ['fall/clip']}
    file = tmp_path / 'own.pkl'
    file.write_bytes(pickle.dumps({'annotations': records, 'split': split}))
    train, test = (SkeletonFolder(tmp_path, s, num_workers=0) for s in split)
    assert ([c.name for c in train], [c.name for c in test]) == (*split.values(),)
    assert not train[0].x.equal(test[0].x)
    file.write_bytes(pickle.dumps([records[0], records[0] | {'label': 0}]))
    with pytest.raises(SkeletonDataError, match='annotation 0.*annotation 1'):
        read(file)


def test_clips_of_one_name_in_the_authors_arrays(tmp_path):
    write_official(tmp_path)
    for ending in ('data_joint.npy', 'label.pkl'):
        content = (tmp_path / f'val_{ending}').read_bytes()
        (tmp_path / f'train_{ending}').write_bytes(content)
    with pytest.raises(SkeletonDataError, match=r'train_data.*clip 0.*val_data'):
        read(tmp_path)


def test_several_files_have_no_name_in_common(tmp_path):
    for name in ('a.npz', 'b.npz'):
        write_ctrgcn(tmp_path / name)
    with pytest.raises(SkeletonDataError, match=r"'train_000000': '.*a.npz'.*b.npz"):
        JoinedReader([tmp_path / 'a.npz', tmp_path / 'b.npz'])
    with pytest.raises(SkeletonDataError, match='train_000000'):
        NTU60(tmp_path)


def test_two_rows_of_one_file_are_refused(tmp_path):
    np.save(tmp_path / 'a.npy', RNG.normal(size=(4, 17, 2)))
    (tmp_path / 'labels.csv').write_text('file,label\na.npy,x\n./a.npy,y\n')
    with pytest.raises(SkeletonDataError, match="line 3: 'a' has a line already, line"):
        read(tmp_path)


def test_junk_and_what_we_wrote_ourselves_is_passed_over(tmp_path):
    for folder in ('', 'video/'):
        for t in range(3):
            frame(tmp_path / f'{folder}v_{t:04d}.json', t)
    for junk in ('._v_0000.json', '.DS_Store', '__MACOSX/x.json', '.git/x.json'):
        (tmp_path / junk).parent.mkdir(exist_ok=True)
        (tmp_path / junk).write_bytes(b'\0\5\x16\7')
    runs = {
        'run': ('arguments.json', 'environment.json', 'metrics.json'),
        'tested': ('result.json', 'scores.npz'),
        'processed/x': ('index.npz', 'report.json', 'keypoints.npy'),
        'processed/y.unfinished': ('journal.jsonl', 'other.json'),
    }
    for folder, files in runs.items():
        (tmp_path / folder).mkdir(parents=True)
        for file in files:
            (tmp_path / folder / file).write_text('{}')
    assert read(tmp_path).names == ['v', 'video/v']
    os.mkfifo(tmp_path / 'v_0003.json')
    with pytest.raises(SkeletonDataError, match=r'v_0003.json. is no regular file'):
        read(tmp_path)[0]
    with zipfile.ZipFile(tmp_path / 'x.zip', 'w') as archive:
        for name in ('a/v_1.json', '__MACOSX/a/._v_1.json', 'a/.DS_Store'):
            archive.write(tmp_path / 'v_0000.json', name)
    assert read(tmp_path / 'x.zip').names == ['a/v']


def whatever(name='clip', **kwargs):
    kwargs = {'keypoints': RNG.normal(size=(2, 3, 17, 2)).astype('f4'), **kwargs}
    return SkeletonSequence(name=name, **kwargs)


@pytest.mark.parametrize('shape', [(3, 4, 25, 2), (2, 4, 25, 3), (1, 4, 33, 3),
                                   (12, 2, 17, 2), (0, 4, 17, 3)])  # fmt: skip
@pytest.mark.parametrize('scored', [False, True])
def test_what_was_read_can_be_written_and_read_again(tmp_path, shape, scored):
    x = RNG.uniform(1, 9, shape).astype('f4')
    ids = np.arange(shape[0] * shape[1]).reshape(shape[:2])
    sequences = [
        SkeletonSequence(
            x, 'a/b/clip',
            score=RNG.uniform(0.1, 1, shape[:3]).astype('f4') if scored else None,
            image_size=(480, 640) if shape[-1] == 2 else None,
            body_ids=ids if scored else None,
        ),
        SkeletonSequence(x + 1, 'clip', label=0),
    ]  # fmt: skip
    write_folder(tmp_path, [(sequences[0], None, None), (sequences[1], 'run', 'test')])
    reader = read(tmp_path)
    assert list(reader.names) == ['a/b/clip', 'clip']
    assert reader.splits == {'test': ['clip']}
    for ours, theirs in zip(reader, sequences, strict=True):
        assert (ours.label, ours.image_size) == (theirs.label, theirs.image_size)
        for field in ('keypoints', 'score', 'body_ids'):
            np.testing.assert_array_equal(getattr(ours, field), getattr(theirs, field))
    with pytest.raises(SkeletonDataError, match='no name for a file in'):
        write_folder(tmp_path, [(whatever('../out'), 'a', '')])
    with pytest.raises(SkeletonDataError, match="Two recordings are called 'clip'"):
        write_folder(tmp_path, [(whatever(), 'a', ''), (whatever(), 'b', '')])
