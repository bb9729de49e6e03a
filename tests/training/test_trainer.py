import json
import os
import re
import resource
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from actions import ROOT, same_weights, small_model, synthetic

from pyg_msg3d import MSG3D
from pyg_msg3d.datasets import SyntheticActions
from pyg_msg3d.evaluation import measure
from pyg_msg3d.training import (
    CheckpointError,
    Interrupted,
    Settings,
    Trainer,
    predict,
)
from pyg_msg3d.transforms import SampleFrames

SETTINGS = Settings(epochs=2, batch_size=4, lr=0.05, tensorboard=False)


def fit(clips, folder=None, settings=SETTINGS, model=None, **kwargs):
    trainer = Trainer(
        model or small_model(clips), clips, clips, settings, folder, **kwargs
    )
    trainer.fit()
    return trainer


def weights(trainer):
    return trainer.engine.model.state_dict()


# What a training does ------------------------------------------------------------


def test_it_learns_and_leaves_a_record(clips, tmp_path, capsys):
    settings = replace(SETTINGS, epochs=12, tensorboard=True)
    trainer = fit(clips, tmp_path, settings)
    history = trainer.history
    assert history[-1].train_loss < 0.8 * history[0].train_loss
    lines = (tmp_path / 'metrics.jsonl').read_text().splitlines()
    assert [json.loads(line)['epoch'] for line in lines] == list(range(1, 13))
    assert re.search(r'^epoch  12  loss .*train .*test ', capsys.readouterr().out, re.M)
    assert (
        json.loads((tmp_path / 'arguments.json').read_text())['learning_rate'] == 0.05
    )
    assert json.loads((tmp_path / 'environment.json').read_text())['processes'] == 1
    assert (tmp_path / 'curves.png').stat().st_size > 5_000
    assert any((tmp_path / 'tensorboard').iterdir())
    loaded = MSG3D.from_checkpoint(tmp_path / 'last.pt')
    assert same_weights(loaded.state_dict(), weights(trainer))
    assert loaded.skeleton.joints == clips.skeleton.joints


def test_the_best_test_is_kept(clips, tmp_path):
    trainer = fit(clips, tmp_path, replace(SETTINGS, epochs=6))
    accuracies = [epoch.test_accuracy for epoch in trainer.history]
    best = torch.load(tmp_path / 'best.pt', weights_only=True)
    # Of equal ones the last.
    assert best['epoch'] == 6 - accuracies[::-1].index(max(accuracies))
    metrics = measure(predict(MSG3D.from_checkpoint(tmp_path / 'best.pt'), clips))
    assert metrics.top1 == max(accuracies)


def test_the_same_seed_gives_the_same_model(clips):
    first, second = fit(clips), fit(clips)
    other = fit(clips, settings=replace(SETTINGS, seed=1))
    assert same_weights(weights(first), weights(second))
    assert not same_weights(weights(first), weights(other))


def test_learning_rates(clips):
    trainer = fit(clips, settings=replace(SETTINGS, schedule='constant', lr=None))
    assert [e.lr for e in trainer.history] == pytest.approx([0.05 / 8] * 2)


def test_parts_give_the_mean_gradient(clips):
    """With batch norm per part, and otherwise as if each were a step's half."""
    batches = list(torch.utils.data.DataLoader(clips, 4, collate_fn=list))
    settings = replace(SETTINGS, momentum=0, weight_decay=0, accumulate=2, lr=1.0)
    trainer = Trainer(small_model(clips).double(), clips, clips, settings)
    before = {k: p.detach().clone() for k, p in trainer.engine.model.named_parameters()}
    parts = [collate(batch) for batch in batches[:2]]
    trainer.engine.step(parts, lr=1.0)

    reference = small_model(clips).double()
    losses = [
        torch.nn.functional.cross_entropy(reference(part.x.double()), part.y)
        for part in parts
    ]
    (sum(losses) / 2).backward()
    for key, parameter in reference.named_parameters():
        after = trainer.engine.model.get_parameter(key)
        torch.testing.assert_close(before[key] - after, parameter.grad)


