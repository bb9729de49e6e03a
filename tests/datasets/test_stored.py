"""The data sets that are processed: NTU RGB+D, Kinetics-skeleton, a user's own."""

import pickle
import time
import tracemalloc
import zipfile
from collections import Counter

import numpy as np
import pytest
import torch
from skeleton_files import (
    BODY_ID,
    annotation,
    corrupt_skeletons,
    pose,
    skeleton_text,
    write_ctrgcn,
    write_folder,
    write_kinetics,
    write_official,
)
from torch_geometric.loader import DataLoader

import pyg_msg3d.transforms as T
from pyg_msg3d import MSG3D, Skeleton
from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.datasets import NTU60, NTU120, KineticsSkeleton, SkeletonFolder
from pyg_msg3d.datasets.ntu.protocols import (
    PROTOCOLS,
    missing_samples,
    samples,
    split_of,
)
from pyg_msg3d.datasets.processing import how_made
from pyg_msg3d.datasets.store import ClipStore, StoreWriter, _checksum
from pyg_msg3d.io import SampleName
from pyg_msg3d.io.ntu import class_names

# Which samples there are -------------------------------------------------------


@pytest.mark.parametrize(
    ('benchmark', 'protocol', 'train', 'test'),
    [
        (60, 'xsub', 40_091, 16_487),
        (60, 'xview', 37_646, 18_932),
        (120, 'xsub', 63_026, 50_919),
        (120, 'xset', 54_468, 59_477),
    ],
)
def test_published_counts(benchmark, protocol, train, test):
    names = map(SampleName.parse, samples(benchmark))
    counts = Counter(split_of(name, protocol) for name in names)
    assert counts == {'train': train, 'test': test}


def test_one_shot_protocol():
    names = [SampleName.parse(name) for name in samples(120)]
    splits = {'train': [], 'exemplar': [], 'test': []}
    for name in names:
        splits[split_of(name, 'oneshot')].append(name)
    novel = set(range(1, 121, 6))
    assert {name.action for name in splits['exemplar']} == novel
    assert {name.action for name in splits['test']} == novel
    assert len(splits['exemplar']) == 20
    assert len({name.action for name in splits['train']}) == 100
    assert str(splits['exemplar'][0]) == 'S001C003P008R001A001'
    assert str(splits['exemplar'][-1]) == 'S018C003P008R001A115'


def test_facts():
    assert len(missing_samples()) == 535
    assert sum(SampleName.parse(name).setup <= 17 for name in missing_samples()) == 302
    assert len(set(samples(120))) == 113_945
    assert set(samples(60)) < set(samples(120))
    assert set(PROTOCOLS) == {60, 120}
    assert len(set(class_names())) == 120
    assert class_names()[0] == 'drink water'
    assert class_names()[59] == 'walking apart from each other'
    assert class_names()[119].startswith('finger-guessing game')


# NTU RGB+D ---------------------------------------------------------------------


@pytest.fixture
def ntu(tmp_path):
    """Samples of two performers (1 trains, 3 tests), three cameras, five actions."""
    rng = np.random.default_rng(0)
    (tmp_path / 'raw').mkdir()
    for camera in (1, 2, 3):
        for performer in (1, 3):
            for action in (1, 2, 3, 60, 61):
                setup = 1 if action <= 60 else 18
                sample = SampleName(setup, camera, performer, 1, action)
                bodies = [[(BODY_ID, pose(rng))] for _ in range(20 + action)]
                (tmp_path / f'raw/{sample}.skeleton').write_bytes(skeleton_text(bodies))
    return tmp_path


def test_ntu60(ntu, capsys):
    train, test = NTU60(ntu), NTU60(ntu, 'test')
    assert (len(train), len(test)) == (12, 12)
    assert capsys.readouterr().err.count('Stored 24 clips.') == 1  # Processed once.
    assert Counter(train.labels.tolist()) == {0: 3, 1: 3, 2: 3, 59: 3}
    clip = train[0]
    assert clip.x.shape == (1, 21, 25, 3)
    assert clip.x.dtype == torch.float32
    assert SampleName.parse(clip.name).performer == 1
    # Normalised: the first frame's centre is the origin, its shoulders along x.
    assert clip.x[0, 0, 1].tolist() == [0, 0, 0]
    shoulders = clip.x[0, 0, 8] - clip.x[0, 0, 4]
    torch.testing.assert_close(shoulders[1:], torch.zeros(2), atol=1e-5, rtol=0)
    assert train.skeleton.name == 'ntu-rgb+d-mmaction'
    assert (train.num_classes, train.classes[59]) == (
        60,
        'walking apart from each other',
    )
    views = NTU60(ntu, protocol='xview'), NTU60(ntu, 'test', protocol='xview')
    assert [len(view) for view in views] == [16, 8]
    assert train.report['excluded'] == {'not among the 60 actions of the benchmark': 6}


