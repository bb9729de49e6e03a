"""Which clips are trained with, in which order, and that every clip is tested once,
however many processes share them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.loader import DataLoader

from pyg_msg3d.data import SkeletonData
from pyg_msg3d.training import World, predict, sampling
from pyg_msg3d.training.sampling import TrainSampler, train_loader
from pyg_msg3d.training.sampling import test_loader as load_for_testing


def sampler(n=29, batch=12, parts=1, repeat=2, seed=3, world=None, epoch=0):
    sampler = TrainSampler(n, batch, parts, repeat, seed, world or World())
    sampler.start(epoch, 0)
    return sampler


def drawn(**kwargs):
    """Indices and seeds of an epoch, in their order."""
    flat = [draw for batch in sampler(**kwargs) for draw in batch]
    return [index for index, _ in flat], [seed for _, seed in flat]


class Clips(torch.utils.data.Dataset):
    """Numbers as clips: clip i is full of i, belongs to class i % 3, and may be
    several clips or have a random number added."""

    def __init__(self, n, clips_of_sample=None, noise=False, broken=()):
        self.n, self.noise, self.broken = n, noise, broken
        self.shape = (2, 2, 3, 1)
        if clips_of_sample is not None:
            self.shape = (clips_of_sample, *self.shape)

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if index in self.broken:
            raise OSError(f'clip {index} cannot be read')
        noise = torch.rand(()) if self.noise else 0
        # Clips of a sample differ.
        x = torch.zeros(self.shape) + index + noise
        if len(self.shape) == 5:
            x += torch.arange(float(len(x)))[:, None, None, None, None]
        clip = SkeletonData(torch.zeros(2, 2, 3, 1), index % 3, f'clip {index}')
        clip.x = x  # One clip, or several.
        return clip


# Training -----------------------------------------------------------------------------


def test_every_epoch_and_seed_has_its_own_order():
    orders = [drawn(epoch=epoch)[0] for epoch in range(5)]
    orders += [drawn(seed=seed)[0] for seed in (0, 1, 2)]
    for place, order in enumerate(orders):
        assert order != sorted(order)
        assert order not in orders[:place]
    assert drawn(epoch=4)[0] == orders[4]


def test_every_draw_is_augmented_in_its_own_way():
    """In every place of every epoch of every seed."""
    seen = set()
    for seed in (0, 1):
        for epoch in (0, 1, 2):
            seeds = drawn(seed=seed, epoch=epoch)[1]
            assert len(seeds) == 48
            assert seen.isdisjoint(seeds)
            seen |= set(seeds)
    assert len(seen) == 6 * 48
    # They use the whole range of positive int64.
    assert all(0 <= seed < 2**63 for seed in seen)
    assert max(seen) > 2**62


def test_no_augmentation_repeats_the_numbers_of_the_order():
    order, seeds = drawn(n=24, batch=24, repeat=1)
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        assert torch.randperm(24, generator=generator).tolist() != order


@given(st.integers(1, 20), st.integers(1, 3), st.integers(1, 20), st.integers(0, 9))
def test_an_epoch_is_a_permutation_of_the_repeated_data(n, repeat, batch, epoch):
    batch = min(batch, n * repeat)
    a = sampler(n, batch, repeat=repeat, epoch=epoch)
    batches = list(a)
    assert len(batches) == len(a) == a.num_steps == n * repeat // batch
    assert {len(b) for b in batches} == {batch}
    counts = torch.tensor([index for b in batches for index, _ in b]).bincount()
    assert counts.sum() == n * repeat - n * repeat % batch
    assert len(counts) <= n
    assert counts.max() <= repeat
    if n * repeat % batch == 0:
        assert counts.tolist() == [repeat] * n


def test_all_clips_have_their_turn():
    """What an epoch leaves out is in another."""
    seen = set()
    for epoch in range(20):
        seen |= set(drawn(n=13, batch=4, repeat=1, epoch=epoch)[0])
    assert seen == set(range(13))


def test_a_new_sampler_begins_at_the_beginning():
    fresh = TrainSampler(13, 4, 1, 1, 0, World())
    started = TrainSampler(13, 4, 1, 1, 0, World())
    started.start(0, 0)
    assert list(fresh) == list(started)
    started.start(0, 1)
    assert (len(started), list(started)) == (2, list(fresh)[1:])
    started.start(0, 3)
    assert (len(started), list(started)) == (0, [])


def test_sizes_that_do_not_fit():
    assert len(TrainSampler(6, 12, 2, 2, 0, World(0, 3))) == 2
    with pytest.raises(ValueError, match='3 processes x 2 parts .got 10'):
        TrainSampler(60, 10, 2, 1, 0, World(0, 3))
    with pytest.raises(ValueError, match='3 processes x 1 parts .got 2'):
        TrainSampler(60, 2, 1, 1, 0, World(0, 3))
    with pytest.raises(ValueError, match='11 clips x 1, fewer than a batch of 12'):
        TrainSampler(11, 12, 1, 1, 0, World())


def loader_for(dataset, workers=0, pin_memory=False, **kwargs):
    a = sampler(len(dataset), 4, repeat=1, **kwargs)
    return train_loader(dataset, a, workers, pin_memory)


def test_batches_are_what_was_drawn():
    batches = list(loader_for(Clips(13)))
    found = [float(x[0, 0, 0, 0]) for batch in batches for x in batch.x]
    assert found == drawn(n=13, batch=4, repeat=1)[0]


def test_workers_draw_the_same_augmentation():
    alone = [batch.x for batch in loader_for(Clips(13, noise=True))]
    helped = [batch.x for batch in loader_for(Clips(13, noise=True), workers=1)]
    assert len(alone) == len(helped) == 3
    assert all(a.equal(b) for a, b in zip(alone, helped, strict=True))
    assert torch.cat(alone).frac().unique().numel() == 12


def test_a_clip_that_fails_leaves_random_numbers_as_they_were():
    before = torch.get_rng_state()
    with pytest.raises(OSError, match='clip . cannot be read'):
        list(loader_for(Clips(4, noise=True, broken=range(4))))
    assert torch.get_rng_state().equal(before)


def test_loaders_are_set_up_as_asked():
    """Workers are prepared to end with this process, and memory is pinned."""
    for pin in (False, True):
        for loader in (
            loader_for(Clips(13), 2, pin),
            load_for_testing(Clips(13), 4, 2, World(), pin),
        ):
            assert loader.num_workers == 2
            assert loader.pin_memory is pin
            assert callable(loader.worker_init_fn)


# Testing ------------------------------------------------------------------------------


def shares(n, size, batch):
    """The numbers that the processes test, as [process][batch][clip]."""
    return [
        [
            [int(x[0, 0, 0, 0]) for x in found.x]
            for found in load_for_testing(Clips(n), batch, 0, World(rank, size), False)
        ]
        for rank in range(size)
    ]


@given(st.integers(0, 17), st.integers(1, 5), st.integers(1, 6))
def test_every_clip_is_tested_by_one_process(n, size, batch):
    """None twice, none left out, and no process has two more than another."""
    found = shares(n, size, batch)
    flat = [[clip for some in share for clip in some] for share in found]
    assert sorted(clip for share in flat for clip in share) == list(range(n))
    for share in flat:
        assert share == sorted(share)
        assert n // size <= len(share) <= -(-n // size)
    for share in found:
        # Full batches, but for the last.
        assert all(len(some) == batch for some in share[:-1])
        assert all(1 <= len(some) <= batch for some in share)


def test_the_last_clips_are_tested_too():
    assert shares(8, 3, 2) == [[[0, 3], [6]], [[1, 4], [7]], [[2, 5]]]
    assert shares(3, 4, 2) == [[[0]], [[1]], [[2]], []]


def test_one_batch_needs_no_workers():
    for n, size, workers in [(4, 1, 0), (5, 1, 2), (8, 2, 0), (9, 2, 2), (0, 1, 0)]:
        loader = load_for_testing(Clips(n), 4, 2, World(0, size), False)
        assert loader.num_workers == workers
    # The second of two has four of nine.
    assert load_for_testing(Clips(9), 4, 2, World(1, 2), False).num_workers == 0


def test_testing_leaves_random_numbers_as_they_were():
    before = torch.get_rng_state()
    assert len(list(load_for_testing(Clips(5), 2, 0, World(), False))) == 3
    assert torch.get_rng_state().equal(before)


class Model(torch.nn.Module):
    """Logits that follow from the first number of a clip; as many classes as its
    weight has entries."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([0.0, 0.25, -0.5, 1.0]))
        self.modes, self.sizes = [], []

    def forward(self, x):
        self.modes.append((self.training, torch.is_grad_enabled()))
        self.sizes.append(len(x))
        assert x.dim() == 5
        return x[:, 0, 0, 0] * self.weight