def collate(clips):
    from torch_geometric.data import Batch

    return Batch.from_data_list(list(clips))


def test_clipping_bounds_the_step(clips):
    settings = replace(SETTINGS, momentum=0, weight_decay=0, clip_norm=0.01)
    trainer = Trainer(small_model(clips), clips, clips, settings)
    before = [p.detach().clone() for p in trainer.engine.model.parameters()]
    trainer.engine.step([collate(clips[:8])], lr=1.0)
    after = trainer.engine.model.parameters()
    moved = [(a - b).flatten() for a, b in zip(after, before, strict=True)]
    assert torch.cat(moved).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_average_of_weights(clips, tmp_path):
    settings = replace(SETTINGS, ema=0.5, epochs=1, batch_size=6)
    trainer = Trainer(small_model(clips), clips, clips, settings, tmp_path)
    expected = None
    step = trainer.engine.step

    def watched(*args):
        nonlocal expected
        done = step(*args)
        new = trainer.engine.model.classifier.weight.detach().clone()
        expected = new if expected is None else 0.5 * expected + 0.5 * new
        return done

    trainer.engine.step = watched
    trainer.fit()
    average = trainer.engine.tested_model
    torch.testing.assert_close(average.classifier.weight, expected)
    loaded = MSG3D.from_checkpoint(tmp_path / 'last.pt')
    assert same_weights(loaded.state_dict(), average.state_dict())
    assert not same_weights(loaded.state_dict(), weights(trainer))


def test_checkpointed_activations_change_nothing(clips):
    """Neither gradients, nor running statistics, nor what dropout draws."""
    kwargs = {'dropout': 0.5}
    plain = fit(clips, model=small_model(clips, **kwargs))
    settings = replace(SETTINGS, checkpoint_activations=True)
    spared = fit(clips, settings=settings, model=small_model(clips, **kwargs))
    assert same_weights(weights(plain), weights(spared))
    batch = collate(clips[:4])
    assert kept_bytes(spared.engine.model, batch) < 0.6 * kept_bytes(
        plain.engine.model, batch
    )


