import json
import zipfile

import pytest
import torch
from torch_geometric.loader import DataLoader

import pyg_msg3d.transforms as T
from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.datasets import NWUCLA

NAME = 'a01_s01_e00_v{}.json'


def record(frames=2, joints=20, label=1, value=0.5):
    return {'skeletons': [[[value] * 3] * joints] * frames, 'label': label}


def archive(folder, content=None, view=1):
    """An archive of one training sequence, or of the text given."""
    text = content if isinstance(content, str) else json.dumps(content or record())
    with zipfile.ZipFile(folder / 'all_sqe.zip', 'w') as file:
        file.writestr('all_sqe/', '')
        file.writestr(f'all_sqe/{NAME.format(f"{view:02d}")}', text)
    return folder / 'all_sqe.zip'


def test_the_real_archive(nw_ucla):
    splits = {split: NWUCLA(nw_ucla, split) for split in ('train', 'test')}
    assert len(splits['train']) == 1020
    assert len(splits['test']) == 464
    single = []
    for split, dataset in splits.items():
        assert dataset.num_classes == 10
        assert dataset.skeleton.name == 'kinect-20'
        assert {int(clip.y) for clip in dataset} == set(range(10))
        assert max(clip.x.size(1) for clip in dataset) <= 201
        single += [clip.name for clip in dataset if clip.x.size(1) == 1]
        views = {clip.name[-3:] for clip in dataset}
        assert views == ({'v01', 'v02'} if split == 'train' else {'v03'})
    assert sorted(single) == ['a02_s09_e04_v02', 'a02_s09_e04_v03']


def test_batches(tmp_path):
    dataset = NWUCLA(archive(tmp_path), transform=T.SampleFrames(4))
    batch = next(iter(DataLoader([dataset[0], dataset[0]], batch_size=2)))
    assert batch.x.shape == (2, 1, 4, 20, 3)
    assert batch.y.tolist() == [0, 0]
    assert batch.name == ['a01_s01_e00_v01'] * 2
    assert batch.num_graphs == 2
    assert dataset.clips[0].x.shape == (1, 2, 20, 3)  # The stored clip stays.


def test_archive_folder_and_unpacked_folder_are_the_same(tmp_path):
    path = archive(tmp_path)
    expected = NWUCLA(path)[0]
    assert NWUCLA(tmp_path)[0].x.equal(expected.x)
    with zipfile.ZipFile(path) as file:
        file.extractall(tmp_path)
    path.unlink()
    assert NWUCLA(tmp_path)[0].x.equal(expected.x)
    assert NWUCLA(tmp_path / 'all_sqe')[0].x.equal(expected.x)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"skeletons": [', 'line 1, column 16: not JSON'),
        ('[]', 'is not a sequence of NW-UCLA'),
        ('{}', "expected JSON with 'skeletons'"),
        ({'skeletons': [[[1, 2], [3]]], 'label': 1}, 'expected an array of numbers'),
        (record(joints=25), r'20 joints, 3\].*got \[2, 25, 3\]'),
        (record(frames=0), r'at least one frame .got \[0\]'),
        (record(label=11), r"'label' must be 1 to 10 .got 11"),
        (record(label=0), 'got 0'),
        (
            json.dumps(record()).replace('[[[0.5', '[[[NaN'),
            r'1 keypoints are NaN.*body 0, frame 0, joint 0',
        ),
        (record(value=float('inf')), 'infinite'),
    ],
)
def test_bad_sequences_are_named(content, message, tmp_path):
    archive(tmp_path, content)
    with pytest.raises(SkeletonDataError, match=rf'a01_s01_e00_v01.*{message}'):
        NWUCLA(tmp_path)


def test_bad_archives(tmp_path):
    with pytest.raises(FileNotFoundError, match='put all_sqe.zip'):
        NWUCLA(tmp_path)
    path = archive(tmp_path)
    whole = path.read_bytes()
    for content in (b'', whole[: len(whole) // 2], b'text'):
        path.write_bytes(content)
        with pytest.raises(SkeletonDataError, match=r'all_sqe.zip.*no zip archive'):
            NWUCLA(tmp_path)
        assert path.read_bytes() == content
    with zipfile.ZipFile(path, 'w'):
        pass
    with pytest.raises(SkeletonDataError, match='holds 0 sequences'):
        NWUCLA(tmp_path)
    archive(tmp_path)
    with pytest.raises(SkeletonDataError, match='holds 1 sequences, none of them'):
        NWUCLA(tmp_path, 'test')
    with pytest.raises(ValueError, match='one of train, test, or None'):
        NWUCLA(tmp_path, 'val')


def test_damaged_member(tmp_path):
    path = archive(tmp_path)
    content = bytearray(path.read_bytes())
    at = content.index(b'skeletons')
    content[at : at + 4] = b'XXXX'
    path.write_bytes(content)
    with pytest.raises(
        SkeletonDataError, match=r'a01_s01_e00_v01.json.*incomplete.*Bad CRC'
    ):
        NWUCLA(tmp_path)


def test_saved_clips_load_safely(tmp_path):
    clip = NWUCLA(archive(tmp_path))[0]
    torch.save(clip, tmp_path / 'clip.pt')
    loaded = torch.load(tmp_path / 'clip.pt', weights_only=True)
    assert loaded.x.equal(clip.x)
    assert loaded.name == clip.name
