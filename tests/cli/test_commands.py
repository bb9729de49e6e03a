"""The command pyg-msg3d, as a user calls it."""

import json
import re
import subprocess
import sys

import numpy as np
import pose_files
import pytest
import torch

import pyg_msg3d.transforms as T
from pyg_msg3d import MSG3D, Predictor
from pyg_msg3d.cli import COMMANDS, main
from pyg_msg3d.data import Metadata
from pyg_msg3d.io import read

SMALL = ('--channels', '6,12', '--gcn-scales', '2', '--g3d-scales', '2',
         '--window-sizes', '3', '--no-tensorboard', '--frames', '8')  # fmt: skip


@pytest.fixture
def run(capsys):
    """Runs a command and returns what it printed."""

    def called(*words, code=0):
        if code:
            with pytest.raises(SystemExit) as ended:
                main(words)
            assert ended.value.code == code
        else:
            main(words)
        printed = capsys.readouterr()
        return printed.err if code else printed.out

    return called


@pytest.fixture
def clips(tmp_path):
    """Three classes in folders: joint 3, 7 or 12 of MediaPipe's pose moves."""
    rng = np.random.default_rng(0)
    for name, joint in (('bow', 0), ('kick', 28), ('wave', 16)):
        (tmp_path / 'data' / name).mkdir(parents=True)
        for number in range(6):
            x = np.tile(rng.uniform(0.3, 0.7, (1, 33, 3)), (12, 1, 1))
            x[:, joint] += rng.uniform(0.1, 0.2) * np.sin(np.arange(12))[:, None]
            np.save(tmp_path / f'data/{name}/{number}.npy', x.astype('f4'))
    return tmp_path / 'data'


def test_from_a_folder_to_an_answer(clips, tmp_path, run):
    """Look, train, test, predict: every output names the classes."""
    out = run('inspect', clips, '--run-dir', tmp_path / 'look', '--samples', 1)
    assert 'a folder for each class, 18 recordings' in out
    assert (tmp_path / 'look/dataset.png').is_file()
    folder = tmp_path / 'run'
    out = run('train', clips, '--run-dir', folder, *SMALL, '--epochs', 2)
    assert '15 clips of 3 classes, 8 frames, 1 person(s), mediapipe-pose-33' in out
    assert 'augmentation: rotate, scale, noise' in out
    assert '1 steps an epoch, of 15 clips' in out
    assert f"pyg-msg3d predict FILE --checkpoint '{folder / 'best.pt'}'" in out
    table = (folder / 'classes.csv').read_text()
    assert 'bow' in table
    assert 'kick' in table

    best = folder / 'best.pt'
    out = run('predict', clips / 'wave/3.npy', '--checkpoint', best)
    assert re.fullmatch(r'3: (bow|kick|wave) [\d.]+% \((.*%, .*%)\)\n', out)
    out = run(
        'predict', clips / 'wave', clips / 'bow/0.npy', '--checkpoint', best,
        '--csv', tmp_path / 'a.csv', '--json', tmp_path / 'a.json', '--save',
        tmp_path / 'seen', '--window', 8,
    )  # fmt: skip
    assert out.count('frames 0 to 7') == 7 + 7  # Answers, and pictures of them.
    assert len(json.loads((tmp_path / 'a.json').read_text())['predictions']) == 14
    assert len(list((tmp_path / 'seen').glob('*.gif'))) == 14
    out = run('test', clips, '--checkpoint', best, '--run-dir', tmp_path / 'tested')
    assert '18 samples' in out
    assert re.search(r'kick: \d of 6 right', out)

    for file in (clips / 'kick').iterdir():
        file.unlink()
    (clips / 'kick').rmdir()
    out = run('test', clips, '--checkpoint', best, '--run-dir', tmp_path / 'two')
    assert '12 samples' in out
    right = sum(map(int, re.findall(r'(\d) of 6 right', out)))
    assert f'top-1 {right / 12:.2%}' in out


