"""Measures and fused scores against their definitions, and the limits of what scores
may be."""

import csv
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.evaluation import Scores, fuse, measure


def random_scores(seed, n, classes, **kwargs):
    """Logits and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    return Scores(rng.normal(0, 3, (n, classes)), 'logits', labels=labels, **kwargs)


@st.composite
def scores(draw, **kwargs):
    seed, n = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 12))
    return random_scores(seed, n, draw(st.integers(1, 8)), **kwargs)


# Measures -----------------------------------------------------------------------------


@given(scores())
def test_loss_is_torchs_cross_entropy(scores):
    values, labels = torch.from_numpy(scores.values), torch.from_numpy(scores.labels)
    expected = torch.nn.functional.cross_entropy(values, labels).item()
    assert measure(scores).loss == pytest.approx(expected)
    assert measure(scores.probabilities()).loss == pytest.approx(expected)
    np.testing.assert_allclose(scores.probabilities().values, values.softmax(1))


@given(scores())
def test_accuracies_by_counting(scores):
    metrics = measure(scores)
    n, classes = scores.values.shape
    table = [[0] * classes for _ in range(classes)]
    for row, label in zip(scores.values.tolist(), scores.labels.tolist(), strict=True):
        table[label][row.index(max(row))] += 1
    assert metrics.confusion.tolist() == table
    assert metrics.confusion.dtype == np.int64
    assert metrics.samples == n
    right = [table[c][c] for c in range(classes)]
    assert metrics.top1 == sum(right) / n
    shares = [
        Fraction(table[c][c], sum(table[c])) for c in range(classes) if any(table[c])
    ]
    assert metrics.mean_class == pytest.approx(float(sum(shares) / len(shares)))
    for c, (label, samples, found, taken) in enumerate(metrics.per_class()):
        assert (label, samples, found) == (c, sum(table[c]), right[c])
        others = {count: k for k, count in reversed([*enumerate(table[c])]) if k != c}
        assert taken == (others[max(others)] if others and max(others) else c)
    assert metrics.numbers() == {
        'samples': n,
        'loss': metrics.loss,
        'top1': metrics.top1,
        'top5': metrics.top5,
        'mean_class': metrics.mean_class,
    }


def test_the_fifth_is_among_five_and_the_sixth_is_not():
    falling = np.tile(np.arange(8.0, 0, -1), (8, 1))
    metrics = measure(Scores(falling, 'logits', labels=np.arange(8)))
    assert (metrics.top1, metrics.top5, metrics.mean_class) == (1 / 8, 5 / 8, 1 / 8)


@pytest.mark.parametrize('high', [1e4, 1e300])
def test_huge_logits(high):
    scores = Scores(
        np.array([[high, -high], [0, high]]), 'logits', labels=np.zeros(2, int)
    )
    np.testing.assert_array_equal(scores.probabilities().values, [[1, 0], [0, 1]])
    assert measure(scores).loss == high / 2


def test_a_probability_of_zero_costs_much_but_not_everything():
    scores = Scores(np.eye(2), 'probabilities', labels=np.array([0, 0]))
    assert measure(scores).loss == pytest.approx(-np.log(1e-12) / 2)
    assert measure(scores).top1 == 0.5


def test_small_types_of_numbers_are_measured_in_float64():
    """Half of float16's digits would be lost; labels are often bytes."""
    values = np.array([[1, 2], [3, 2.5]], np.float16)
    scores = Scores(values, 'logits', labels=np.array([1, 0], np.uint8))
    expected = (np.log1p(np.exp(-1)) + np.log1p(np.exp(-0.5))) / 2
    assert measure(scores).loss == pytest.approx(expected, rel=1e-12)
    assert scores.probabilities().values.dtype == np.float64
    assert scores.probabilities().probabilities().kind == 'probabilities'
    halves = Scores(np.array([[0.25, 0.75]], np.float16), 'probabilities')
    assert halves.probabilities().values.dtype == np.float64
    np.testing.assert_array_equal(halves.probabilities().values, halves.values)


def test_without_labels_there_is_nothing_to_measure():
    with pytest.raises(ValueError, match='the dump has no labels'):
        measure(Scores(np.eye(2), 'logits', source='the dump'))


def test_the_table_of_classes(tmp_path):
    """Twice right and once the class after it; never; and only the class before it."""
    values = np.eye(4)[[0, 0, 1, 0, 0]]
    labels = np.array([0, 0, 0, 1, 1])
    metrics = measure(Scores(values, 'logits', labels=labels))
    metrics.save_table(tmp_path / 'table.csv', ['wave', 'Ünder', 'c', 'd'])
    with (tmp_path / 'table.csv').open(encoding='utf-8', newline='') as file:
        rows = list(csv.reader(file))
    assert rows == [
        ['label', 'class', 'samples', 'right', 'accuracy', 'mostly taken for'],
        ['0', 'wave', '3', '2', '0.6667', 'Ünder'],
        ['1', 'Ünder', '2', '0', '0.0000', 'wave'],
        ['2', 'c', '0', '0', '', ''],
        ['3', 'd', '0', '0', '', ''],
    ]
    metrics.save_table(tmp_path / 'numbers.csv')
    assert '0,0,3,2,0.6667,1' in (tmp_path / 'numbers.csv').read_text()


