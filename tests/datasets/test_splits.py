"""One default, ``'train'``, and None for all clips, whichever the data set."""

import inspect
import json
import warnings
import zipfile

import numpy as np
import pytest
from skeleton_files import pose, skeleton_text, write_ctrgcn, write_kinetics

import pyg_msg3d.datasets
from pyg_msg3d.data import SkeletonDataError, SkeletonDataWarning
from pyg_msg3d.datasets import (
    NTU60,
    NWUCLA,
    KineticsSkeleton,
    SkeletonFolder,
    SyntheticActions,
)


def folder(root, rows, header='file,label,split'):
    rng = np.random.default_rng(0)
    for row in rows:
        np.save(root / row.split(',')[0], rng.normal(size=(4, 17, 2)))
    (root / 'labels.csv').write_text('\n'.join([header, *rows]))
    return root


def ntu(root):
    rng = np.random.default_rng(0)
    (root / 'raw').mkdir(parents=True)
    for performer in (1, 2, 3):  # The third tests.
        name = f'S001C001P{performer:03d}R001A001.skeleton'
        text = skeleton_text([[(1, pose(rng))]] * 20)
        (root / 'raw' / name).write_bytes(text)
    return root


def nw_ucla(root):
    record = {'skeletons': [[[0.5] * 3] * 20] * 2, 'label': 1}
    with zipfile.ZipFile(root / 'all_sqe.zip', 'w') as file:
        for view in (1, 2, 3):
            name = f'all_sqe/a01_s01_e00_v{view:02d}.json'
            file.writestr(name, json.dumps(record))
    return root


def kinetics(root):
    write_kinetics(root / 'raw')
    return root


DATASETS = {
    'folder': lambda root, *split: SkeletonFolder(
        folder(root, ['a.npy,x,train', 'b.npy,y,train', 'c.npy,y,test']), *split
    ),
    'Kinetics': lambda root, *split: KineticsSkeleton(kinetics(root), *split),
    'NTU': lambda root, *split: NTU60(ntu(root), *split),
    'NW-UCLA': lambda root, *split: NWUCLA(nw_ucla(root), *split),
    'synthetic': lambda root, *split: SyntheticActions(
        *split, num_subjects=1, clips_per_subject=1
    ),
}


@pytest.mark.parametrize('name', DATASETS)
def test_a_training_set_by_default_and_all_clips_by_none(name, tmp_path_factory):
    make = DATASETS[name]

    def names(*split):
        return make(tmp_path_factory.mktemp('data'), *split).names

    assert names() == names('train')
    train, test = names('train'), names('test')
    assert len(train) > 0 < len(test)
    assert not {*train} & {*test}
    assert sorted(names(None)) == sorted([*train, *test])
    # Whichever the words: what there is instead is told, and None among it.
    with pytest.raises(ValueError, match="None for all .*'val'|'val'.*None for all"):
        names('val')


def test_every_data_set_has_the_same_default():
    found = {
        name: inspect.signature(thing).parameters['split'].default
        for name, thing in vars(pyg_msg3d.datasets).items()
        if inspect.isclass(thing) and 'split' in inspect.signature(thing).parameters
    }
    assert len(found) >= 6
    assert set(found.values()) == {'train'}


def test_clips_of_both_splits_are_those_of_each():
    arguments = {'num_subjects': 2, 'clips_per_subject': 1, 'seed': 3}
    both = SyntheticActions(None, **arguments)
    each = [
        *SyntheticActions('train', **arguments),
        *SyntheticActions('test', **arguments),
    ]
    for one, other in zip(both, each, strict=True):
        assert one.x.equal(other.x)
        assert one.name == other.name
    splits = [split for _, _, split in both.recordings()]
    assert splits == ['train'] * 26 + ['test'] * 26


def test_files_of_one_protocol_tell_all_their_clips(tmp_path):
    write_ctrgcn(tmp_path / 'NTU60_CS.npz')
    train, test, both = (NTU60(tmp_path, split) for split in ('train', 'test', None))
    assert len(train) > 0 < len(test)
    assert sorted(both.names) == sorted([*train.names, *test.names])


# Tables -----------------------------------------------------------------------


@pytest.mark.parametrize('header', ['file,label', 'file,label,split'])
def test_a_table_without_splits_is_taken_whole(header, tmp_path):
    empty = ',' * (header.count(',') - 1)
    folder(tmp_path, [f'a.npy,x{empty}', f'b.npy,y{empty}'], header)
    with warnings.catch_warnings():
        warnings.simplefilter('error', SkeletonDataWarning)
        for split in ((), ('train',), (None,)):
            assert SkeletonFolder(tmp_path, *split, num_workers=0).names == ['a', 'b']
    with pytest.raises(
        SkeletonDataError, match="no split 'test'; they have none.*None"
    ):
        SkeletonFolder(tmp_path, 'test', num_workers=0)


def test_recordings_in_no_split_are_not_left_out_silently(tmp_path):
    folder(tmp_path, ['a.npy,x,train', 'b.npy,y,', 'c.npy,y,test', 'd.npy,y,'])
    for split, expected in (('train', ['a']), ('test', ['c'])):
        with pytest.warns(SkeletonDataWarning, match="2 are in no split .*'b'.*None"):
            assert SkeletonFolder(tmp_path, split, num_workers=0).names == expected
    with warnings.catch_warnings():
        warnings.simplefilter('error', SkeletonDataWarning)
        everything = SkeletonFolder(tmp_path, None, num_workers=0)
    assert everything.names == ['a', 'b', 'c', 'd']


def test_other_names_of_splits_are_refused_and_told(tmp_path):
    """Which of them trains is not guessed."""
    folder(tmp_path, ['a.npy,x,fold1', 'b.npy,y,fold2'])
    message = "no split 'train'; they have 'fold1', 'fold2'. Say one .* split=None"
    with pytest.raises(SkeletonDataError, match=message):
        SkeletonFolder(tmp_path, num_workers=0)
    assert SkeletonFolder(tmp_path, 'fold2', num_workers=0).names == ['b']
