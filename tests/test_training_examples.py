"""The training scripts, from files to fused scores."""

import json
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from actions import ROOT, torchrun
from skeleton_files import BODY_ID, annotation, pose, skeleton_text
from test_examples import EXAMPLES, run

from pyg_msg3d.evaluation import read_scores
from pyg_msg3d.io import SampleName

SMALL = ('--channels', '6,12', '--gcn-scales', '2', '--g3d-scales', '2',
         '--window-sizes', '3', '--no-tensorboard', '--num-workers', '0')  # fmt: skip
SHORT = (*SMALL, '--epochs', '2', '--repeat', '1', '--batch-size', '4')


@pytest.fixture(scope='module')
def ntu(tmp_path_factory):
    """Three actions of five performers, before three cameras."""
    root = tmp_path_factory.mktemp('ntu')
    rng = np.random.default_rng(0)
    (root / 'raw').mkdir()
    for performer in (1, 2, 3, 6, 7):
        for camera in (1, 2, 3):
            for action in (1, 7, 50):
                bodies = [
                    [(BODY_ID + b, pose(rng)) for b in range(1 + (action == 50))]
                    for _ in range(12 + performer)
                ]
                sample = SampleName(1, camera, performer, 1, action)
                (root / f'raw/{sample}.skeleton').write_bytes(skeleton_text(bodies))
    return root


@pytest.fixture(scope='module')
def coco(tmp_path_factory):
    """The same in 2D, as a pickle of PYSKL's."""
    root = tmp_path_factory.mktemp('coco')
    rng = np.random.default_rng(0)
    records = []
    for performer in (1, 2, 3, 6, 7):
        for action in (1, 7, 50):
            name = str(SampleName(1, 1, performer, 1, action))
            records.append({**annotation(rng, 2, name), 'label': action - 1})
    (root / 'ntu60_2d.pkl').write_bytes(pickle.dumps(records))
    return root


def test_train_test_and_ensemble(ntu, tmp_path, monkeypatch, capsys):
    """Two streams by the script, tested by the other script, then fused; ten clips of
    a sample are averaged as probabilities."""

    def train(stream):
        return run(
            'train_ntu60.py', monkeypatch, capsys, '--data', ntu, '--stream', stream,
            '--run-dir', tmp_path / stream, *SHORT,
        )  # fmt: skip

    out = train('joint')
    assert re.search(r'18 clips train, 27 test, on cpu', out)
    assert re.search(r'Seed 0, tested: top-1 [\d.]+%, top-5 .* 27 samples', out)
    train('bone')
    folder = tmp_path / 'joint'
    arguments = json.loads((folder / 'arguments.json').read_text())
    assert arguments['learning_rate'] == pytest.approx(0.1 * 4 / 128)
    assert (arguments['stream'], arguments['benchmark']) == ('joint', 'ntu60')
    assert arguments['model']['normalization'] == 'col'
    for name in ('confusion.png', 'classes.csv', 'curves.png', 'best.pt'):
        assert (folder / name).exists()
    scores = read_scores(folder)
    assert scores.kind == 'probabilities'
    assert scores.names[0] == 'S001C001P003R001A001'

    out = run(
        'test_ntu60.py', monkeypatch, capsys, '--data', ntu, '--checkpoint',
        tmp_path / 'bone/last.pt', '--run-dir', tmp_path / 'tested', '--num-workers', 0,
    )  # fmt: skip
    assert 'ntu60 xsub, bone, 10 clips of a sample: top-1' in out
    again = read_scores(tmp_path / 'tested')
    expected = read_scores(tmp_path / 'bone')
    np.testing.assert_allclose(again.values, expected.values, atol=1e-6)

    out = run(
        'ensemble.py', monkeypatch, capsys, folder, tmp_path / 'bone', '--weights',
        '2,1', '--run-dir', tmp_path / 'fused',
    )  # fmt: skip
    assert f'{folder}, weight 2: top-1' in out
    fused = read_scores(tmp_path / 'fused')
    mean = (2 * scores.values + expected.values) / 3
    np.testing.assert_allclose(fused.values, mean, atol=1e-6)
    assert f'Fused: top-1 {(mean.argmax(1) == scores.labels).mean():.2%}' in out