def test_ntu120(ntu):
    assert len(NTU120(ntu)) == 15
    assert len(NTU120(ntu, 'test', protocol='xset')) == 24
    assert len(NTU120(ntu, 'train', protocol='oneshot')) == 18
    assert len(NTU120(ntu, 'test', protocol='oneshot')) == 12
    assert NTU120(ntu, 'exemplar', protocol='oneshot').num_classes == 120


def test_ntu_recipes_and_loader(ntu):
    for name, frames in [('mmaction2', 100), ('official', 300)]:
        transform = T.recipe(name).transform('ntu-rgb+d')
        dataset = NTU60(ntu, recipe=name, transform=transform)
        batch = next(iter(DataLoader(dataset, batch_size=4, num_workers=1)))
        assert batch.x.shape == (4, 2, frames, 25, 3)
        assert batch.y.tolist() == dataset.labels[:4].tolist()
    model = MSG3D(dataset.skeleton, 60, channels=(6, 6, 6), gcn_scales=2, g3d_scales=2)
    assert model(batch.x[:1, :, :20]).shape == (1, 60)
    raw = NTU60(ntu, recipe=None)
    assert raw.skeleton.name == 'ntu-rgb+d'
    assert raw[0].x[0, 0, 1].any()


def test_ntu_in_other_forms_gives_the_same(ntu, tmp_path_factory):
    """From the zip archive, and from a pickle, whose persons are chosen already."""
    root = tmp_path_factory.mktemp('others')
    expected = NTU60(ntu)
    zipped = root / 'zip/raw/nturgbd_skeletons_s001_to_s017.zip'
    zipped.parent.mkdir(parents=True)
    with zipfile.ZipFile(zipped, 'w', zipfile.ZIP_DEFLATED) as archive:
        for file in (ntu / 'raw').iterdir():
            archive.write(file, f'nturgb+d_skeletons/{file.name}')
    plain = NTU60(ntu, recipe=None, persons='tracked')
    records = [
        {'frame_dir': clip.name, 'label': int(clip.y), 'keypoint': clip.x.numpy(),
         'total_frames': clip.x.size(1)}
        for clip in [*plain, *NTU60(ntu, 'test', recipe=None, persons='tracked')]
    ]  # fmt: skip
    (root / 'pickle').mkdir()
    pickled = root / 'pickle/ntu60_3danno.pkl'
    pickled.write_bytes(pickle.dumps({'annotations': records}))
    for dataset in (NTU60(root / 'zip'), NTU60(root / 'pickle'),
                    NTU60(root / 'elsewhere', raw=zipped)):  # fmt: skip
        assert len(dataset) == len(expected)
        for ours, theirs in zip(dataset, expected, strict=True):
            assert (ours.name, int(ours.y)) == (theirs.name, int(theirs.y))
            torch.testing.assert_close(ours.x, theirs.x)


def test_ntu_of_two_archives(ntu, tmp_path_factory):
    root = tmp_path_factory.mktemp('two')
    for number, pattern in enumerate(['S001*', 'S018*']):
        with zipfile.ZipFile(root / f'{number}.zip', 'w') as archive:
            for file in (ntu / 'raw').glob(pattern):
                archive.write(file, file.name)
    assert len(NTU120(root)) == 15


def test_ntu_in_2d(tmp_path):
    rng = np.random.default_rng(0)
    records = [annotation(rng, 2, f'S001C001P00{p}R001A001') for p in (1, 2, 3)]
    (tmp_path / 'ntu60_2d.pkl').write_bytes(pickle.dumps(records))
    transform = T.recipe('mmaction2').transform('coco-17', 'bone', dims=2)
    dataset = NTU60(tmp_path, transform=transform)
    assert dataset.skeleton.name == 'coco-17'
    assert [clip.name for clip in dataset] == [r['frame_dir'] for r in records[:2]]
    assert dataset[0].x.shape == (2, 100, 17, 3)


def test_ntu_of_files_that_hold_one_protocol(tmp_path):
    write_ctrgcn(tmp_path / 'NTU60_CS.npz')
    assert len(NTU60(tmp_path)) == 2
    assert len(NTU60(tmp_path, 'test')) == 1
    write_official(tmp_path / 'official')
    assert len(NTU60(tmp_path / 'official', recipe=None)) == 3
    rng = np.random.default_rng(0)
    (tmp_path / 'x').mkdir()
    records = [annotation(rng, name='clip')]
    (tmp_path / 'x/x.pkl').write_bytes(pickle.dumps(records))
    with pytest.raises(SkeletonDataError, match=r"'clip' is no name of NTU RGB\+D"):
        NTU60(tmp_path / 'x')


