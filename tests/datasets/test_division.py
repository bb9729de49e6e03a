"""Classes by name, and splits where nobody has told any."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.datasets import SkeletonFolder, match_classes
from pyg_msg3d.datasets.bone_lengths import MOST_STRETCHED, stretched, warn_of_bones
from pyg_msg3d.datasets.division import divide
from pyg_msg3d.skeletons import Skeleton, skeleton


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(2, 30), min_size=1, max_size=5),
    st.floats(0.05, 0.95), st.integers(0, 9),
)  # fmt: skip
def test_by_chance_every_class_is_on_both_sides(counts, share, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    names = [f'clip{n}' for n in range(len(labels))]
    tests, how = divide(names, labels, share, 'chance', seed)
    assert 'by chance' in how
    for label, count in enumerate(counts):
        tested = tests[labels == label].sum()
        assert 1 <= tested < count
        assert tested == min(max(1, round(share * count)), count - 1)
    again, _ = divide(names[::-1], labels[::-1], share, 'chance', seed)
    assert (again[::-1] == tests).all()


def test_subjects_stay_together():
    names = [f'walk/s{s:02d}_{n}' for s in range(10) for n in range(4)]
    labels = np.tile([0, 1, 0, 1], 10)
    tests, how = divide(names, labels, 0.2)
    assert tests.sum() == 8
    assert how.startswith('all of subjects ')
    subjects = {name[6:8] for name, test in zip(names, tests, strict=True) if test}
    assert len(subjects) == 2
    other, _ = divide(names, labels, 0.2, seed=1)
    assert (other != tests).any()
    ntu = [f'S001C00{c}P{p:03d}R001A001' for p in range(1, 6) for c in (1, 2)]
    assert divide(ntu, np.zeros(10, int), 0.2)[1].startswith('all of subject ')
    # A number for each clip is none of subjects; nor is one who alone does something.
    assert 'chance' in divide([f's{n}' for n in range(40)], labels, 0.2)[1]
    labels[:4] = 2
    for seed in range(12):
        tests, how = divide(names, labels, 0.1, seed=seed)
        assert 'chance' in how or not tests[:4].any()
    with pytest.raises(SkeletonDataError, match='tell at least 3 subjects'):
        divide(['a', 'b', 'c'], np.zeros(3, int), 0.3, 'subject')
    with pytest.raises(SkeletonDataError, match='one recording alone'):
        divide(['a', 'b', 'c'], np.array([0, 0, 1]), 0.3, 'chance')
    with pytest.raises(ValueError, match='share in'):
        divide(['a'], np.zeros(1, int), 1.5)


def test_a_folder_without_splits_is_divided(tmp_path):
    rng = np.random.default_rng(0)
    for name in ('walk', 'fall'):
        (tmp_path / name).mkdir()
        for number in range(5):
            x = rng.normal(size=(6, 17, 3)).astype('f4')
            np.save(tmp_path / f'{name}/{number}.npy', x)
    options = {'skeleton': 'h36m-17', 'test_share': 0.2}
    with pytest.warns(
        UserWarning, match=r'2 of 10 test, chosen by chance, with seed 0'
    ):
        train = SkeletonFolder(tmp_path, 'train', **options)
    test = SkeletonFolder(tmp_path, 'test', **options)
    assert (len(train), len(test)) == (8, 2)
    assert not set(train.names) & set(test.names)
    assert sorted(test.labels) == [0, 1]
    with pytest.raises(SkeletonDataError, match="divided into 'train' and 'test'"):
        SkeletonFolder(tmp_path, 'val', **options)
    assert len(SkeletonFolder(tmp_path, None, **options)) == 10
    # Without being asked, nothing is divided.
    assert len(SkeletonFolder(tmp_path, 'train', skeleton='h36m-17')) == 10


class Clips:
    def __init__(self, classes, labels):
        self.classes, self.labels = classes, np.array(labels)

    def __len__(self):
        return len(self.labels)


def test_classes_are_matched_by_name():
    classes = ('a', 'b', 'c')
    same = Clips(classes, [0, 1])
    assert match_classes(same, classes, 'test') is same
    assert match_classes(same, (), 'test') is same
    found = match_classes(Clips(('c', 'a'), [0, 1, -1]), classes, 'test')
    assert found.labels.tolist() == [2, 0, -1]
    assert found.classes == classes
    # A class that does not occur may have any name.
    found = match_classes(Clips(('a', 'x'), [0, -1]), classes, 'test')
    assert found.labels.tolist() == [0, -1]
    with pytest.raises(SkeletonDataError, match=r"does not know 'x'.*'a', 'x'.*'c'"):
        match_classes(Clips(('a', 'x'), [0, 1]), classes, 'test')
    with pytest.warns(UserWarning, match="number 0 is taken for the model's 'a'"):
        match_classes(Clips(('0', '1'), [0, 1]), classes, 'test')


def test_a_wrong_order_of_joints_stretches_bones(nw_ucla):
    """The figures that the warning rests on, of real recordings."""
    from pyg_msg3d.datasets import NWUCLA

    clips = [clip.x.numpy() for clip in NWUCLA(nw_ucla, 'test')[:60]]
    for dims in (2, 3):
        some = [x[..., :dims] for x in clips]
        right, other, wrong = (
            np.median([stretched(x, skeleton(name)) for x in some])
            for name in ('kinect-20', 'utd-mhad-20', 'msr-action3d-20')
        )
        assert 1 <= right < 1.3 < 1.4 < other < MOST_STRETCHED + 1 < wrong
        with pytest.warns(UserWarning, match=r'\d times as long as bones'):
            warn_of_bones(some, skeleton('msr-action3d-20'))
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            warn_of_bones(some, skeleton('kinect-20'))


def test_how_long_bones_are_by_the_shortest_tree():
    points = np.array([[0, 0], [1, 0], [2, 0], [2, 1]], 'f4') + 1
    x = np.tile(points, (1, 5, 1, 1))
    bones = [(0, 1), (1, 2), (2, 3)]
    joints = ['a', 'b', 'c', 'd']
    assert stretched(x, Skeleton('s', joints, bones)) == pytest.approx(1)
    assert stretched(x, Skeleton('s', joints, [(0, 2), (2, 1), (1, 3)])) == (
        pytest.approx((2 + 1 + 2**0.5) / 3)
    )
    x[:, 2, 1] = 0  # Frames in which a joint was not seen tell nothing.
    assert stretched(x, Skeleton('s', joints, bones)) == pytest.approx(1)
    assert stretched(np.zeros_like(x), Skeleton('s', joints, bones)) is None