def test_official_recipe_in_2d_of_120(coco, tmp_path, monkeypatch, capsys):
    out = run(
        'train_ntu60.py', monkeypatch, capsys, '--data', coco, '--recipe', 'official',
        '--benchmark', 'ntu120', '--keypoints', '2d', '--run-dir', tmp_path, *SMALL,
        '--epochs', 1, '--batch-size', 3, '--schedule', 'constant', '--milestones', '',
    )  # fmt: skip
    assert '6 clips train, 9 test' in out
    assert read_scores(tmp_path).kind == 'logits'
    assert read_scores(tmp_path).values.shape == (9, 120)
    model = json.loads((tmp_path / 'arguments.json').read_text())['model']
    assert model['skeleton']['name'] == 'coco-17'
    assert model['normalization'] == 'sym'


def refused(script, monkeypatch, capsys, *arguments):
    with pytest.raises(SystemExit) as exit:
        run(script, monkeypatch, capsys, *arguments)
    assert exit.value.code == 2
    return capsys.readouterr().err


def test_mismatches_are_refused(ntu, coco, tmp_path, monkeypatch, capsys):
    train = ['train_ntu60.py', monkeypatch, capsys, '--run-dir', tmp_path, *SHORT]
    assert 'are 2D, but --keypoints asks for 3D' in refused(
        *train, '--data', coco, '--keypoints', '3d'
    )
    assert "Put the recordings into '" in refused(*train, '--data', tmp_path / 'none')
    assert 'must divide by 1 processes x 3 parts' in refused(
        *train, '--data', ntu, '--accumulate', 3
    )
    assert "'protocol' must be one of xsub, xview (got 'xset')" in refused(
        *train, '--data', ntu, '--protocol', 'xset'
    )
    run(*train, '--data', ntu)
    assert 'There is a run in' in refused(*train, '--data', ntu)
    assert 'stream: joint then, bone now' in refused(
        *train, '--data', ntu, '--resume', 'auto', '--stream', 'bone'
    )
    # A 3D model on a file of 2D key points.
    assert 'has 17 joints, but the model takes 25' in refused(
        'test_ntu60.py', monkeypatch, capsys, '--data', coco, '--checkpoint',
        tmp_path / 'last.pt',
    )  # fmt: skip


def test_ensembles_with_others(tmp_path, monkeypatch, capsys):
    names = [f'S001C001P00{p}R001A00{a}' for p in (1, 2) for a in (1, 2, 3)]
    labels = [0, 1, 2] * 2
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 60)).astype(np.float32)
    joint, bone, dump = (tmp_path / f'{n}.pkl' for n in ('joint', 'bone', 'dump'))
    joint.write_bytes(pickle.dumps(dict(zip(names, logits, strict=True))))
    order = rng.permutation(6)
    bone.write_bytes(pickle.dumps({names[i]: 2 * logits[i] for i in order}))
    out = run('ensemble.py', monkeypatch, capsys, joint, bone)
    expected = (logits.argmax(1) == labels).mean()
    assert out.splitlines()[-1].startswith(f'Fused: top-1 {expected:.2%}')

    probabilities = torch.from_numpy(logits).softmax(1)
    rows = [
        {'pred_score': row, 'gt_label': torch.tensor([label])}
        for row, label in zip(probabilities, labels, strict=True)
    ]
    dump.write_bytes(pickle.dumps(rows))
    ensemble = ['ensemble.py', monkeypatch, capsys]
    assert 'holds probabilities' in refused(*ensemble, joint, dump)
    assert 'match them by order' in refused(*ensemble, '--probabilities', joint, dump)
    out = run(*ensemble, '--probabilities', '--by-order', joint, dump)
    assert f'Fused: top-1 {expected:.2%}' in out
    rows[2]['gt_label'] += 1
    dump.write_bytes(pickle.dumps(rows))
    assert 'other labels than' in refused(
        *ensemble, '--probabilities', '--by-order', joint, dump
    )
    bone.write_bytes(pickle.dumps({'S002C001P001R001A001': logits[0]}))
    assert 'holds other samples than' in refused(*ensemble, joint, bone)
    label_file = tmp_path / 'val_label.pkl'
    label_file.write_bytes(pickle.dumps((names, [5] * 6)))
    out = run(*ensemble, joint, '--labels', label_file)
    assert f'top-1 {(logits.argmax(1) == 5).mean():.2%}' in out


