"""Data and models that do not fit are refused before anything is trained."""

import pytest
import torch
from actions import small_model, synthetic

from pyg_msg3d import MSG3D
from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.datasets import SyntheticActions
from pyg_msg3d.datasets.in_memory import InMemorySkeletonDataset
from pyg_msg3d.skeletons import skeleton
from pyg_msg3d.training import Settings, Trainer


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
    assert 'has label -1' in refusal(dataset(labels=(0, -1)), model())
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
