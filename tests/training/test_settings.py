import argparse
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from actions import synthetic

from pyg_msg3d.models import Architecture
from pyg_msg3d.training import (
    RECIPES,
    Run,
    Settings,
    World,
    add_arguments,
    collect,
    plain_errors,
    recipe_argument,
    saver,
)
from pyg_msg3d.training.sampling import TrainSampler, train_loader

# Learning rates --------------------------------------------------------------------


def rates(settings, steps_per_epoch=10):
    return [
        settings.rate(step, steps_per_epoch)
        for step in range(settings.epochs * steps_per_epoch)
    ]


def test_cosine_is_torchs():
    settings = replace(RECIPES['mmaction2'], epochs=3)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30, eta_min=0)
    expected = []
    for _ in range(30):
        expected.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(rates(settings), expected, atol=1e-12)


def test_the_authors_steps():
    """0.05, and a tenth of it after epochs 30 and 40 of 50."""
    by_epoch = np.reshape(rates(RECIPES['official']), (50, 10))
    assert np.ptp(by_epoch, axis=1).max() == 0
    np.testing.assert_allclose(by_epoch[[0, 29], 0], 0.05)
    np.testing.assert_allclose(by_epoch[[30, 39], 0], 0.005)
    np.testing.assert_allclose(by_epoch[[40, 49], 0], 0.0005)


def test_warm_up_rises_linearly():
    settings = Settings(epochs=4, warm_up=1, lr=0.11, schedule='constant')
    np.testing.assert_allclose(rates(settings)[:10], 0.01 * np.arange(1, 11))
    assert rates(settings)[10] == 0.11
    cosine = rates(replace(settings, schedule='cosine'))
    assert cosine[10] == max(cosine) == 0.11
    assert cosine[-1] < 0.001


def test_learning_rate_scales_with_the_batch():
    recipe = RECIPES['mmaction2']
    assert recipe.learning_rate == 0.1
    assert replace(recipe, batch_size=64).learning_rate == 0.05
    assert replace(recipe, batch_size=64, lr=0.3).learning_rate == 0.3


def test_recipes():
    """What was published."""
    mmaction2, official = RECIPES['mmaction2'], RECIPES['official']
    assert (mmaction2.epochs, mmaction2.repeat, mmaction2.batch_size) == (16, 5, 128)
    assert (mmaction2.schedule, mmaction2.average) == ('cosine', 'probabilities')
    assert (official.epochs, official.batch_size, official.gamma) == (50, 32, 0.1)
    for recipe in RECIPES.values():
        assert recipe.momentum == 0.9
    assert RECIPES['official-ntu120'].milestones == (30, 50)
    assert RECIPES['official-kinetics'].weight_decay == 3e-4
    ctrgcn = RECIPES['ctrgcn']
    assert (ctrgcn.epochs, ctrgcn.repeat, ctrgcn.batch_size) == (65, 5, 16)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'epochs': 0}, "'epochs' must be at least 1 .got 0"),
        ({'lr': -1}, "'lr' must be above 0 .got -1"),
        ({'momentum': 1}, r"'momentum' must be in \[0, 1\) .got 1"),
        ({'precision': 'int8'}, "'precision' must be one of .* .got 'int8'"),
        ({'warm_up': 90}, "'warm_up' must be below epochs"),
        ({'schedule': 'steps'}, "needs 'milestones'"),
        ({'compile': True, 'checkpoint_activations': True}, 'exclude each other'),
        ({'milestones': (3,)}, "'milestones' are for schedule 'steps'"),
        ({'schedule': 'steps', 'milestones': (4, 3)}, 'ascending epochs'),
    ],
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        Settings(**arguments)


# Who reads what ----------------------------------------------------------------------


def draws(size, parts=1, epoch=0, step=0, **kwargs):
    """The draws of all processes, [steps, parts * processes, clips]."""
    arguments = {'num_samples': 29, 'batch_size': 12, 'repeat': 2, 'seed': 3, **kwargs}
    shares = []
    for rank in range(size):
        sampler = TrainSampler(parts=parts, world=World(rank, size), **arguments)
        sampler.start(epoch, step)
        shares.append(list(sampler))
        assert len(sampler) == len(shares[-1])
    steps = len(shares[0]) // parts
    return [
        [
            draw
            for a in range(parts)
            for share in shares
            for draw in share[s * parts + a]
        ]
        for s in range(steps)
    ]


def test_batches_do_not_depend_on_the_processes():
    whole = draws(1)
    assert len(whole) == 29 * 2 // 12
    for size, parts in [(2, 1), (1, 3), (3, 2), (2, 2)]:
        assert draws(size, parts) == whole
    flat = [draw for batch in whole for draw in batch]
    indices = [index for index, _ in flat]
    assert set(indices) <= set(range(29))
    assert max(np.bincount(indices)) == 2
    assert len({seed for _, seed in flat}) == len(flat)


