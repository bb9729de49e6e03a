"""Data and models that do not fit are refused before anything is trained."""

import numpy as np
import pytest
import torch
from actions import small_model, synthetic

import pyg_msg3d.transforms as T
from pyg_msg3d import MSG3D
from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.datasets import SkeletonFolder, SyntheticActions
from pyg_msg3d.datasets.in_memory import InMemorySkeletonDataset
from pyg_msg3d.evaluation import measure, read_scores
from pyg_msg3d.skeletons import skeleton
from pyg_msg3d.training import (
    Settings,
    Trainer,
    check_fit,
    predict,
    record_result,
)


def dataset(name='coco-17', channels=3, persons=2, labels=(0, 1, 2, 3)):
    joints = skeleton(name).num_joints
    clips = [
        SkeletonData(torch.randn(persons, 8, joints, channels), label, f'clip{label}')
        for label in labels
    ]
    return InMemorySkeletonDataset(clips, skeleton(name), ['a', 'b', 'c', 'd'])


def refusal(data, model, test=None):
    with pytest.raises(SkeletonDataError) as error:
        Trainer(model, data, test or data, Settings(batch_size=2, epochs=1))
    return str(error.value)


def model(name='coco-17', in_channels=3, num_classes=4):
    return MSG3D(name, num_classes, in_channels, 2, 2, 2, (3,), channels=(6,))


def test_both_sides_are_named():
    assert refusal(dataset(), model('ntu-rgb+d')) == (
        'The training data has 17 joints, but the model takes 25. Its skeleton is '
        "'ntu-rgb+d'; choose the one of the data"
    )
    assert refusal(dataset(channels=2), model()).startswith(
        'The training data has 2 channels of a joint, but the model takes 3. '
        'Key points in 2D have x, y and a score'
    )
    assert refusal(dataset(persons=1), model()).startswith(
        'The training data has 1 persons in a clip, but the model takes 2'
    )
    assert refusal(dataset(labels=(0, 1, 7)), model()) == (
        "The training data has label 7 (sample 'clip7'), but the model has 4 classes, "
        'labels 0 to 3'
    )
    assert '1 of 2 clips have no label' in refusal(dataset(labels=(0, -1)), model())
    assert refusal(dataset(labels=()), model()) == 'The training data has no clips'
    other = dataset('ntu-rgb+d-mmaction')
    assert "'ntu-rgb+d-mmaction', but the model's is 'ntu-rgb+d', which has other" in (
        refusal(other, model('ntu-rgb+d'))
    )


def test_test_data_is_looked_at_too():
    bad = dataset(labels=(9,))
    assert 'The test data has label 9' in refusal(dataset(), model(), bad)


def test_data_sets_of_ones_own_need_no_more_than_clips():
    """Without labels, skeleton or classes as attributes."""
    clips = list(synthetic())
    trainer = Trainer(
        small_model(synthetic()), clips, clips,
        Settings(batch_size=4, epochs=1, tensorboard=False),
    )  # fmt: skip
    assert trainer.fit()[0].train_loss > 0
    clips[2].y[:] = 20
    assert 'has label 20' in refusal(clips, small_model(synthetic()))


def test_labels_of_data_in_memory():
    clips = SyntheticActions('test', 1, 1)
    assert clips.labels.tolist() == list(range(13))
    assert clips[3:5].labels.tolist() == [3, 4]


def test_recordings_without_labels_are_predicted(tmp_path):
    rng = np.random.default_rng(0)
    rows = ['file,label']
    for name, label in (('a', ''), ('b', '-1'), ('c', '1')):
        np.save(tmp_path / f'{name}.npy', rng.normal(size=(8, 25, 3)))
        rows.append(f'{name}.npy,{label}')
    table = tmp_path / 'labels.csv'
    table.write_text('\n'.join(rows))
    clips = SkeletonFolder(tmp_path, transform=T.PadPersons(2), num_workers=0)
    classifier = MSG3D('ntu-rgb+d', 4, channels=(6, 12), gcn_scales=2, g3d_scales=2)
    scores = predict(classifier, clips)
    assert scores.names == ('a', 'b', 'c')
    assert scores.labels.tolist() == [-1, -1, 1]
    assert measure(scores).samples == 1
    check_fit(classifier, clips, 'new', labelled=False)
    with pytest.raises(SkeletonDataError, match='2 of 3 clips have no label, such as'):
        check_fit(classifier, clips, 'training')
    table.write_text('\n'.join(rows[:3]))
    clips = SkeletonFolder(tmp_path, transform=T.PadPersons(2), num_workers=0)
    scores = predict(classifier, clips)
    assert scores.labels is None
    record_result(tmp_path / 'result', scores, {'samples': 2})
    assert read_scores(tmp_path / 'result').names == ('a', 'b')
    with pytest.raises(ValueError, match='has no labels to measure against'):
        measure(scores)