def test_broken_files_are_skipped_named_and_counted(ntu, capsys):
    broken = corrupt_skeletons()
    for number, (content, _) in enumerate(broken.values()):
        file = ntu / f'raw/S001C001P001R002A{number + 1:03d}.skeleton'
        file.write_bytes(content)
    empty = ntu / 'raw/S001C001P001R002A050.skeleton'
    empty.write_bytes(skeleton_text([[], []]))
    missing = ntu / 'raw/S001C002P005R002A008.skeleton'
    missing.write_bytes(skeleton_text([[]]))
    (ntu / 'raw/S1C1P1R1A1.skeleton').write_bytes(skeleton_text([[]]))
    dataset = NTU60(ntu)
    assert len(dataset) == 12
    report = dataset.report
    assert report['excluded']['not named SsssCcccPpppRrrrAaaa'] == 1
    assert len(report['skipped']) == len(broken) + 1
    assert 'no body in any of its 2 frames' in report['skipped'][empty.stem]
    printed = capsys.readouterr().err
    assert f'Skipped {len(broken) + 1}:' in printed
    assert 'Left out 1: on the list of samples without a usable skeleton' in printed
    with pytest.raises(SkeletonDataError, match='S001C001P001R002A001.skeleton'):
        NTU60(ntu, strict=True, force_reload=True, num_workers=0)


def test_refusals(ntu, tmp_path_factory):
    with pytest.raises(ValueError, match="'protocol' must be one of xsub, xview .got"):
        NTU60(ntu, protocol='xset')
    with pytest.raises(
        ValueError, match="'split' must be one of train, test, or None.* .got"
    ):
        NTU60(ntu, 'val')
    with pytest.raises(ValueError, match="no recipe 'pyskl'"):
        NTU60(ntu, recipe='pyskl')
    empty = tmp_path_factory.mktemp('empty')
    with pytest.raises(FileNotFoundError, match='Put the recordings into .*raw'):
        NTU60(empty / 'nothing')
    (empty / 'x.txt').touch()
    with pytest.raises(SkeletonDataError, match='no known format'):
        NTU60(empty)
    (empty / 'a.pkl').touch()
    (empty / 'b.npz').touch()
    with pytest.raises(SkeletonDataError, match=r'a.pkl, b.npz; say which .* raw='):
        NTU60(empty)


def test_the_store_is_compact_and_opens_at_once(tmp_path):
    """At most 320 bytes for a body in a frame; opening it reads the index alone."""
    rng = np.random.default_rng(0)
    (tmp_path / 'raw').mkdir()
    for number in range(1, 41):
        file = tmp_path / f'raw/S001C001P001R001A{number:03d}.skeleton'
        bodies = [[(BODY_ID + b, pose(rng)) for b in range(1 + number % 2)]] * 60
        file.write_bytes(skeleton_text(bodies))
    store = NTU60(tmp_path, persons='all').store
    bodies = int((store.num_persons * store.num_frames).sum())
    assert bodies == 60 * 60
    size = sum(file.stat().st_size for file in store.folder.iterdir())
    print(f'{size / bodies:.1f} bytes for a body in a frame')
    assert size <= 320 * bodies
    begin = time.perf_counter()
    ClipStore(store.folder)
    assert time.perf_counter() - begin < 1


# Kinetics-skeleton, a user's own -----------------------------------------------


def test_kinetics(tmp_path):
    write_kinetics(tmp_path / 'raw')
    transform = T.recipe('official').transform('openpose-18', dims=2)
    train = KineticsSkeleton(tmp_path, transform=transform)
    test = KineticsSkeleton(tmp_path, 'test', transform=transform)
    assert (len(train), len(test)) == (2, 1)
    assert train.classes == ('abseiling', 'juggling balls')
    assert train.skeleton.name == 'openpose-18'
    assert train[0].x.shape == (2, 300, 18, 3)
    assert not train[0].x[:, 4:].any()
    with pytest.raises(ValueError, match='one of train, test, or None for all'):
        KineticsSkeleton(tmp_path, 'val')


def test_kinetics_of_the_authors_arrays(tmp_path):
    write_official(tmp_path, joints=18)
    # They are normalised already.
    with pytest.raises(SkeletonDataError, match='Are they normalised already'):
        KineticsSkeleton(tmp_path, 'test')
    assert len(KineticsSkeleton(tmp_path, 'test', recipe=None)) == 3
    with pytest.raises(SkeletonDataError, match='kinetics_train_label.json'):
        KineticsSkeleton(tmp_path, 'train', recipe=None)


def test_folder(tmp_path):
    write_folder(tmp_path)
    dataset = SkeletonFolder(tmp_path)
    # The first has scores, the others none.
    assert [clip.name for clip in dataset] == ['a']
    assert len(dataset.report['skipped']) == 2


