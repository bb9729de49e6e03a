"""What is read from score files beside the scores: kinds, names and labels."""

import pickle
import re

import numpy as np
import pytest

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.evaluation import Scores, read_labels, read_scores

NTU = ('S001C001P003R001A060', 'S017C003P020R002A001')
ROWS = [[0.25, 0.75], [0.5, 0.5]]


def read(tmp_path, content):
    (tmp_path / 'file.pkl').write_bytes(pickle.dumps(content))
    return read_scores(tmp_path / 'file.pkl')


def entries(**kwargs):
    """Two samples as MMAction2 dumps them, with further lists of values."""
    columns = {'pred_score': ROWS, 'gt_label': [1, 0], **kwargs}
    return [
        {key: values[row] for key, values in columns.items() if values is not None}
        for row in range(2)
    ]


# Ours ---------------------------------------------------------------------------------


@pytest.mark.parametrize('kind', ['logits', 'probabilities'])
@pytest.mark.parametrize('names', [None, ('a', 'Ä b')])
@pytest.mark.parametrize('labels', [None, np.array([1, 0])])
def test_what_is_saved_is_read(tmp_path, kind, names, labels):
    scores = Scores(np.array(ROWS, np.float32), kind, names, labels)
    scores.save(tmp_path / 'any.name')
    found = read_scores(tmp_path / 'any.name')
    assert (found.kind, found.names) == (kind, names)
    assert (found.labels is None) == (labels is None)
    assert labels is None or found.labels.tolist() == [1, 0]
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.values, ROWS)
    assert str(tmp_path / 'any.name') in found.source


def test_labels_of_a_file_go_before_those_of_names(tmp_path):
    Scores(np.array(ROWS), 'logits', NTU, np.array([1, 1])).save(tmp_path / 'a.npz')
    assert read_scores(tmp_path / 'a.npz').labels.tolist() == [1, 1]
    many = np.zeros((2, 60))
    Scores(many, 'logits', NTU).save(tmp_path / 'a.npz')
    assert read_scores(tmp_path / 'a.npz').labels.tolist() == [59, 0]


@pytest.mark.parametrize(
    ('arrays', 'got'),
    [
        ({}, 'none'),
        ({'values': np.eye(2)}, 'values'),
        ({'kind': np.array('logits'), 'names': np.array(['a'])}, 'kind, names'),
        ({'values': np.eye(2), 'kind': np.array('votes')}, 'values, kind'),
    ],
)
def test_arrays_of_others(tmp_path, arrays, got):
    np.savez(tmp_path / 'other.npz', **arrays)
    with pytest.raises(SkeletonDataError, match=f'expected the arrays .*got {got}.$'):
        read_scores(tmp_path / 'other.npz')


def test_pickles_in_an_npz_are_not_read(tmp_path):
    names = np.array(['a', None], dtype=object)
    np.savez(
        tmp_path / 'a.npz', values=np.eye(2), kind='logits', names=names,
        allow_pickle=True,
    )  # fmt: skip
    with pytest.raises(
        SkeletonDataError,
        match='names.npy.: expected an array of numbers .got one of object',
    ):
        read_scores(tmp_path / 'a.npz')


def test_folders_without_scores(tmp_path):
    """The folder is named, not a file that nobody asked for."""
    message = f"no score file '{re.escape(str(tmp_path))}'$"
    with pytest.raises(FileNotFoundError, match=message):
        read_scores(tmp_path)
    (tmp_path / 'scores.npz').mkdir()
    with pytest.raises(FileNotFoundError, match=message):
        read_scores(tmp_path)


def test_what_could_not_be_read_is_not_written(tmp_path):
    labels = np.array([0, 1], dtype=object)
    with pytest.raises(ValueError, match='Object arrays cannot be saved'):
        Scores(np.eye(2), 'logits', labels=labels).save(tmp_path / 'a.npz')
    assert not (tmp_path / 'a.npz').exists()


# The authors' -------------------------------------------------------------------------


def test_names_and_labels_of_the_authors(tmp_path):
    """Folders and endings are no part of a name; labels count from 0."""
    content = {
        f'data/{NTU[0]}.skeleton': np.zeros(60),
        NTU[1]: np.zeros(60),
    }
    scores = read(tmp_path, content)
    assert scores.names == NTU
    assert scores.labels.tolist() == [59, 0]
    assert scores.kind == 'logits'
    assert str(tmp_path) in scores.source


def test_a_single_name_of_another_kind_leaves_all_without_labels(tmp_path):
    scores = read(tmp_path, {NTU[1]: [1.0, 2.0], 'a video': [3.0, 4.0]})
    assert scores.names == (NTU[1], 'a video')
    assert scores.labels is None