# What scores may be -------------------------------------------------------------------


@pytest.mark.parametrize(
    'values',
    [
        np.zeros((2, 3, 1)),
        np.zeros((0, 3)),
        np.zeros((3, 0)),
        np.zeros((2, 3), np.int64),
        np.zeros((2, 3), np.complex128),
        np.array([['a']]),
    ],
)
def test_other_than_numbers_of_samples_and_classes(values):
    with pytest.raises(
        SkeletonDataError, match=r'expected scores \[samples, classes\]'
    ):
        Scores(values, 'logits')


def test_one_number_is_enough():
    for dtype in (np.float16, np.float32, np.float64):
        scores = Scores(np.zeros((1, 1), dtype), 'logits')
        assert len(scores) == 1
        assert (scores.names, scores.labels) == (None, None)


@pytest.mark.parametrize('bad', [np.inf, -np.inf, np.nan])
def test_the_first_that_is_not_finite_is_named(bad):
    values = np.zeros((4, 2))
    values[2:, 0] = bad
    with pytest.raises(
        SkeletonDataError, match='the scores of sample 2 are not finite'
    ):
        Scores(values, 'logits')
    with pytest.raises(SkeletonDataError, match="the scores of sample 'c' are not"):
        Scores(values, 'logits', tuple('abcd'))


def test_kinds():
    with pytest.raises(ValueError, match="'kind' must be one of .* .got 'votes'"):
        Scores(np.eye(2), 'votes')
    assert Scores(np.eye(2), 'probabilities').kind == 'probabilities'
    assert Scores(-np.eye(2), 'logits').kind == 'logits'


@pytest.mark.parametrize(
    ('row', 'good'),
    [
        ([0.5, 0.5], True),
        ([1, 0], True),
        # Rounded, as in bfloat16: to one in a hundred.
        ([0.504, 0.504], True),
        ([0.496, 0.496], True),
        ([0.508, 0.508], False),
        ([0.493, 0.493], False),
        ([0.6, 0.3], False),
        ([1.2, -0.2], False),
    ],
)
def test_probabilities_add_up_to_one(row, good):
    values = np.array([[0.25, 0.75], row])
    if good:
        assert len(Scores(values, 'probabilities')) == 2
        return
    with pytest.raises(SkeletonDataError, match='do not add up to 1'):
        Scores(values, 'probabilities')


def test_labels_are_classes():
    values = np.zeros((3, 2))
    assert Scores(values, 'logits', labels=np.array([0, 1, 1])).labels.max() == 1
    with pytest.raises(
        SkeletonDataError, match='sample 1 has label -2, but .* 2 classes'
    ):
        Scores(values, 'logits', labels=np.array([1, -2, 2]))
    with pytest.raises(
        SkeletonDataError, match='sample 2 has label 2, but .* 2 classes'
    ):
        Scores(values, 'logits', labels=np.array([1, 0, 2]))
    for count in (2, 4):
        with pytest.raises(SkeletonDataError, match=f'3 samples, but {count} labels'):
            Scores(values, 'logits', labels=np.zeros(count, int))


def test_the_name_that_is_given_twice_is_told():
    with pytest.raises(SkeletonDataError, match="the sample 'b' occurs twice"):
        Scores(np.zeros((5, 2)), 'logits', ('a', 'b', 'c', 'b', 'c'))


def test_scores_in_another_order():
    values, labels = np.arange(6.0).reshape(3, 2), np.array([0, 1, 1])
    scores = Scores(values, 'logits', ('a', 'b', 'c'), labels, 'the file')
    turned = scores.aligned_to(('c', 'a', 'b'), 'mine')
    np.testing.assert_array_equal(turned.values, values[[2, 0, 1]])
    assert turned.labels.tolist() == [1, 0, 1]
    assert (turned.names, turned.kind) == (('c', 'a', 'b'), 'logits')
    bare = Scores(values, 'logits', ('a', 'b', 'c'))
    assert bare.aligned_to(('b', 'a', 'c'), 'mine').labels is None
    with pytest.raises(SkeletonDataError, match='the file names no samples'):
        Scores(values, 'logits', source='the file').aligned_to(('a',), 'mine')


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        (('a', 'b'), r'than mine: 1 only in the file \(c\)$'),
        (('a', 'b', 'c', 'd'), r'than mine: 1 only in mine \(d\)$'),
        (('a', 'x', 'y'), r'2 only in mine \(x, y\); 2 only in the file \(b, c\)$'),
        (
            ('a', 'b', 'c', *'klmno'),
            r'5 only in mine \(k, l, m, n, o\)$',
        ),
        (
            ('a', 'b', 'c', *'klmnop'),
            r'6 only in mine \(k, l, m, n, o, ...\)$',
        ),
    ],
)
def test_other_samples_are_counted_and_five_are_named(names, message):
    scores = Scores(np.zeros((3, 2)), 'logits', ('a', 'b', 'c'), source='the file')
    with pytest.raises(SkeletonDataError, match=message):
        scores.aligned_to(names, 'mine')


