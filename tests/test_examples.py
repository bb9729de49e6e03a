import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from required import skip_or_fail
from skeleton_files import BODY_ID, pose, skeleton_text, write_folder

from pyg_msg3d.datasets import SyntheticActions
from pyg_msg3d.io import SkeletonSequence, read
from pyg_msg3d.io import write_folder as write_recordings

EXAMPLES = Path(__file__).parents[1] / 'examples'


def run(example, monkeypatch, capsys, *arguments):
    monkeypatch.syspath_prepend(EXAMPLES)  # As for any script.
    monkeypatch.setattr(sys, 'argv', [example, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / example), run_name='__main__')
    return capsys.readouterr().out


def test_inspect_dataset(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for number, bodies in enumerate([1, 2, 1, 0]):
        joints = [(BODY_ID + body, pose(rng)) for body in range(bodies)]
        if number == 0:
            joints[0][1][7] = 0
        file = tmp_path / f'S001C001P001R001A{1 + number % 2:03d}.skeleton'
        if number > 1:
            file = file.with_name(f'other{number}.skeleton')
        file.write_bytes(skeleton_text([joints] * 4))
    (tmp_path / 'broken.skeleton').write_bytes(b'1\nx\n')
    out = run(
        'inspect_dataset.py', monkeypatch, capsys, tmp_path,
        '--run-dir', tmp_path / 'run', '--samples', 2,
    )  # fmt: skip
    assert 'NTU RGB+D .skeleton, 5 recordings' in out
    assert '3 readable, 1 without any body, 1 broken' in out
    assert "broken.skeleton', line 2" in out
    assert 'nobody in' in out
    rows = {tuple(line.split()) for line in out.splitlines()}
    assert ('drink', 'water', '1') in rows
    assert ('no', 'label', '1') in rows
    assert ('persons', '1', '1', '1', '2', '2') in rows
    assert ('left', 'hand', '4', 'of', '16') in rows
    assert (tmp_path / 'run/dataset.png').stat().st_size > 10_000
    assert len([*(tmp_path / 'run').glob('*.gif')]) == 2


def test_inspect_dataset_with_nothing_in_it(tmp_path, monkeypatch, capsys):
    (tmp_path / 'a.skeleton').write_bytes(b'')
    out = run('inspect_dataset.py', monkeypatch, capsys, tmp_path)
    assert '0 readable, 0 without any body, 1 broken' in out


def test_inspect_dataset_of_nothing_known(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run('inspect_dataset.py', monkeypatch, capsys, tmp_path)
    assert 'no known format. Known are:\n' in capsys.readouterr().err


def test_inspect_dataset_with_splits(tmp_path, monkeypatch, capsys):
    write_folder(tmp_path)
    arguments = [tmp_path, '--run-dir', tmp_path / 'run', '--samples', 0]
    out = run('inspect_dataset.py', monkeypatch, capsys, *arguments)
    rows = {tuple(line.split()) for line in out.splitlines()}
    assert {('class', 'train', 'test'), ('run', '1', '1'), ('sum', '2', '1')} <= rows
    out = run('inspect_dataset.py', monkeypatch, capsys, *arguments, '--limit', 1)
    assert '1 readable' in out


@pytest.mark.slow
def test_export(tmp_path, monkeypatch, capsys):
    threads = torch.get_num_threads()
    arguments = ['--output', tmp_path, '--frames', 9, '--threads', threads]
    formats = ['--formats', 'pt2', 'onnx']
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        if find_spec(package) is None:
            skip_or_fail(f'{package} is not installed')
    out = run('export.py', monkeypatch, capsys, *arguments, *formats)
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    for name in ('pt2', 'onnx'):
        size, operations, _, worst = map(float, rows[name])
        assert size > 0.1
        assert operations > 100
        assert worst < 1e-5
        assert (tmp_path / f'model.{name}').is_file()


def test_export_of_too_few_frames(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run('export.py', monkeypatch, capsys, '--output', tmp_path, '--frames', 5)
    assert "'--frames' must be at least 6" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_demo_recordings_come_back_exactly(tmp_path):
    actions = SyntheticActions('test', num_subjects=1, clips_per_subject=1)
    write_recordings(tmp_path, actions.recordings())
    assert len([*tmp_path.glob('*.skeleton')]) == 13
    reader = read(tmp_path)
    assert set(reader.classes) == set(actions.classes)
    for sequence, clip in zip(reader, actions.clips, strict=True):
        x = clip.x.numpy()
        persons = len(sequence.keypoints)
        assert persons == (2 if actions.classes[int(clip.y)] in
                           ('shake hands', 'push') else 1)  # fmt: skip
        np.testing.assert_array_equal(sequence.keypoints, x[:persons])
        assert reader.classes[sequence.label] == actions.classes[int(clip.y)]
        unseen = (sequence.keypoints == 0).all(-1)
        np.testing.assert_array_equal(sequence.score == 0, unseen)


def test_write_folder_of_other_skeletons(tmp_path):
    x = np.random.default_rng(0).normal(size=(1, 4, 17, 2)).astype(np.float32)
    first = SkeletonSequence(x, 'a', score=x[..., 0], image_size=(480, 640))
    second = SkeletonSequence(x + 1, 'b')
    write_recordings(tmp_path, [(first, 'walk', 'train'), (second, 'run', '')])
    reader = read(tmp_path)
    np.testing.assert_array_equal(reader[0].keypoints, x)
    np.testing.assert_array_equal(reader[0].score, x[..., 0])
    assert reader[0].image_size == (480, 640)
    assert (reader[1].score, reader[1].label) == (None, 0)
    assert reader.splits == {'train': ['a']}


def test_half_written_folders_are_no_data_set(tmp_path):
    def recordings():
        x = np.zeros((1, 4, 17, 2), np.float32)
        yield SkeletonSequence(x, 'a'), 'walk', ''
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_recordings(tmp_path, recordings())
    assert not (tmp_path / 'labels.csv').exists()