class Waiting(Exception):  # noqa: N818
    """A process got to where it needs the others."""


def predicted_together(dataset, size, **kwargs):
    """What each of so many processes gets, run one after the other: up to where they
    exchange what they have, and then once more with that."""
    had = {}

    class Together(World):
        def gather(self, value):
            had[self.rank] = value
            if len(had) < size:
                raise Waiting
            return [had[rank] for rank in range(size)]

    for rank in range(size - 1):
        with pytest.raises(Waiting):
            predict(Model(), dataset, world=Together(rank, size), **kwargs)
    return [
        predict(Model(), dataset, world=Together(rank, size), **kwargs)
        for rank in reversed(range(size))
    ]


@given(st.integers(1, 14), st.integers(1, 6), st.integers(1, 5))
def test_scores_are_in_the_order_of_the_data_on_all_processes(n, size, batch):
    for scores in predicted_together(Clips(n), size, batch_size=batch):
        assert scores.names == tuple(f'clip {i}' for i in range(n))
        assert scores.labels.tolist() == [i % 3 for i in range(n)]
        assert scores.labels.dtype == 'int64'
        expected = torch.arange(float(n))[:, None] * Model().weight.detach()
        assert scores.values.tolist() == expected.tolist()
        assert scores.kind == 'logits'