def kept_bytes(model, batch):
    """What the backward pass is kept for."""
    kept = {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.train()(batch.x).sum()
    return sum(kept.values())


@pytest.mark.slow
def test_compiled(clips):
    settings = replace(SETTINGS, epochs=1, batch_size=13)
    plain = fit(clips, settings=settings)
    compiled = fit(clips, settings=replace(settings, compile=True))
    assert compiled.engine.model._compiled_call_impl is not None
    one, other = plain.history[0], compiled.history[0]
    assert other.train_loss == pytest.approx(one.train_loss, rel=1e-5)
    assert other.test_loss == pytest.approx(one.test_loss, rel=1e-3)
    assert weights(plain).keys() == weights(compiled).keys()


def test_repeats_and_workers_change_no_numbers(clips):
    augmented = synthetic(augment=True)
    settings = replace(SETTINGS, repeat=2, epochs=1)
    alone = fit(augmented, settings=settings)
    helped = fit(augmented, settings=replace(settings, num_workers=2))
    assert same_weights(weights(alone), weights(helped))
    assert not same_weights(weights(alone), weights(fit(clips, settings=settings)))


def test_a_bad_sample_stops_training_and_is_named():
    clips = SyntheticActions('test', 1, 1, transform=SampleFrames(8))
    clips.clips[3].x[0, :] = float('nan')
    settings = replace(SETTINGS, batch_size=13)
    trainer = Trainer(small_model(clips), clips, clips, settings)
    before = {k: p.detach().clone() for k, p in trainer.engine.model.named_parameters()}
    with pytest.raises(FloatingPointError, match=f"Epoch 1, step 1.*'{clips[3].name}'"):
        trainer.fit()
    assert same_weights(before, dict(trainer.engine.model.named_parameters()))


# Bits ----------------------------------------------------------------------------


@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_large_inputs_stay_finite(precision):
    """300 steps on coordinates in micrometres, far beyond what fp16 can hold."""
    clips = synthetic(frames=4)
    for clip in clips.clips:
        clip.x = clip.x * 1e6
    settings = replace(
        SETTINGS, epochs=100, batch_size=4, precision=precision, test_every=100
    )
    trainer = fit(clips, settings=settings)
    assert trainer.steps == 300
    assert all(p.isfinite().all() for p in trainer.engine.model.parameters())
    assert trainer.history[-1].train_loss < trainer.history[0].train_loss
    if precision == 'fp16':  # The scale has found its place, and steps were taken.
        assert 1 <= trainer.engine.precision.scaler.get_scale() < 2**20


def test_what_stays_in_float32(clips):
    """Weights, statistics and adjacencies; batch norm's mean of large bf16 numbers."""
    settings = replace(SETTINGS, precision='bf16')
    trainer = fit(clips, settings=settings)
    assert {v.dtype for v in weights(trainer).values()} == {torch.float32, torch.int64}
    seen = []
    model = trainer.engine.model
    block = model.blocks[0]
    block.gcn.adjacency.register_forward_hook(lambda *a: seen.append(a[2].weight.dtype))
    block.gcn.norm.register_forward_pre_hook(lambda m, a: seen.append(a[0].dtype))
    with trainer.engine.precision.autocast():
        logits = model(clips[0].x[None])
    assert seen == [torch.float32, torch.bfloat16]
    assert logits.dtype == torch.bfloat16

    norm = torch.nn.BatchNorm2d(1)
    x = (1000 + torch.randn(64, 1, 8, 8)).bfloat16()
    with trainer.engine.precision.autocast():
        out = norm(x)
    expected = torch.nn.BatchNorm2d(1)
    torch.testing.assert_close(out.float(), expected(x.float()), atol=0.02, rtol=0.01)
    torch.testing.assert_close(norm.running_mean, expected.running_mean)
    torch.testing.assert_close(norm.running_var, expected.running_var)


# Going on ------------------------------------------------------------------------


def interrupted(clips, folder, after, settings=SETTINGS, **kwargs):
    """A training that gets SIGTERM during a step, and stops."""
    trainer = Trainer(
        small_model(clips, **kwargs), clips, clips, settings, folder, resume='auto'
    )
    step = trainer.engine.step

    def watched(*args):
        if trainer.steps == after - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(*args)

    trainer.engine.step = watched
    with pytest.raises(Interrupted, match='--resume auto goes on'):
        trainer.fit()
    # The signal comes during a step; the next one ends with everything saved.
    assert trainer.steps in (after, after + 1)
    return trainer


@pytest.mark.parametrize('after', [1, 3, 4])
def test_stopping_and_going_on_changes_nothing(tmp_path, after):
    """In the first epoch, at its last step, in the second: dropout, augmentation,
    momentum, averages and running statistics go on where they were."""
    clips = synthetic(augment=True)
    settings = replace(SETTINGS, ema=0.9, epochs=3)
    whole = fit(clips, settings=settings, model=small_model(clips, dropout=0.5))
    interrupted(clips, tmp_path, after, settings, dropout=0.5)
    model = small_model(clips, seed=5, dropout=0.5)
    rest = fit(clips, tmp_path, settings, model, resume='auto')
    assert same_weights(weights(whole), weights(rest))
    assert same_weights(
        whole.engine.tested_model.state_dict(), rest.engine.tested_model.state_dict()
    )
    kept = ('epoch', 'train_loss', 'train_accuracy', 'lr', 'test_loss', 'test_top5')
    for one, other in zip(whole.history, rest.history, strict=True):
        assert [getattr(one, k) for k in kept] == [getattr(other, k) for k in kept]
    again = fit(clips, tmp_path, settings, small_model(clips, 6, dropout=0.5),
                resume='auto')  # fmt: skip
    assert same_weights(weights(rest), weights(again))


def test_usr1_stops_too(clips, tmp_path):
    trainer = Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path)
    step = trainer.engine.step
    trainer.engine.step = lambda *a: (os.kill(os.getpid(), signal.SIGUSR1), step(*a))[1]
    before = signal.getsignal(signal.SIGUSR1)
    with pytest.raises(Interrupted):
        trainer.fit()
    assert signal.getsignal(signal.SIGUSR1) is before
    assert (tmp_path / 'last.pt').exists()


