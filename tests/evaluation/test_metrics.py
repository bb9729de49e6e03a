import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.evaluation import Scores, fuse, measure, plot_confusion


def test_by_hand():
    values = np.log(
        [[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]]
    )
    metrics = measure(Scores(values, 'logits', labels=np.array([0, 1, 2, 2])))
    assert metrics.top1 == 0.5
    assert metrics.top5 == 1
    assert metrics.mean_class == pytest.approx((1 + 0 + 0.5) / 3)
    assert metrics.loss == pytest.approx(-np.log([0.7, 0.3, 0.6, 0.1]).mean())
    assert metrics.confusion.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 1]]
    assert metrics.per_class() == [(0, 1, 1, 0), (1, 1, 0, 0), (2, 2, 1, 1)]
    assert str(metrics).startswith(
        'top-1 50.00%, top-5 100.00%, mean of classes 50.00%'
    )


def test_classes_without_samples_count_for_nothing(tmp_path):
    metrics = measure(
        Scores(np.eye(7)[[0, 0, 5]], 'probabilities', labels=np.array([0, 1, 5]))
    )
    assert metrics.mean_class == pytest.approx(2 / 3)
    metrics.save_table(tmp_path / 'table.csv', ['a', 'b, c'])
    rows = list(csv.reader((tmp_path / 'table.csv').open()))
    assert rows[1] == ['0', 'a', '1', '1', '1.0000', '']
    assert rows[2] == ['1', 'b, c', '1', '0', '0.0000', 'a']
    assert rows[3] == ['2', '2', '0', '0', '', '']


@given(st.data())
def test_top_k_against_counting(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n, classes = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 9))
    values = rng.integers(0, 4, (n, classes)).astype(float)  # With ties.
    labels = rng.integers(0, classes, n)
    metrics = measure(Scores(values, 'logits', labels=labels))

    def rank(row, label):
        """How many classes are above: higher, or as high and before."""
        return sum(
            value > row[label] or (value == row[label] and other < label)
            for other, value in enumerate(row)
        )

    ranks = np.array([rank(*pair) for pair in zip(values, labels, strict=True)])
    assert metrics.top1 == (ranks < 1).mean()
    assert metrics.top5 == (ranks < 5).mean()
    assert metrics.confusion.sum() == n
    assert np.trace(metrics.confusion) == (ranks < 1).sum()


def test_kinds_agree():
    rng = np.random.default_rng(0)
    logits = Scores(rng.normal(size=(50, 6)), 'logits', labels=rng.integers(0, 6, 50))
    one, other = measure(logits), measure(logits.probabilities())
    assert one.loss == pytest.approx(other.loss)
    assert one.top1 == other.top1


def test_confusion_picture(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for classes in (3, 60):
        path = tmp_path / f'{classes}.png'
        plot_confusion(rng.integers(0, 9, (classes, classes)), path)
        with Image.open(path) as picture:
            assert len(picture.convert('L').getcolors()) > 50


# What scores must be ---------------------------------------------------------------


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'values': np.zeros(3)}, r'expected scores \[samples, classes\]'),
        ({'values': np.full((2, 2), np.nan)}, "sample 'a' are not finite"),
        ({'names': ('a', 'a')}, "the sample 'a' occurs twice"),
        ({'names': ('a',)}, 'scores of 2 samples, but 1 names'),
        ({'labels': np.array([0, 2])}, "sample 'b' has label 2, but .* 2 classes"),
        ({'kind': 'probabilities'}, 'do not add up to 1'),
    ],
)
def test_bad_scores(change, message):
    good = {
        'values': np.ones((2, 2)),
        'kind': 'logits',
        'names': ('a', 'b'),
        'labels': np.array([0, 1]),
    }
    with pytest.raises(SkeletonDataError, match=message):
        Scores(**{**good, **change})


# Fusing ------------------------------------------------------------------------------


def stream(names='abc', shift=0.0, **kwargs):
    values = np.arange(6.0).reshape(3, 2) + shift
    arguments = {'kind': 'logits', 'names': tuple(names), 'labels': np.array([0, 1, 1])}
    return Scores(values, **{**arguments, **kwargs})


def test_weights():
    fused = fuse([stream(), stream(shift=6)], [2, 1])
    np.testing.assert_allclose(fused.values, stream(shift=2).values)
    np.testing.assert_allclose(fuse([stream(), stream(shift=6)]).values[0], [3, 4])
    with pytest.raises(ValueError, match='one weight for each of 2 scores .got 1'):
        fuse([stream(), stream()], [1])
    with pytest.raises(ValueError, match='weights of at least 0, not all 0'):
        fuse([stream(), stream()], [0, 0])


def test_samples_are_matched_by_name():
    other = stream('cab', labels=np.array([1, 0, 1]))
    fused = fuse([stream(), other])
    assert fused.names == ('a', 'b', 'c')
    np.testing.assert_allclose(fused.values[0], [1, 2])
    assert fused.labels.tolist() == [0, 1, 1]


def test_what_cannot_be_fused():
    with pytest.raises(
        SkeletonDataError, match=r'other samples than .*\(c\); 1 only in .*\(d\)'
    ):
        fuse([stream(), stream('abd')])
    with pytest.raises(SkeletonDataError, match="for 1 samples: sample 'a' is 1 there"):
        fuse([stream(), stream(labels=np.array([1, 1, 1]))])
    with pytest.raises(SkeletonDataError, match='holds probabilities, .* logits'):
        fuse([stream(), stream().probabilities()])
    with pytest.raises(SkeletonDataError, match='for 3 classes, the scores for 2'):
        fuse([stream(), Scores(
            np.ones((3, 3)), 'logits', ('a', 'b', 'c'))])  # fmt: skip
    unnamed = stream(names='abc')
    unnamed = Scores(unnamed.values, 'logits', None, unnamed.labels, 'the dump')
    with pytest.raises(
        SkeletonDataError, match='the dump does not.*match them by order'
    ):
        fuse([stream(), unnamed])
    assert fuse([stream(), unnamed], by_order=True).names == ('a', 'b', 'c')
    short = Scores(unnamed.values[:2], 'logits', None)
    with pytest.raises(SkeletonDataError, match='holds 2 samples, .* 3'):
        fuse([unnamed, short])