@pytest.mark.parametrize('average', ['logits', 'probabilities'])
@pytest.mark.parametrize('size', [1, 2, 3])
def test_the_mean_over_the_clips_of_a_sample(average, size):
    """Each sample's clips are i, i + 1 and i + 2 here."""
    clips = torch.arange(7.0)[:, None] + torch.arange(3.0)
    logits = clips[:, :, None] * Model().weight.detach()
    if average == 'probabilities':
        logits = logits.softmax(2)
    for scores in predicted_together(Clips(7, 3), size, average=average):
        torch.testing.assert_close(torch.from_numpy(scores.values), logits.mean(1))
        assert scores.kind == average


def test_a_batch_counts_all_clips_of_its_samples():
    for batch_size, sizes in [(6, [6, 6, 3]), (7, [6, 6, 3]), (1, [3] * 5)]:
        model = Model()
        predict(model, Clips(5, 3), batch_size=batch_size)
        assert model.sizes == sizes
    model = Model()
    predict(model, Clips(5), batch_size=2)
    assert model.sizes == [2, 2, 1]
    model = Model()
    predict(model, Clips(130))
    assert model.sizes == [64, 64, 2]


@pytest.mark.parametrize('training', [True, False])
def test_the_model_is_tested_as_such_and_left_as_it_was(training):
    model = Model().train(training)
    predict(model, Clips(3), 2)
    assert model.modes == [(False, False)] * 2
    assert model.training is training


def test_the_models_type_of_numbers():
    scores = predict(Model().double(), Clips(3))
    assert scores.values.dtype == 'float64'
    scores = predict(Model(), Clips(3), precision='bf16')
    assert scores.values.dtype == 'float32'


def test_names_that_occur_twice_are_left_out():
    class Namesakes(Clips):
        def __getitem__(self, index):
            clip = super().__getitem__(index)
            clip.name = f'clip {index // 2}'
            return clip

    assert predict(Model(), Namesakes(2)).names is None
    assert predict(Model(), Namesakes(1)).names == ('clip 0',)


def test_workers_help_predicting(monkeypatch):
    asked = []
    initialise = DataLoader.__init__

    def watched(self, *args, **kwargs):
        asked.append((kwargs['num_workers'], kwargs['pin_memory']))
        kwargs['num_workers'] = 0
        initialise(self, *args, **kwargs)

    monkeypatch.setattr(DataLoader, '__init__', watched)
    monkeypatch.setattr(sampling, 'num_cores', lambda: 4)
    predict(Model(), Clips(5), 2, num_workers=3)
    predict(Model(), Clips(5), 2)
    assert asked == [(3, False), (0, False)]


@pytest.mark.parametrize(
    ('asked', 'cores', 'beside', 'batches', 'workers'),
    [(4, 8, 1, 9, 4), (4, 2, 1, 9, 2), (4, 2, 2, 9, 1), (4, 2, 4, 9, 1),
     (0, 8, 1, 9, 0), (4, 8, 2, 3, 3)],
)  # fmt: skip
def test_cores_are_shared_out(monkeypatch, asked, cores, beside, batches, workers):
    monkeypatch.setattr(sampling, 'num_cores', lambda: cores)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', str(beside))
    assert sampling.shared_workers(asked, batches) == workers