def test_a_run_is_not_overwritten_unasked(clips, tmp_path):
    fit(clips, tmp_path)
    with pytest.raises(FileExistsError, match=r'--resume auto.*--overwrite'):
        Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path)
    (tmp_path / 'data').mkdir()
    trainer = Trainer(
        small_model(clips), clips, clips, SETTINGS, tmp_path, overwrite=True
    )
    assert trainer.steps == 0
    assert [p.name for p in tmp_path.iterdir() if p.name[0] != '.'] == ['data']


def test_other_arguments_are_refused(clips, tmp_path):
    fit(clips, tmp_path, notes={'stream': 'joint'})
    notes = {'stream': 'joint'}

    def resume(model=None, settings=SETTINGS, notes=notes):
        model = model or small_model(clips)
        return Trainer(
            model, clips, clips, settings, tmp_path, resume='auto', notes=notes
        )

    with pytest.raises(CheckpointError, match='lr: 0.05 then, 0.1 now'):
        resume(settings=replace(SETTINGS, lr=0.1))
    with pytest.raises(CheckpointError, match='stream: joint then, bone now'):
        resume(notes={'stream': 'bone'})
    wide = small_model(clips, channels=(12, 12))
    with pytest.raises(CheckpointError, match=r'channels: \[6, 12\] then, \[12, 12\]'):
        resume(wide)
    assert resume(settings=replace(SETTINGS, num_workers=1)).epoch == 2


@pytest.mark.parametrize('damage', ['truncated', 'a bit', 'empty', 'gone'])
def test_a_damaged_checkpoint_falls_back(clips, tmp_path, capsys, damage):
    whole = fit(clips, tmp_path)
    last = tmp_path / 'last.pt'
    content = bytearray(last.read_bytes())
    if damage == 'gone':
        last.unlink()
    else:
        content[len(content) // 2] ^= 16
        size = {'truncated': len(content) * 2 // 3, 'empty': 0}
        last.write_bytes(content[: size.get(damage, len(content))])
    capsys.readouterr()
    rest = fit(clips, tmp_path, model=small_model(clips, 3), resume='auto')
    said = capsys.readouterr().out
    assert re.search(
        r"last.pt'( \([\d,]+ bytes\) cannot be read as a checkpoint.*\))?\. "
        r"Going on from '.*previous.pt': the test of epoch 2",
        said,
    )
    assert same_weights(weights(whole), weights(rest))


def test_nothing_usable_is_an_error(clips, tmp_path):
    fit(clips, tmp_path)
    for name in ('last.pt', 'previous.pt', 'best.pt'):
        (tmp_path / name).write_bytes(b'nothing')
    with pytest.raises(CheckpointError, match=r'last.pt.*previous.pt.*best.pt'):
        Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path, resume='auto')
    torch.save({'state_dict': {}}, tmp_path / 'other.pt')
    with pytest.raises(CheckpointError, match='no checkpoint of a training'):
        Trainer(
            small_model(clips), clips, clips, SETTINGS, resume=tmp_path / 'other.pt'
        )


def test_no_code_of_a_checkpoint_is_run(clips, tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'hacked'),)

    torch.save({'pyg_msg3d': 1, 'model': Hostile()}, tmp_path / 'last.pt')
    with pytest.raises(CheckpointError, match='loading such files can run code'):
        Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path, resume='auto')
    assert not (tmp_path / 'hacked').exists()