def test_a_folder_of_ones_own(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    lines = ['file,label,split']
    for number in range(12):
        split = 'test' if number > 8 else 'train'
        lines.append(f'{number}.npy,{["sit", "stand"][number % 2]},{split}')
        np.save(tmp_path / f'{number}.npy', rng.normal(size=(20, 17, 3)))
    (tmp_path / 'labels.csv').write_text('\n'.join(lines))
    out = run(
        'train_folder.py', monkeypatch, capsys, '--data', tmp_path, '--frames', 8,
        '--persons', 1, '--stream', 'bone_motion', '--skeleton', 'h36m-17',
        '--run-dir', tmp_path / 'run', '--epochs', 5, *SMALL, '--batch-size', 3,
    )  # fmt: skip
    assert '9 clips train, 3 test' in out
    assert read_scores(tmp_path / 'run').values.shape == (3, 2)


# Whole runs --------------------------------------------------------------------------


def example(name, *arguments):
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_training_on_two_processes(ntu, tmp_path, monkeypatch):
    """The same command under torchrun: one voice, one folder, all samples."""
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    done = torchrun(
        2, EXAMPLES / 'train_ntu60.py', '--data', ntu, '--run-dir', tmp_path, *SHORT
    )
    assert '18 clips train, 27 test, on 2 x cpu' in done.stdout
    assert done.stdout.count('epoch   2') == 1
    assert done.stdout.count('tested: top-1') == 1
    assert len(read_scores(tmp_path)) == 27
    assert json.loads((tmp_path / 'environment.json').read_text())['processes'] == 2


@pytest.mark.slow
def test_nw_ucla_example(nw_ucla, tmp_path):
    out = example(
        'train_nw_ucla.py', '--data', nw_ucla, '--epochs', 2, '--warm-up', 0,
        '--frames', 12, '--seeds', '0,1', '--run-dir', tmp_path, *SMALL,
    )  # fmt: skip
    assert '1,020 clips train, 464 test' in out
    assert re.search(r'2 seeds: top-1 [\d.]+ ± [\d.]+ %', out)
    assert (tmp_path / 'seed_1' / 'result.json').is_file()


@pytest.mark.slow
def test_demo_example(tmp_path):
    out = example('train_demo.py', '--epochs', 3, '--frames', 8, '--run-dir', tmp_path)
    assert 'Seed 0, tested: top-1' in out
    assert len(list(tmp_path.glob('*.gif'))) == 13
    assert (tmp_path / 'curves.png').is_file()


def test_small_data_of_unknown_joints_by_default(tmp_path, monkeypatch, capsys):
    """Batch, warm-up and persons follow from it; bones are asked for."""
    rng = np.random.default_rng(0)
    lines = ['file,label,split']
    for number in range(7):
        np.save(tmp_path / f'{number}.npy', rng.normal(size=(2, 20, 7, 3)))
        lines.append(
            f'{number}.npy,{"ab"[number % 2]},{"test" if number > 4 else "train"}'
        )
    (tmp_path / 'labels.csv').write_text('\n'.join(lines))
    train = ['train_folder.py', monkeypatch, capsys, '--data', tmp_path, '--frames', 8,
             '--run-dir', tmp_path / 'run', '--epochs', 2, *SMALL]  # fmt: skip
    said = refused(*train)
    assert 'No skeleton of the catalogue has 7 joints' in said
    assert '--bones 0-1,1-2' in said
    bones = ['--bones', '0-1,1-2,2-3,3-4,4-5,5-6']
    out = run(*train, *bones)
    assert '5 clips train, 2 test' in out
    arguments = json.loads((tmp_path / 'run/arguments.json').read_text())
    assert (arguments['batch_size'], arguments['warm_up']) == (5, 0)
    assert arguments['model']['num_persons'] == 2
    said = refused(*train, *bones, '--overwrite', '--batch-size', 9)
    assert 'choose a smaller batch_size (--batch-size)' in said
    said = refused(*train, *bones, '--overwrite', '--warm-up', 9)
    assert 'on a command line, --warm-up' in said


def test_pixels_without_an_images_size(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    np.save(tmp_path / 'a.npy', rng.uniform(0, 400, (20, 17, 2)))
    (tmp_path / 'labels.csv').write_text('file,label,split\na.npy,x,train\n')
    train = ['train_folder.py', monkeypatch, capsys, '--data', tmp_path, '--frames', 8,
             '--run-dir', tmp_path / 'run', '--epochs', 1, *SMALL,
             '--test-split', 'train']  # fmt: skip
    out = run(*train)  # Relative to the body, where the image is not known.
    assert '1 clips train' in out
    assert 'Before the model sees a clip: Centre, UnitScale, AppendMotion' in out
    out = run(*train, '--image-size', '480,640', '--overwrite')
    assert 'Before the model sees a clip: PreNormalize2D, AppendMotion' in out


def test_benchmarks_leave_the_records_alone(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    monkeypatch.chdir(tmp_path)
    import runner

    parser = runner.parser('', 'table.csv')
    assert parser.parse_args([]).output.parts[:2] == ('runs', 'benchmarks')
    records = ROOT / 'benchmarks/results/table.csv'
    assert parser.parse_args(['--record']).output == records
