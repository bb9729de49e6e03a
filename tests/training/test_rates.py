"""What settings allow, the learning rates that they give, and what is published."""

import json
from dataclasses import asdict, fields, replace
from math import cos, inf, nan, pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyg_msg3d.training import RECIPES, Settings

# Recipes and defaults ---------------------------------------------------------------

# By the authors (config/*/train_joint.yaml), MMAction2 and PYSKL (80 epochs: 16 of
# five times the data), and CTR-GCN (NW-UCLA).
PUBLISHED = {
    'official': {
        'epochs': 50, 'batch_size': 32, 'test_batch_size': 32, 'learning_rate': 0.05,
        'milestones': (30, 40), 'weight_decay': 0.0005, 'average': 'logits',
    },
    'official-ntu120': {
        'epochs': 60, 'batch_size': 32, 'test_batch_size': 32, 'learning_rate': 0.05,
        'milestones': (30, 50), 'weight_decay': 0.0005, 'average': 'logits',
    },
    'official-kinetics': {
        'epochs': 65, 'batch_size': 128, 'learning_rate': 0.1,
        'milestones': (45, 55), 'weight_decay': 0.0003, 'average': 'logits',
    },
    'mmaction2': {
        'epochs': 16, 'repeat': 5, 'batch_size': 128, 'learning_rate': 0.1,
        'milestones': (), 'schedule': 'cosine', 'weight_decay': 0.0005,
        'average': 'probabilities',
    },
    'ctrgcn': {
        'epochs': 65, 'repeat': 5, 'batch_size': 16, 'learning_rate': 0.1,
        'milestones': (50,), 'weight_decay': 0.0001, 'warm_up': 5,
        'average': 'logits',
    },
}  # fmt: skip


@pytest.mark.parametrize('name', RECIPES)
def test_recipes_are_the_published_ones(name):
    recipe = RECIPES[name]
    for key, value in PUBLISHED[name].items():
        assert getattr(recipe, key) == value, key
    if recipe.milestones:
        assert (recipe.schedule, recipe.gamma) == ('steps', 0.1)
    assert recipe.momentum == 0.9
    assert recipe.clip_norm is recipe.ema is None
    assert recipe.label_smoothing == 0
    assert recipe.repeat == PUBLISHED[name].get('repeat', 1)
    assert recipe.warm_up == PUBLISHED[name].get('warm_up', 0)