def test_epochs_and_seeds_differ_and_steps_are_found_again():
    assert draws(1, epoch=1) != draws(1) != draws(1, seed=4)
    assert draws(2, epoch=1, step=3) == draws(2, epoch=1)[3:]


def test_augmentation_follows_the_draw(clips):
    """The same whoever reads it, and without a trace on other random numbers."""
    augmented = synthetic(augment=True)
    sampler = TrainSampler(13, 4, 1, 1, 0, World())
    loader = train_loader(augmented, sampler, 0, pin_memory=False)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = [batch.x for batch in loader]
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(2)
    for one, other in zip(first, loader, strict=True):
        assert one.equal(other.x)
    sampler.start(1, 0)
    assert not any(one.equal(other.x) for one, other in zip(first, loader, strict=True))


# The command line ----------------------------------------------------------------


def parse(monkeypatch, *words):
    monkeypatch.setattr('sys.argv', ['train.py', *words])
    parser = argparse.ArgumentParser()
    parser.add_argument('--data', required=True)
    recipes = {name: RECIPES[name] for name in ('mmaction2', 'official')}
    add_arguments(parser, recipe_argument(parser, recipes), leave_out=['seed'])
    add_arguments(parser, Architecture())
    add_arguments(parser, Run())
    return parser.parse_args()


def test_arguments_become_settings(monkeypatch):
    args = parse(monkeypatch, '--data', 'x')
    assert collect(args, Settings) == RECIPES['mmaction2']
    assert collect(args, Run) == Run()
    args = parse(
        monkeypatch, '--data', 'x', '--recipe', 'official', '--milestones', '3,4',
        '--ema', '0.9', '--compile', '--seeds', '0,1,2', '--clip-norm', 'none',
        '--precision', 'bf16', '--channels', '48,96', '--lr', '0.2',
    )  # fmt: skip
    expected = replace(
        RECIPES['official'], milestones=(3, 4), ema=0.9, compile=True,
        precision='bf16', lr=0.2, seed=7,
    )  # fmt: skip
    assert collect(args, Settings, seed=7) == expected
    assert collect(args, Run).seeds == (0, 1, 2)
    model = collect(args, Architecture).build('coco-17', 5)
    assert asdict(collect(args, Architecture))['channels'] == (48, 96)
    assert (model.num_classes, len(model.blocks)) == (5, 2)


def test_help_shows_the_defaults_of_the_recipe(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        parse(monkeypatch, '--recipe', 'official', '--help')
    printed = capsys.readouterr().out
    assert '(default: 30,40)' in printed
    assert '--no-compile' in printed
    assert '{auto,float32,bf16,fp16}' in printed


def test_wrong_words_are_refused(monkeypatch, capsys):
    for words in (['--epochs', 'many'], ['--precision', 'int4'], ['--ema', 'yes'],
                  ['--recipe', 'other'], ['--milestones', '1,b']):  # fmt: skip
        with pytest.raises(SystemExit):
            parse(monkeypatch, '--data', 'x', *words)
        assert f'argument {words[0]}: invalid' in capsys.readouterr().err


def test_plain_errors(capsys):
    with pytest.raises(SystemExit) as exit, plain_errors():
        raise ValueError('expected a, got b')
    assert exit.value.code == 2
    assert capsys.readouterr().err == 'ValueError: expected a, got b\n'
    with pytest.raises(KeyError), plain_errors():
        raise KeyError('a defect keeps its traceback')


def test_when_to_save(monkeypatch):
    """After so many steps; or such that little time is lost, and little taken."""
    clock = [100.0]
    monkeypatch.setattr(saver, 'perf_counter', lambda: clock[0])
    every = saver.Saver(3)
    assert [every.due(step) for step in range(1, 7)] == [False, False, True] * 2
    some = saver.Saver(0)
    assert some.due(1)  # Who knows how long this process lives.
    some.saved(0.1)
    assert not some.due(2)
    clock[0] += 1.99
    assert not some.due(3)  # A twentieth of the time would be too much.
    clock[0] += 0.02
    assert some.due(4)
    clock[0] = 200.0
    some.saved(0.1)
    clock[0] += 9.9
    assert not some.due(5)
    clock[0] += 0.2
    assert some.due(6)  # A tenth of what this process has lived.
    clock[0] = 100_000.0
    some.saved(0.1)
    clock[0] += 599
    assert not some.due(7)
    clock[0] += 2
    assert some.due(8)