def test_fine_tuning(clips, tmp_path, run):
    net = MSG3D('ntu-rgb+d', 60, gcn_scales=2, g3d_scales=2, window_sizes=(3,),
                channels=(6, 12))  # fmt: skip
    net.save(tmp_path / 'pretrained.safetensors')
    words = ('train', clips, '--run-dir', tmp_path / 'run', '--no-tensorboard',
             '--frames', 8, '--epochs', 1, '--init-from',
             tmp_path / 'pretrained.safetensors', '--freeze', 1)  # fmt: skip
    main(words)
    tuned = MSG3D.from_checkpoint(tmp_path / 'run/last.pt')
    assert tuned.metadata.classes == ('bow', 'kick', 'wave')
    assert tuned.skeleton.name == 'mediapipe-pose-33'
    old = net.blocks[0].gcn.conv.lin.weight
    assert tuned.blocks[0].gcn.conv.lin.weight.equal(old)
    for option in (('--channels', '3,6'), ('--window-sizes', '5')):
        assert 'takes the model as it is' in run(*words, *option, code=2)
    assert 'needs --init-from' in run(
        'train', clips, '--freeze', 1, *SMALL, '--run-dir', tmp_path / 'b', code=2
    )


def test_weights_are_converted(tmp_path, run):
    net = MSG3D('ntu-rgb+d', 3, gcn_scales=2, g3d_scales=2, channels=(6, 12, 18))
    net.metadata = Metadata(('a', 'b', 'c'))
    net.save(tmp_path / 'm.safetensors')
    out = run(
        'convert', tmp_path / 'm.safetensors', tmp_path / 'o.pt', '--to', 'official'
    )
    assert 'Weights as official' in out
    content = torch.load(tmp_path / 'o.pt')
    assert 'sgcn1.0.A_res' in content['state_dict']
    run('convert', tmp_path / 'o.pt', tmp_path / 'again.safetensors')
    again = MSG3D.from_checkpoint(tmp_path / 'again.safetensors')
    assert all(
        a.equal(b) for a, b in
        zip(net.state_dict().values(), again.state_dict().values(), strict=True)
    )  # fmt: skip
    assert 'ends in .safetensors' in run(
        'convert', tmp_path / 'o.pt', tmp_path / 'x.pt', code=2
    )


def test_recordings_are_converted(tmp_path, run):
    pytest.importorskip('scipy')
    rng = np.random.default_rng(0)
    (tmp_path / 'utd').mkdir()
    for subject in (1, 2):
        file, x, _ = pose_files.utd_mhad(tmp_path, rng)
        file.replace(tmp_path / f'utd/a5_s{subject}_t1_skeleton.mat')
    (tmp_path / 'utd/a6_s2_t1_skeleton.mat').write_bytes(b'broken')
    out = run('convert', tmp_path / 'utd', tmp_path / 'mine')
    assert "2 recordings, joints of 'utd-mhad-20'" in out
    assert re.search('Left out: .*a6_s2_t1', out)
    reader = read(tmp_path / 'mine')
    assert reader.classes == ['throw']
    assert reader.splits == {
        'train': ['a5_s1_t1_skeleton'], 'test': ['a5_s2_t1_skeleton'],
    }  # fmt: skip
    np.testing.assert_allclose(reader[1].keypoints, x)