def test_a_full_disk_keeps_the_checkpoint_before(clips, tmp_path, capsys, monkeypatch):
    """The kernel's own 'no space left', from /dev/full in the place of the files that
    the second epoch writes."""
    settings = replace(SETTINGS, epochs=3)
    trainer = Trainer(small_model(clips), clips, clips, settings, tmp_path)
    opened = type(tmp_path).open

    def full(path, mode='r', *args, **kwargs):
        if 'w' in mode and 3 < trainer.steps <= 6:
            return opened(type(path)('/dev/full'), mode, *args, **kwargs)
        return opened(path, mode, *args, **kwargs)

    monkeypatch.setattr(type(tmp_path), 'open', full)
    monkeypatch.setattr(os, 'fsync', lambda file: None)  # A device cannot.
    trainer.fit()
    said = capsys.readouterr().out
    assert 'epoch 3, step 0 could not be saved' in said
    assert 'No space left on device. The one before stays, and training goes on' in said
    assert f"Cannot write to '{tmp_path}', training goes on" in said
    assert len((tmp_path / 'metrics.jsonl').read_text().splitlines()) == 3
    # Trained, and not yet tested.
    previous = torch.load(tmp_path / 'previous.pt', weights_only=True)
    assert (previous['epoch'], previous['epoch_step']) == (2, 3)
    assert torch.load(tmp_path / 'last.pt', weights_only=True)['epoch'] == 3


def test_a_full_disk_at_the_end_is_an_error(clips, tmp_path):
    trainer = Trainer(small_model(clips), clips, clips, SETTINGS, tmp_path)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
        with pytest.raises(OSError, match='could not be saved .*File too large'):
            trainer.fit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert not (tmp_path / 'last.pt').exists()


# What is refused -------------------------------------------------------------------


def test_settings_are_refused_before_training(clips):
    def trainer(**kwargs):
        return Trainer(small_model(clips), clips, clips, replace(SETTINGS, **kwargs))

    with pytest.raises(ValueError, match='must divide by 1 processes x 3 parts'):
        trainer(accumulate=3)
    with pytest.raises(ValueError, match='13 clips x 1, fewer than a batch of 16'):
        trainer(batch_size=16)
    with pytest.raises(ValueError, match='SyncBatchNorm does not run on the CPU'):
        trainer(sync_batch_norm=True)
    with pytest.raises(ValueError, match="needs the folder of the run, 'run_dir'"):
        Trainer(small_model(clips), clips, clips, SETTINGS, resume='auto')


def test_a_killed_training_leaves_no_workers(tmp_path):
    """Data loading processes end with the one that trains."""
    script = tmp_path / 'endless.py'
    script.write_text(
        'import sys; sys.path.insert(0, sys.argv[1])\n'
        'from actions import *\n'
        'from pyg_msg3d.training import Settings, Trainer\n'
        'clips = synthetic()\n'
        'settings = Settings(epochs=10**6, batch_size=4, num_workers=2)\n'
        'trainer = Trainer(small_model(clips), clips, clips, settings)\n'
        'step = trainer.engine.step\n'
        'def said(*a):\n'
        '    workers = trainer.loader._iterator and 2\n'
        '    print("step", flush=True)\n'
        '    return step(*a)\n'
        'trainer.engine.step = said\n'
        'trainer.fit()\n'
    )
    process = subprocess.Popen(
        [sys.executable, script, ROOT / 'tests'],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    while 'step' not in process.stdout.readline():
        assert process.poll() is None
    process.kill()
    # Workers hold the pipe open as long as they live.
    process.stdout.read()
    assert process.wait(60) == -signal.SIGKILL