def test_the_authors_logits_are_logits_even_if_they_look_otherwise(tmp_path):
    assert read(tmp_path, {'a': [0.25, 0.75]}).kind == 'logits'


def test_files_of_labels(tmp_path):
    def labels(content):
        (tmp_path / 'val_label.pkl').write_bytes(pickle.dumps(content))
        return read_labels(tmp_path / 'val_label.pkl')

    names = ['a.skeleton', 'folder/b']
    assert labels((names, np.array([4, 2]))) == {'a': 4, 'b': 2}
    assert labels([names, ['4', 2]]) == {'a': 4, 'b': 2}
    for content in (
        (names, [1]), (names, [1, 2, 3]), (names, [1, 'x']), (names, 7), names[0], 7,
    ):  # fmt: skip
        with pytest.raises(SkeletonDataError, match='expected a pair of equally long'):
            labels(content)
    with pytest.raises(FileNotFoundError):
        read_labels(tmp_path / 'no file')


# MMAction2's and PYSKL's --------------------------------------------------------------


@pytest.mark.parametrize('key', ['frame_dir', 'filename'])
def test_names_of_mmaction2(tmp_path, key):
    scores = read(tmp_path, entries(**{key: ['clips/a.skeleton', 'clips/b.avi']}))
    assert scores.names == ('a', 'b.avi')
    assert scores.labels.tolist() == [1, 0]
    np.testing.assert_array_equal(scores.values, ROWS)
    assert str(tmp_path) in scores.source


def test_the_folder_of_frames_is_the_name_if_there_are_two(tmp_path):
    both = entries(frame_dir=['a', ''], filename=['c', 'd'])
    assert read(tmp_path, both).names == ('a', 'd')


@pytest.mark.parametrize('names', [['a', None], [None, 'a'], ['a', 7]])
def test_some_names_are_none(tmp_path, names):
    assert read(tmp_path, entries(frame_dir=names)).names is None


@pytest.mark.parametrize('first', [{'item': None}, None])
def test_the_second_key_stands_in_for_an_empty_first(tmp_path, first):
    scores = read(
        tmp_path,
        entries(
            pred_score=[first] * 2,
            pred_scores=[{'item': row} for row in ROWS],
            gt_label=[first] * 2,
            gt_labels=[np.array([1]), {'item': [0]}],
        ),
    )
    np.testing.assert_array_equal(scores.values, ROWS)
    assert scores.labels.tolist() == [1, 0]


def test_the_first_key_goes_before_the_second(tmp_path):
    scores = read(tmp_path, entries(pred_scores=[[1, 0]] * 2, gt_labels=[0, 0]))
    np.testing.assert_array_equal(scores.values, ROWS)
    assert scores.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ('second', 'got'),
    [
        ({'pred_score': [1, 0], 'gt_label': [0, 1]}, 'pred_score, gt_label'),
        ({'pred_score': [1, 0], 'gt_label': []}, 'pred_score, gt_label'),
        ({'pred_score': [1, 0]}, 'pred_score'),
        ({'gt_label': 0}, 'gt_label'),
        ({}, 'nothing'),
        ([1, 0], '1, 0'),
        (None, 'nothing'),
    ],
)
def test_the_entry_that_lacks_something_is_named(tmp_path, second, got):
    content = [entries()[0], second]
    with pytest.raises(SkeletonDataError, match=f'entry 1: expected .*got {got}.$'):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ('rows', 'kind'),
    [
        ([[0.25, 0.75], [1, 0]], 'probabilities'),
        ([[0.25, 0.758], [1, 0]], 'probabilities'),
        ([[0.25, 0.77], [1, 0]], 'logits'),
        ([[0.25, 0.73], [1, 0]], 'logits'),
        ([[0.25, 0.75], [1.5, -0.5]], 'logits'),
        ([[0.5, 0.75], [1, 0]], 'logits'),
    ],
)
def test_lists_are_probabilities_if_they_look_so(tmp_path, rows, kind):
    """PYSKL's have neither names nor labels; MMAction2's are looked at alike."""
    scores = read(tmp_path, rows)
    assert (scores.kind, scores.names, scores.labels) == (kind, None, None)
    assert str(tmp_path) in scores.source
    assert read(tmp_path, entries(pred_score=rows)).kind == kind


def test_rows_of_any_shape_are_flat(tmp_path):
    scores = read(tmp_path, [np.array([row], np.float16) for row in ROWS])
    assert scores.values.dtype == np.float64
    np.testing.assert_array_equal(scores.values, ROWS)
    with pytest.raises(SkeletonDataError, match='file.pkl.*expected our .npz'):
        read(tmp_path, [[1, 2], [1, 2, 3]])
    with pytest.raises(SkeletonDataError, match='file.pkl.*expected our .npz'):
        read(tmp_path, [['a', 'b']])