@pytest.mark.parametrize('name', RECIPES)
def test_half_the_batch_of_a_recipe_takes_half_its_rate(name):
    recipe = RECIPES[name]
    half = replace(recipe, batch_size=recipe.batch_size // 2)
    assert half.learning_rate == pytest.approx(recipe.learning_rate / 2)


def test_without_a_recipe():
    """As many passes as MMAction2's recipe, at the authors' rate for their batch; and
    nothing that is not in both."""
    plain, official = Settings(), RECIPES['official']
    mmaction2 = RECIPES['mmaction2']
    assert plain.epochs * plain.repeat == mmaction2.epochs * mmaction2.repeat == 80
    assert (plain.repeat, plain.schedule) == (1, 'cosine')
    for key in ('batch_size', 'learning_rate', 'weight_decay', 'gamma'):
        assert getattr(plain, key) == getattr(official, key)
    assert replace(plain, batch_size=64).learning_rate == 0.1
    assert (plain.precision, plain.accumulate) == ('auto', 1)
    off = ('compile', 'sync_batch_norm', 'checkpoint_activations', 'deterministic')
    assert not any(getattr(plain, name) for name in off)
    assert (plain.seed, plain.num_workers, plain.save_every) == (0, 0, 0)
    assert (plain.test_every, plain.test_batch_size) == (1, 64)
    assert plain.tensorboard


# What is allowed ----------------------------------------------------------------------

ONE_OR_MORE = (
    'epochs',
    'repeat',
    'batch_size',
    'base_batch',
    'accumulate',
    'test_batch_size',
    'test_every',
)


@pytest.mark.parametrize(
    ('names', 'allowed', 'refused'),
    [
        (
            ONE_OR_MORE,
            [1, 2],
            [0, -1],
        ),
        (['weight_decay', 'warm_up', 'save_every', 'num_workers', 'seed'],
         [0, 1], [-1, -0.5]),
        (['base_lr', 'gamma'], [1e-9, 1, 2], [0, -1]),
        (['lr', 'clip_norm'], [None, 1e-9, 1, 2], [0, -1]),
        (['momentum', 'label_smoothing'], [0, 0.5, 1 - 1e-9], [1, 1.5, -1e-9]),
        (['ema'], [None, 0, 0.5, 1 - 1e-9], [1, 1.5, -1e-9]),
        (['precision'], ['auto', 'float32', 'bf16', 'fp16'], ['float64', 'half']),
        (['schedule'], ['cosine', 'constant'], ['linear', '']),
        (['average'], ['logits', 'probabilities'], ['scores', '']),
    ],
)  # fmt: skip
def test_limits(names, allowed, refused):
    for name in names:
        for value in allowed:
            assert getattr(Settings(**{name: value}), name) == value
        for value in refused:
            with pytest.raises(ValueError, match=f"'{name}' must be .*{value}"):
                Settings(**{name: value})


def test_numbers_that_are_none_are_refused():
    for name in ('lr', 'momentum', 'weight_decay', 'ema', 'warm_up'):
        with pytest.raises(ValueError, match=name):
            Settings(**{name: nan})


def test_it_must_warm_up_before_the_end():
    assert Settings(epochs=5, warm_up=4.9).warm_up == 4.9
    with pytest.raises(ValueError, match="'warm_up' must be below epochs"):
        Settings(epochs=5, warm_up=5)


@pytest.mark.parametrize('milestones', [(1,), (1, 2), (5, 30, 31)])
def test_ascending_milestones(milestones):
    settings = Settings(schedule='steps', milestones=milestones)
    assert settings.milestones == milestones


@pytest.mark.parametrize('milestones', [(3, 3), (0, 3), (-1, 3), (1, 3, 2), (2, 1, 3)])
def test_other_milestones(milestones):
    with pytest.raises(ValueError, match='ascending epochs'):
        Settings(schedule='steps', milestones=milestones)


def test_what_excludes_each_other_is_fine_alone():
    for name in ('compile', 'checkpoint_activations'):
        assert getattr(Settings(**{name: True}), name)
    for schedule in ('cosine', 'constant'):
        with pytest.raises(ValueError, match="are for schedule 'steps'"):
            Settings(schedule=schedule, milestones=(2,))


# Learning rates -----------------------------------------------------------------------


@given(
    st.integers(1, 9),
    st.integers(1, 12),
    st.sampled_from(['cosine', 'steps', 'constant']),
    st.sampled_from([0, 0.1, 0.25, 0.5, 0.9]),
)
def test_rates_rise_once_and_then_never(epochs, steps, schedule, part):
    """A straight rise to the peak, which is reached after it, and from there the
    schedule; every rate is above 0."""
    settings = Settings(
        epochs=epochs, schedule=schedule, lr=0.3, warm_up=part * epochs, gamma=0.5,
        milestones=(1, 4) if schedule == 'steps' else (),
    )  # fmt: skip
    rates = [settings.rate(step, steps) for step in range(epochs * steps)]
    rise = round(part * epochs * steps)
    assert rates[:rise] == pytest.approx(
        [0.3 * n / (rise + 1) for n in range(1, rise + 1)]
    )
    rest = rates[rise:]
    assert rest == sorted(rest, reverse=True)
    assert all(0 < rate <= 0.3 for rate in rates)
    for offset, rate in enumerate(rest):
        epoch = (rise + offset) // steps
        expected = {
            'constant': 1,
            'steps': 0.5 ** ((epoch >= 1) + (epoch >= 4)),
            'cosine': 0.5 + 0.5 * cos(pi * offset / len(rest)),
        }
        assert rate == pytest.approx(0.3 * expected[schedule])


def test_the_cosine_ends_at_zero():
    settings = Settings(epochs=4, warm_up=1, lr=1.0)
    assert settings.rate(39, 10) > settings.rate(40, 10) == 0
    # Here all steps but the last belong to the rise.
    assert 0 <= Settings(epochs=1, warm_up=0.99, lr=1.0).rate(10, 10) <= 1


# Going on with other settings ---------------------------------------------------------

# Not what is computed, but where, how fast, and what of it is looked at.
FREE = {
    'accumulate': 2,
    'checkpoint_activations': True,
    'compile': True,
    'cuda_graphs': True,
    'num_workers': 3,
    'save_every': 7,
    'deterministic': True,
    'tensorboard': False,
    'test_batch_size': 5,
    'test_every': 2,
}
BOUND = {
    'epochs': 81,
    'repeat': 2,
    'batch_size': 16,
    'lr': 0.2,
    'base_lr': 0.2,
    'base_batch': 64,
    'momentum': 0.8,
    'weight_decay': 0.0,
    'schedule': 'constant',
    'gamma': 0.2,
    'warm_up': 3,
    'label_smoothing': 0.1,
    'precision': 'bf16',
    'clip_norm': 1.0,
    'ema': 0.9,
    'sync_batch_norm': True,
    'seed': 1,
    'average': 'probabilities',
}


def stored(settings):
    """As a checkpoint or a file keeps them: tuples come back as lists."""
    return json.loads(json.dumps(asdict(settings)))


def test_what_may_change_on_the_way():
    names = {field.name for field in fields(Settings)}
    assert names == FREE.keys() | BOUND.keys() | {'milestones'}
    plain = stored(Settings())
    assert Settings().difference(plain) == []
    for name, value in FREE.items():
        assert replace(Settings(), **{name: value}).difference(plain) == []
    for name, value in BOUND.items():
        now = replace(Settings(), **{name: value})
        assert now.difference(plain) == [f'{name}: {plain[name]} then, {value} now']
    two = replace(Settings(), seed=1, ema=0.9)
    assert two.difference(plain) == ['ema: None then, 0.9 now', 'seed: 0 then, 1 now']


def test_milestones_come_back_as_a_list():
    recipe = RECIPES['official']
    assert recipe.difference(stored(recipe)) == []
    later = replace(recipe, milestones=(30, 45))
    assert later.difference(stored(recipe)) == [
        'milestones: [30, 40] then, (30, 45) now'
    ]


def test_settings_of_an_older_version():
    """What it did not know, and what it knew besides, is no difference."""
    old = stored(Settings())
    del old['ema']
    assert Settings(ema=0.9).difference({**old, 'gone': inf}) == []
