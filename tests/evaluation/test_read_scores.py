"""Score files of everybody, as their code writes them, and hostile ones."""

import os
import pickle
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.evaluation import Scores, read_labels, read_scores
from pyg_msg3d.io.tensors import TENSORS
from pyg_msg3d.io.unpickle import unpickle

NAMES = ('S001C001P003R001A001', 'S001C001P003R001A002', 'S001C001P003R001A004')
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(3, 5)).astype(np.float32)
PROBABILITIES = torch.from_numpy(LOGITS).softmax(1)
LABELS = np.array([0, 1, 3])


def write(path, content, protocol=pickle.DEFAULT_PROTOCOL):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def test_ours(tmp_path):
    for names, labels in [(NAMES, LABELS), (None, None)]:
        Scores(LOGITS, 'logits', names, labels).save(tmp_path / 'scores.npz')
        for path in (tmp_path, tmp_path / 'scores.npz'):
            scores = read_scores(path)
            np.testing.assert_array_equal(scores.values, LOGITS)
            assert (scores.kind, scores.names) == ('logits', names)
            assert (scores.labels is None) == (labels is None)


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_authors(tmp_path, protocol):
    content = {f'{n}.skeleton': row for n, row in zip(NAMES, LOGITS, strict=True)}
    scores = read_scores(write(tmp_path / 'epoch1_test_score.pkl', content, protocol))
    np.testing.assert_allclose(scores.values, LOGITS)
    assert (scores.names, scores.kind) == (NAMES, 'logits')
    assert scores.labels.tolist() == [0, 1, 3]
    labels = write(
        tmp_path / 'val_label.pkl', ([f'{n}.skeleton' for n in NAMES], [4, 2, 0])
    )
    assert read_labels(labels) == dict(zip(NAMES, [4, 2, 0], strict=True))
    with pytest.raises(SkeletonDataError, match='a pair of equally long lists'):
        read_labels(write(tmp_path / 'x.pkl', [1, 2, 3]))


@pytest.mark.parametrize('protocol', range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize('form', ['tensors', 'nested', 'rows of one tensor', 'arrays'])
def test_mmaction2(tmp_path, form, protocol):
    dumped = []
    for row, label in zip(PROBABILITIES, LABELS, strict=True):
        row, label = row.clone(), torch.tensor([label])
        if form == 'nested':
            row, label = {'item': row}, {'item': label}
        keys = (
            ('pred_scores', 'gt_labels')
            if form == 'nested'
            else ('pred_score', 'gt_label')
        )
        dumped.append(dict(zip(keys, (row, label), strict=True)))
    if form == 'rows of one tensor':
        for row, entry in zip(PROBABILITIES, dumped, strict=True):
            entry['pred_score'] = row
    if form == 'arrays':
        for entry, label in zip(dumped, LABELS, strict=True):
            entry.update(pred_score=entry['pred_score'].numpy(), gt_label=int(label))
    dumped[0]['num_clips'], dumped[0]['pred_label'] = 10, torch.tensor([1])
    scores = read_scores(write(tmp_path / 'result.pkl', dumped, protocol))
    np.testing.assert_allclose(scores.values, PROBABILITIES, rtol=1e-6)
    assert (scores.kind, scores.names) == ('probabilities', None)
    assert scores.labels.tolist() == LABELS.tolist()
    for entry, name in zip(dumped, NAMES, strict=True):
        entry['frame_dir'] = name
    assert read_scores(write(tmp_path / 'result.pkl', dumped)).names == NAMES


def test_pyskl(tmp_path):
    scores = read_scores(write(tmp_path / 'result.pkl', list(PROBABILITIES.numpy())))
    assert (scores.kind, scores.names, scores.labels) == ('probabilities', None, None)


@pytest.mark.parametrize('dtype', ['float64', 'float32', 'float16', 'int64', 'int32',
                                   'int16', 'int8', 'uint8', 'bool'])  # fmt: skip
def test_tensors(dtype):
    tensor = (torch.arange(24) % 3).reshape(2, 3, 4).to(getattr(torch, dtype))
    empty = tensor[:, :0]
    for value in (tensor, tensor.transpose(0, 2)[1:, 1], tensor[1, 2, 3], empty):
        read = unpickle(pickle.dumps(value), 'x', TENSORS)
        np.testing.assert_array_equal(read, value.numpy())
        assert read.dtype == value.numpy().dtype


def test_hostile_pickles_run_nothing(tmp_path):
    class Hostile:
        def __init__(self, function, *arguments):
            self.parts = function, arguments

        def __reduce__(self):
            return self.parts

    marker = tmp_path / 'hacked'
    inner = pickle.dumps(Hostile(os.mkdir, str(marker)))
    load = torch.storage._load_from_bytes
    rebuild = torch._utils._rebuild_tensor_v2
    for content in (
        Hostile(os.mkdir, str(marker)),
        {'a': Hostile(os.mkdir, str(marker))},
        Hostile(load, inner),
        Hostile(load, b''),
        Hostile(load, 'text'),
        Hostile(rebuild, np.zeros(3), 0, (2, 2), (1, 1), False, None),
        Hostile(rebuild, np.zeros(3), 0, (3,), (2**40,), False, None),
        Hostile(rebuild, np.zeros(3), -1, (3,), (1,), False, None),
        Hostile(rebuild, np.zeros(3), 0, (2**39, 2**39), (0, 0), False, None),
        Hostile(rebuild, [1], 0, (1,), (1,), False, None),
    ):
        path = write(tmp_path / 'hostile.pkl', content)
        with pytest.raises(SkeletonDataError, match='cannot be unpickled'):
            read_scores(path)
    assert not marker.exists()


def test_a_storage_that_claims_more_than_it_has():
    whole = pickle.dumps(torch.zeros(4))
    count = struct.pack('<q', 4)
    for claim in (5, 2**40, -1):
        damaged = whole.replace(count, struct.pack('<q', claim))
        assert damaged != whole
        with pytest.raises(SkeletonDataError, match='cut off'):
            unpickle(damaged, 'x', TENSORS)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_bytes(tmp_path_factory, data):
    """Scores or our error, whatever a file holds."""
    rows = [
        {'pred_score': row, 'gt_label': torch.tensor([label])}
        for row, label in zip(PROBABILITIES, LABELS, strict=True)
    ]
    content = bytearray(pickle.dumps(rows))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp('any') / 'x.pkl'
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert isinstance(read_scores(path), Scores)
    except SkeletonDataError as error:
        message = str(error)
    else:
        return
    assert str(path) in message


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({}, 'expected our .npz'),
        ([], 'expected our .npz'),
        (7, 'expected our .npz'),
        ([{'pred_score': 1}], "entry 0: expected 'pred_score' and one 'gt_label'"),
        ([[1, 2], [1]], 'expected our .npz'),
        ({'a': 'text'}, 'expected our .npz'),
    ],
)
def test_other_content(tmp_path, content, message):
    with pytest.raises(SkeletonDataError, match=message):
        read_scores(write(tmp_path / 'x.pkl', content))


def test_damaged_files_of_ours(tmp_path):
    path = tmp_path / 'scores.npz'
    with pytest.raises(FileNotFoundError, match='no score file'):
        read_scores(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(SkeletonDataError, match='expected the arrays values, kind'):
        read_scores(path)
    Scores(LOGITS, 'logits', NAMES).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 255
    path.write_bytes(content)
    with pytest.raises(SkeletonDataError, match='no archive of arrays|CRC|cannot'):
        read_scores(path)