def test_folder_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    arm = Skeleton('arm', ['shoulder', 'elbow', 'wrist'], [(0, 1), (1, 2)])
    rows = ['file,label,split']
    for number in range(6):
        x = rng.normal(size=(5 + number, 3, 2))
        np.save(tmp_path / f'{number}.npy', x)
        split = 'train' if number < 4 else 'test'
        rows.append(f'{number}.npy,{["wave", "rest"][number % 2]},{split}')
    (tmp_path / 'labels.csv').write_text('\n'.join(rows))
    train = SkeletonFolder(tmp_path, 'train', skeleton=arm)
    assert len(train) == 4
    assert train.classes == ('rest', 'wave')
    assert train[1].x.shape == (1, 6, 3, 2)
    assert train.skeleton is arm
    assert len(SkeletonFolder(tmp_path)) == 4
    assert len(SkeletonFolder(tmp_path, None)) == 6
    with pytest.raises(SkeletonDataError, match="no split 'val'; they have 'train'"):
        SkeletonFolder(tmp_path, 'val')
    with pytest.raises(SkeletonDataError, match="3 joints, but skeleton 'coco-17' has"):
        SkeletonFolder(tmp_path, skeleton='coco-17')
    with pytest.raises(SkeletonDataError, match='No skeleton of the catalogue has 3'):
        _ = SkeletonFolder(tmp_path).skeleton


def test_folder_with_ones_own_normalisation(tmp_path):
    write_folder(tmp_path)
    dataset = SkeletonFolder(tmp_path, pre_transform=T.MinMaxScale())
    assert dataset[0].x.amax(dim=(0, 1, 2)).tolist() == [1, 1]


def test_folder_that_has_changed_is_processed_again(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in 'abc':
        np.save(tmp_path / f'{name}.npy', rng.normal(size=(4, 17, 2)))

    def counts(table):
        if table is not None:
            (tmp_path / 'labels.csv').write_text(f'file,label,split\n{table}')
        dataset = SkeletonFolder(tmp_path, 'train')
        processed = 'Stored' in capsys.readouterr().err
        return len(dataset), dataset.labels.tolist(), processed

    assert counts('a.npy,x,train\n') == (1, [0], True)
    assert counts(None) == (1, [0], False)
    assert counts('a.npy,x,train\nb.npy,y,train') == (2, [0, 1], True)
    assert counts('a.npy,x,test\nb.npy,y,train') == (1, [1], True)
    assert counts('a.npy,y,test\nb.npy,x,train') == (1, [0], True)
    np.save(tmp_path / 'b.npy', rng.normal(size=(5, 17, 2)))
    assert counts(None) == (1, [0], True)
    # Without the table, nothing is known of labels; without the recordings, it serves
    # as it is.
    (tmp_path / 'labels.csv').unlink()
    assert counts(None) == (3, [-1, -1, -1], True)
    for name in 'abc':
        (tmp_path / f'{name}.npy').unlink()
    assert counts(None) == (3, [-1, -1, -1], False)


@pytest.mark.slow
def test_a_store_as_large_as_ntu60_opens_within_a_second(tmp_path):
    """1.8 GB on disk (of holes), of which opening touches the index alone."""
    names = sorted(samples(60))
    folder = tmp_path / 'processed/NTU60-mmaction2-default'
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    frames = rng.integers(40, 130, len(names))
    persons = 1 + (rng.random(len(names)) < 0.25)
    labels = [SampleName.parse(name).action - 1 for name in names]
    rows = int((frames * persons).sum())
    writer = StoreWriter(folder, how_made(None, T.recipe('mmaction2'), None))
    writer._append('keypoints.npy', np.zeros((1, 1, 25, 3), np.float32))
    array = writer._arrays['keypoints.npy']
    array._file.truncate(array.begin + rows * 300)
    empty = {
        n: _checksum(np.zeros((n, 25, 3), np.float32), None)
        for n in set((persons * frames).tolist())
    }
    writer._records = [
        {'name': n, 'label': y, 'persons': int(m), 'frames': int(t),
         'image_size': (0, 0), 'checksum': empty[int(m * t)]}
        for n, y, m, t in zip(names, labels, persons, frames, strict=True)
    ]  # fmt: skip
    writer.finish({}, {}, [])
    begin = time.perf_counter()
    dataset = NTU60(tmp_path, 'test')
    clip = dataset[-1]
    seconds = time.perf_counter() - begin
    tracemalloc.start()
    NTU60(tmp_path, 'test')[-1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = (folder / 'keypoints.npy').stat().st_size
    print(f'{size / 1e9:.2f} GB opened in {seconds:.2f} s with {peak / 1e6:.0f} MB')
    assert len(dataset) == 16_487
    assert clip.x.shape[2:] == (25, 3)
    assert size < 2.5e9
    assert seconds < 1
    assert peak < 100e6
