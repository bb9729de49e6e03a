import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch_geometric.loader import DataLoader

import pyg_msg3d.transforms as T
from pyg_msg3d import MSG3D
from pyg_msg3d.datasets import SyntheticActions
from pyg_msg3d.training import evaluate, fit
from pyg_msg3d.visualize import animate, contact_sheet, plot_history

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def clips():
    transform = T.Compose([T.Centre(1), T.SampleFrames(8)])
    return SyntheticActions('test', 1, 1, transform=transform)


def small(clips):
    return MSG3D(
        clips.skeleton, clips.num_classes, gcn_scales=2, g3d_scales=2, channels=(6, 12)
    )


def run(clips, folder=None, epochs=2):
    torch.manual_seed(0)
    model = small(clips)
    loader = DataLoader(clips, batch_size=8, shuffle=True)
    return model, fit(model, loader, DataLoader(clips, 5), epochs, 0.05, run_dir=folder)


def test_fit_learns_and_leaves_a_record(clips, tmp_path, capsys):
    model, history = run(clips, tmp_path, epochs=12)
    assert history[-1].train_loss < 0.7 * history[0].train_loss
    lines = (tmp_path / 'metrics.jsonl').read_text().splitlines()
    assert [json.loads(line)['epoch'] for line in lines] == list(range(1, 13))
    state = torch.load(tmp_path / 'model.pt', weights_only=True)
    assert state.keys() == model.state_dict().keys()
    assert 'epoch  12/12' in capsys.readouterr().out


def test_the_same_seed_gives_the_same_model(clips):
    (first, _), (second, _) = run(clips), run(clips)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert a.equal(b)


def test_evaluation_does_not_depend_on_the_batches(clips):
    model = small(clips)
    loss, accuracy = evaluate(model, DataLoader(clips, 13))
    other = evaluate(model, DataLoader(clips, 5))
    assert other == pytest.approx((loss, accuracy), rel=1e-4)
    assert not model.training


def test_a_bad_sample_stops_training_and_is_named():
    clips = SyntheticActions('test', 1, 1, transform=T.SampleFrames(8))
    clips.clips[3].x[0, :] = float('nan')
    loader = DataLoader(clips, 13)
    with pytest.raises(FloatingPointError, match=clips.clips[3].name):
        fit(small(clips), loader, loader, 1, 0.05)
    with pytest.raises(ValueError, match='Nothing to train'):
        fit(small(clips), loader, loader, 0, 0.05)


def test_pictures(clips, tmp_path):
    from PIL import Image

    _, history = run(clips)
    plot_history(history, tmp_path / 'curves.png')
    contact_sheet([('a clip', clips[0].x)], clips.skeleton, tmp_path / 'sheet.png')
    animate(clips[0].x[:, :3], clips.skeleton, tmp_path / 'clip.gif', title='a clip')
    with Image.open(tmp_path / 'clip.gif') as gif:
        assert gif.n_frames == 3
    for name in ('curves.png', 'sheet.png'):
        with Image.open(tmp_path / name) as png:
            assert len(png.convert('L').getcolors()) > 10, 'an empty picture'


def example(name, *arguments):
    done = subprocess.run(
        [sys.executable, ROOT / 'examples' / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_nw_ucla_example(nw_ucla, tmp_path):
    small = ('--channels', '6,12,24', '--gcn-scales', 2, '--g3d-scales', 2)
    out = example(
        'train_nw_ucla.py', '--data', nw_ucla, '--epochs', 2, '--frames', 12,
        '--seeds', '0,1', '--run-dir', tmp_path, *small,
    )  # fmt: skip
    assert '1020 clips train, 464 clips test' in out
    assert '2 seeds: ' in out
    assert (tmp_path / 'seed_1' / 'model.pt').is_file()


@pytest.mark.slow
def test_demo_example(tmp_path):
    out = example('train_demo.py', '--epochs', 1, '--frames', 8, '--run-dir', tmp_path)
    assert 'Test accuracy on unseen subjects' in out
    assert len(list(tmp_path.glob('*.gif'))) == 13
    assert (tmp_path / 'curves.png').is_file()