def test_own_skeletons(clips, tmp_path, run):
    """From a file of lines, or of JSON."""
    for folder in ('bow', 'kick', 'wave'):
        for file in (clips / folder).iterdir():
            np.save(file, np.load(file)[:, :4])
    words = ('train', clips, *SMALL, '--epochs', 1, '--overwrite', '--run-dir',
             tmp_path / 'run')  # fmt: skip
    assert '--skeleton FILE' in run(*words, code=2)
    text = tmp_path / 'arm.txt'
    text.write_text(
        '# an arm\njoints: base, elbow, wrist, tip\nbase - elbow\nelbow - wrist\n'
        'wrist - tip\ncentre: elbow\n'
    )
    run(*words, '--skeleton', text)
    model = MSG3D.from_checkpoint(tmp_path / 'run/last.pt')
    assert model.skeleton.joints == ('base', 'elbow', 'wrist', 'tip')
    assert model.skeleton.centre == 1
    json_file = tmp_path / 'arm.json'
    json_file.write_text(json.dumps(
        {'joints': ['a', 'b', 'c', 'd'], 'bones': [[0, 1], [1, 2], ['c', 'd']]}
    ))  # fmt: skip
    run(*words, '--skeleton', json_file)
    run(*words, '--bones', '0-1,1-2,2-3')
    text.write_text('joints: a, b\na - b\nnonsense\n')
    assert 'line 3: expected a bone' in run(*words, '--skeleton', text, code=2)


def test_without_labels_there_is_nothing_to_train_or_test(clips, tmp_path, run):
    flat = tmp_path / 'flat'
    flat.mkdir()
    for number, file in enumerate(sorted(clips.rglob('*.npy'))[:4]):
        file.replace(flat / f'{number}.npy')
    message = run('train', flat, '--run-dir', tmp_path / 'run', *SMALL, code=2)
    assert 'put those of each class into a folder' in message
    net = MSG3D('mediapipe-pose-33', 2, gcn_scales=2, g3d_scales=2, channels=(6, 12),
                window_sizes=(3,), num_persons=1)  # fmt: skip
    steps = T.Compose([T.SampleFrames(8), T.PadPersons(1)])
    net.metadata = Metadata(('a', 'b'), 'all', T.declare(steps))
    net.save(tmp_path / 'm.safetensors')
    words = ('--checkpoint', tmp_path / 'm.safetensors')
    assert 'no labels to compare with' in run('test', flat, *words, code=2)
    assert run('predict', flat, *words).count('\n') == 4
    (flat / 'bad.npy').write_bytes(b'nothing')
    assert 'bad: no answer (' in run('predict', flat, *words)


def test_ensembles_and_exports(clips, tmp_path, run):
    run('train', clips, '--run-dir', tmp_path / 'run', *SMALL, '--epochs', 1)
    out = run('ensemble', tmp_path / 'run', tmp_path / 'run')
    assert 'Fused: top-1' in out
    out = run(
        'export', '--checkpoint', tmp_path / 'run/best.pt', '--output', tmp_path / 'out'
    )
    assert 'pt2' in out
    about = json.loads((tmp_path / 'out/model.json').read_text())
    assert about['classes'] == ['bow', 'kick', 'wave']
    assert about['steps'][0]['name'] == 'Centre'


@pytest.mark.parametrize('name', COMMANDS)
def test_help_says_what_each_option_does(name, run):
    with pytest.raises(SystemExit):
        main([name, '--help'])


def test_every_option_has_a_sentence_and_its_default():
    import argparse
    import importlib

    for name in COMMANDS:
        parser = argparse.ArgumentParser()
        importlib.import_module(f'pyg_msg3d.cli.{name}_command').add(parser)
        for action in parser._actions:
            assert action.help, (name, action.dest)


def test_as_a_module_and_without_arguments():
    done = subprocess.run(
        [sys.executable, '-m', 'pyg_msg3d', '--help'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    head = done.stdout.split('positional arguments')[0]
    assert head.count('pyg-msg3d ') >= 4  # Three commands that work, and the usage.


def test_a_checkpoint_of_every_kind_predicts(clips, tmp_path, run):
    run('train', clips, '--run-dir', tmp_path / 'run', *SMALL, '--epochs', 2,
        '--ema', 0.5, '--stream', 'bone_motion', '--fill-gaps', 3, '--smooth', 1,
        '--augment', 'rotate,mirror,dropout')  # fmt: skip
    answers = [
        Predictor(tmp_path / f'run/{name}.pt')(clips / 'bow')
        for name in ('last', 'previous')
    ]
    assert all(len(found) == 6 for found in answers)