# Fusing -------------------------------------------------------------------------------


@given(st.data())
def test_the_sum_of_streams_by_hand(data):
    """In exact fractions; of samples in any order."""
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    count, n, classes = (data.draw(st.integers(1, 4)) for _ in range(3))
    weights = data.draw(
        st.lists(st.integers(0, 5), min_size=count, max_size=count).filter(any)
    )
    names = [f's{i}' for i in range(n)]
    labels = rng.integers(0, classes, n)
    streams, sums = [], [[Fraction(0)] * classes for _ in range(n)]
    for number, weight in enumerate(weights):
        values = rng.integers(-9, 9, (n, classes)).astype(np.float32)
        order = rng.permutation(n) if number else np.arange(n)
        streams.append(
            Scores(
                values[order], 'logits', tuple(names[i] for i in order), labels[order]
            )
        )
        for i in range(n):
            for c in range(classes):
                sums[i][c] += Fraction(weight * int(values[i, c]), sum(weights))
    fused = fuse(streams, weights)
    np.testing.assert_allclose(fused.values, np.array(sums, float), rtol=1e-12)
    assert fused.names == tuple(names)
    assert fused.labels.tolist() == labels.tolist()
    assert fused.kind == 'logits'
    equal = fuse(streams, [7] * count)
    np.testing.assert_allclose(fuse(streams).values, equal.values, rtol=1e-12)


def two(**kwargs):
    return Scores(**{'values': np.eye(2), 'kind': 'logits', **kwargs})


def test_a_stream_of_weight_zero_counts_for_nothing():
    other = two(values=np.full((2, 2), 9.0))
    np.testing.assert_array_equal(fuse([two(), other], [3, 0]).values, np.eye(2))
    np.testing.assert_array_equal(fuse([two(), other], [0, 0.5]).values, other.values)


@pytest.mark.parametrize(
    'weights', [[2, -1], [-1, 2], [0, 0], [1, np.inf], [np.nan, 1], [1, np.nan]]
)
def test_weights_that_mean_nothing(weights):
    with pytest.raises(ValueError, match='weights of at least 0, not all 0'):
        fuse([two(), two()], weights)


def test_a_weight_for_each_and_something_to_fuse():
    for weights in ([], [1], [1, 1, 1]):
        with pytest.raises(ValueError, match='one weight for each of 2 scores'):
            fuse([two(), two()], weights)
    with pytest.raises(ValueError, match='no scores to fuse'):
        fuse([])


def test_float32_is_added_up_in_float64():
    """Small differences of large scores stay."""
    one = two(values=np.array([[2**24, 2**24]], np.float32))
    other = two(values=np.array([[1, 0]], np.float32))
    fused = fuse([one, other]).values
    assert fused.dtype == np.float64
    assert fused[0, 0] - fused[0, 1] == 0.5
    assert fuse([other]).values.dtype == np.float64


def test_names_and_labels_come_from_whoever_has_them():
    bare, named = two(), two(names=('a', 'b'))
    labelled = two(labels=np.array([1, 0]))
    for streams in ([bare, named, labelled], [named, labelled, bare]):
        fused = fuse(streams, by_order=True)
        assert fused.names == ('a', 'b')
        assert fused.labels.tolist() == [1, 0]
    fused = fuse([bare, labelled])
    assert fused.names is None
    assert fused.labels.tolist() == [1, 0]
    assert fuse([labelled, bare]).labels.tolist() == [1, 0]
    assert fuse([bare, bare]).labels is None
    assert fuse([bare, bare]).source == 'the sum'
    assert fuse([two().probabilities()] * 2).kind == 'probabilities'


def test_samples_with_and_without_names():
    bare, named = two(source='the dump'), two(names=('a', 'b'), source='the file')
    with pytest.raises(SkeletonDataError, match='^the file names .* the dump does not'):
        fuse([bare, named])
    with pytest.raises(SkeletonDataError, match='^the file names .* the dump does not'):
        fuse([named, bare])
    three = two(values=np.eye(3)[:, :2], source='the long one')
    with pytest.raises(SkeletonDataError, match='the long one holds 3 .* the file 2'):
        fuse([named, three], by_order=True)


def test_names_go_before_the_order():
    """Those who have names are matched by them, whatever is asked for the others."""
    one = two(names=('a', 'b'))
    other = two(names=('b', 'a'))
    np.testing.assert_array_equal(
        fuse([one, other], by_order=True).values, np.full((2, 2), 0.5)
    )


def test_other_labels_are_counted_and_the_first_is_named():
    def labelled(labels, source):
        values = np.zeros((4, 9))
        return Scores(values, 'logits', None, np.array(labels), source)

    one, other = labelled([1, 2, 3, 4], 'mine'), labelled([1, 5, 3, 6], 'theirs')
    with pytest.raises(
        SkeletonDataError,
        match='^theirs has other labels than mine for 2 samples: sample 1 is 5 there '
        'and 2 here$',
    ):
        fuse([one, other])
