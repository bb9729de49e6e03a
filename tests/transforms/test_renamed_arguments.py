"""Arguments that have another name now: the old one is taken, with a warning."""

import warnings

import pytest
import torch

import pyg_msg3d.transforms as T
from pyg_msg3d.data import SkeletonData
from pyg_msg3d.transforms.renamed import renamed


@pytest.mark.parametrize(
    ('make', 'expected', 'message'),
    [
        (
            lambda: T.SampleFrames(7, random=True),
            T.SampleFrames(7, train=True),
            r'SampleFrames\(random=True\) is deprecated: write .*\(train=True\)',
        ),
        (
            lambda: T.SampleFrames(num_frames=7, random=False),
            T.SampleFrames(7, train=False),
            r'write SampleFrames\(train=False\)',
        ),
        (
            lambda: T.UniformSampleFrames(7, test=True, seed=3),
            T.UniformSampleFrames(7, train=False, seed=3),
            r'UniformSampleFrames\(test=True\) .* UniformSampleFrames\(train=False\)',
        ),
        (
            lambda: T.UniformSampleFrames(7, 2, test=False),
            T.UniformSampleFrames(7, 2, train=True),
            r'write UniformSampleFrames\(train=True\)',
        ),
    ],
)
def test_old_names_are_taken_with_a_warning(make, expected, message):
    with pytest.warns(DeprecationWarning, match=message) as said:
        found = make()
    assert vars(found) == vars(expected)
    assert str(found) == str(expected)
    # Where it is written, so that who wrote it finds it.
    assert said[0].filename == __file__


def test_an_old_name_samples_as_the_new_one():
    clip = SkeletonData(torch.arange(50.0).view(1, 50, 1, 1))
    with pytest.warns(DeprecationWarning, match='train=False'):
        old = T.UniformSampleFrames(5, test=True)
    assert old(clip).x.equal(T.UniformSampleFrames(5, train=False)(clip).x)
    assert T.UniformSampleFrames(5).train
    assert not T.SampleFrames(5).train


def test_new_names_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        T.SampleFrames(7)
        T.SampleFrames(7, True)
        T.UniformSampleFrames(7, 1, train=False)
        T.recipe('mmaction2').transform('ntu-rgb+d', train=False, num_clips=10)


def test_both_names_at_once_are_refused():
    with pytest.raises(TypeError, match="both 'random' and 'train', .*pass 'train'"):
        T.SampleFrames(7, random=True, train=False)
    with (
        pytest.warns(DeprecationWarning, match='train=False'),
        pytest.raises(TypeError, match="multiple values for argument 'train'"),
    ):
        T.SampleFrames(7, True, random=False)


def test_what_stood_where_train_stands_now_fails_loudly():
    """It had been `test`, the opposite."""
    with pytest.raises(TypeError, match='positional arguments'):
        T.UniformSampleFrames(7, 1, True)


def test_any_class_may_rename_an_argument():
    class Thing:
        @renamed('before', 'after')
        def __init__(self, after=1):
            """What it is."""
            self.after = after

    assert Thing().after == 1
    assert Thing.__init__.__doc__ == 'What it is.'
    with pytest.warns(DeprecationWarning, match=r'Thing\(before=2\) .* Thing\(after=2'):
        assert Thing(before=2).after == 2
