"""A store that knows what it was made of, and whether it is still that."""

import json
import pickle
import random
import resource
import subprocess
import sys

import numpy as np
import pytest
import torch
from actions import ROOT
from skeleton_files import BODY_ID, pose, skeleton_text

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.datasets import NTU60, SkeletonFolder, processing, stored

RNG = np.random.default_rng(0)


def folder(root, value=1.0, label='walk'):
    root.mkdir(parents=True, exist_ok=True)
    for name in 'ab':
        np.save(root / f'{name}.npy', np.full((4, 25, 3), value, np.float32))
    (root / 'labels.csv').write_text(f'file,label\na.npy,{label}\nb.npy,fall\n')
    return root


def ntu(root, number=3):
    root.mkdir(parents=True, exist_ok=True)
    for action in range(1, number + 1):
        text = skeleton_text([[(BODY_ID, pose(RNG))] for _ in range(20)])
        (root / f'S001C001P001R001A{action:03d}.skeleton').write_bytes(text)
    return root


def made(capsys):
    return capsys.readouterr().err.count('Stored')


# What has changed is noticed ------------------------------------------------------


def test_recordings_that_were_written_anew(tmp_path, capsys):
    folder(tmp_path)
    assert SkeletonFolder(tmp_path)[0].x.max() == 1
    assert SkeletonFolder(tmp_path)[0].x.max() == 1
    assert made(capsys) == 1
    folder(tmp_path, 7.0)
    assert SkeletonFolder(tmp_path)[0].x.max() == 7
    said = capsys.readouterr().err
    assert (
        'made anew: the recordings, their labels or their splits have changed' in said
    )


def test_one_file_of_many_recordings(tmp_path):
    def write(value, label):
        x = np.full((1, 4, 17, 2), value, np.float32)
        record = {'frame_dir': 'a', 'label': label, 'keypoint': x, 'total_frames': 4}
        (tmp_path / 'a.pkl').write_bytes(pickle.dumps([record]))
        clip = SkeletonFolder(tmp_path, num_workers=0)[0]
        return float(clip.x.max()), int(clip.y)

    assert write(1, 0) == (1, 0)
    assert write(2, 5) == (2, 5)


def test_a_broken_table_is_an_error(tmp_path):
    folder(tmp_path)
    assert SkeletonFolder(tmp_path).classes == ('fall', 'walk')
    (tmp_path / 'labels.csv').write_text('file,label\na.npy,run\nb.npy\n')
    with pytest.raises(SkeletonDataError, match='line 3'):
        SkeletonFolder(tmp_path)


def test_other_places_arguments_and_versions(tmp_path, monkeypatch, capsys):
    a, b = ntu(tmp_path / 'a'), ntu(tmp_path / 'b')
    root = tmp_path / 'root'
    one, other = NTU60(root, raw=a), NTU60(root, raw=b)
    assert not one[0].x.equal(other[0].x)
    assert made(capsys) == 2
    # What was opened before goes on with what it had.
    again = NTU60(root, raw=a)
    assert [c.x.equal(d.x) for c, d in zip(one, again, strict=True)] == [True] * 3
    assert made(capsys) == 1
    for scale in (2.0, 3.0, 3.0):
        scaled = NTU60(root, raw=a, recipe=None, pre_transform=Times(scale))
        plain = NTU60(root, raw=a, recipe=None)
        torch.testing.assert_close(scaled[0].x, scale * plain[0].x)
    assert made(capsys) == 3
    double = NTU60(root, raw=a, recipe=None, pre_transform=lambda d: times(d, 2))
    triple = NTU60(root, raw=a, recipe=None, pre_transform=lambda d: times(d, 3))
    torch.testing.assert_close(3 * double[0].x, 2 * triple[0].x)
    capsys.readouterr()
    monkeypatch.setattr(processing, '_VERSION', 99)
    NTU60(root, raw=a)
    assert 'made anew: another version made it' in capsys.readouterr().err
    # Without recordings, it cannot be made anew, and is not served as if it were.
    monkeypatch.setattr(processing, '_VERSION', 100)
    with pytest.raises(FileNotFoundError, match='cannot be made anew'):
        NTU60(root)


class Times:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, data):
        return times(data, self.factor)


def times(data, factor):
    data.x = data.x * factor
    return data


def test_stores_of_earlier_versions_are_made_anew(tmp_path, capsys):
    ntu(tmp_path / 'raw')
    store = tmp_path / 'processed/NTU60-mmaction2-default'
    store.mkdir(parents=True)
    np.savez(store / 'index.npz', names=np.array(['x']), labels=np.array([0]))
    assert len(NTU60(tmp_path)) == 3
    assert 'was made by another version of pyg_msg3d' in capsys.readouterr().err


def test_recordings_that_change_while_they_are_read(tmp_path, monkeypatch):
    folder(tmp_path)
    make, times = stored.make_clips, []

    def watched(*args, **kwargs):
        make(*args, **kwargs)
        times.append(1)
        if len(times) < changes:
            folder(tmp_path, 1.0 + len(times))

    monkeypatch.setattr(stored, 'make_clips', watched)
    changes = 2
    assert SkeletonFolder(tmp_path)[0].x.max() == 2
    assert len(times) == 2
    times, changes = [], 99
    folder(tmp_path, 9.0)
    with pytest.raises(SkeletonDataError, match='change while they are read'):
        SkeletonFolder(tmp_path)


def test_strict_does_not_take_what_was_made_with_gaps(tmp_path):
    folder(tmp_path)
    np.save(tmp_path / 'b.npy', np.zeros((4, 25, 3), np.float32))
    assert len(SkeletonFolder(tmp_path)) == 1
    with pytest.raises(SkeletonDataError, match=r"strict=True.*b.npy' has no body"):
        SkeletonFolder(tmp_path, strict=True)


def test_what_splits_name_and_is_not_there_is_said(tmp_path, capsys):
    x = np.ones((1, 4, 17, 2), np.float32)
    record = {'frame_dir': 'a', 'label': 0, 'keypoint': x, 'total_frames': 4}
    content = {'annotations': [record], 'split': {'train': ['a', 'b', 'c']}}
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(content))
    assert SkeletonFolder(tmp_path, 'train').report['absent'] == {'train': 2}
    assert "Of split 'train', 2 are not among" in capsys.readouterr().err


@pytest.mark.parametrize('value', [1e30, 3e38])
def test_coordinates_that_overflow_are_reported(tmp_path, value):
    folder(tmp_path)
    x = RNG.normal(size=(20, 25, 3)).astype('f4')
    x[3, 4] = value
    np.save(tmp_path / 'b.npy', x)
    for arguments in ({'recipe': 'mmaction2'}, {'pre_transform': Times(1e20)},
                      {'recipe': 'official'}):  # fmt: skip
        clips = SkeletonFolder(tmp_path, force_reload=True, **arguments)
        for clip in clips:
            assert clip.x.isfinite().all()
        if 'pre_transform' in arguments:
            assert 'overflow in processing' in clips.report['skipped']['b']


# Damage ---------------------------------------------------------------------------


def the_store(root):
    (path,) = (root / 'processed').glob('NTU60-*')
    return path


@pytest.mark.parametrize('name', ['keypoints.npy', 'index.npz', 'report.json'])
@pytest.mark.parametrize('kept', [0, 1, 2])
def test_damaged_stores_say_what_to_do(tmp_path, name, kept):
    ntu(tmp_path / 'raw')
    clips = NTU60(tmp_path)
    expected = [clip.x for clip in clips]
    file = the_store(tmp_path) / name
    content = file.read_bytes()
    if kept < 2:
        file.write_bytes(content[: len(content) * kept // 2])
    else:
        file.unlink()
    if name == 'index.npz' and kept == 2:
        assert len(NTU60(tmp_path)) == 3  # Unfinished, so to speak.
        return
    with pytest.raises(SkeletonDataError, match=name) as refused:
        _ = NTU60(tmp_path)[0], NTU60(tmp_path).report
    if kept < 2:
        assert 'force_reload=True' in str(refused.value)
    clips = NTU60(tmp_path, force_reload=True)
    assert all(c.x.equal(x) for c, x in zip(clips, expected, strict=True))


def test_a_store_that_is_cut_off_while_it_is_read(tmp_path):
    """An error, where a mapped file would end the process."""
    ntu(tmp_path / 'raw')
    NTU60(tmp_path)
    script = (
        'import os, sys\nfrom pyg_msg3d.datasets import NTU60\n'
        'clips = NTU60(sys.argv[1])\nclips[0]\nos.truncate(sys.argv[2], 4096)\n'
        'try:\n    [c for c in clips]\nexcept ValueError as error:\n    print(error)\n'
    )
    file = the_store(tmp_path) / 'keypoints.npy'
    done = subprocess.run(
        [sys.executable, '-c', script, tmp_path, file],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert 'force_reload=True' in done.stdout


def test_no_flipped_bit_is_served(tmp_path):
    """300 bits of all files of a store, with scores: what comes is an error, or what
    was stored."""
    for name in 'abc':
        x, score = RNG.uniform(9, 99, (2, 5, 17, 2)), RNG.uniform(0.1, 1, (2, 5, 17))
        np.savez(tmp_path / f'{name}.npz', keypoints=x, score=score, layout='MTVC')
    table = 'file,label,split\na.npz,x,train\nb.npz,y,train\nc.npz,x,test\n'
    (tmp_path / 'labels.csv').write_text(table)

    def everything():
        clips = SkeletonFolder(tmp_path, 'train', num_workers=0)
        kept = [(c.x.numpy().tobytes(), c.score.numpy().tobytes(), c.name, int(c.y))
                for c in clips]  # fmt: skip
        return kept, clips.classes, clips.report

    expected = everything()
    (place,) = (tmp_path / 'processed').glob('SkeletonFolder-*')
    files = [
        place / n for n in ('keypoints.npy', 'scores.npy', 'index.npz', 'report.json')
    ]
    rng, refused, same = random.Random(0), 0, 0
    for number in range(300):
        file = files[number % len(files)]
        content = bytearray(file.read_bytes())
        bit = rng.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        whole = file.read_bytes()
        file.write_bytes(content)
        try:
            assert everything() == expected, (file.name, bit)
            same += 1
        except SkeletonDataError as error:
            refused += str(place) in str(error)
        file.write_bytes(whole)
    assert refused + same == 300
    print(f'300 bits: {refused} refused, {same} of no consequence, 0 wrong')
    assert refused > 200


# Several processes, kills, disks ------------------------------------------------------


OPEN = """
import sys
from pyg_msg3d.datasets import SkeletonFolder
clips = SkeletonFolder(sys.argv[1], num_workers=0)
print(len(clips), sorted({float(c.x.max()) for c in clips}), *clips.classes)
"""


@pytest.mark.slow
def test_processes_that_open_a_folder_that_has_just_changed(tmp_path):
    """Eight times three at once."""
    failures = 0
    for trial in range(8):
        folder(tmp_path, 1.0 + trial, f'class{trial}')
        processes = [
            subprocess.Popen(
                [sys.executable, '-c', OPEN, tmp_path], cwd=ROOT, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for _ in range(3)
        ]  # fmt: skip
        for process in processes:
            out, error = process.communicate(timeout=120)
            right = f'2 [{1.0 + trial}] class{trial} fall\n'
            failures += process.returncode != 0 or out != right
            assert not failures, (trial, out, error)
    print(f'8 trials of 3 processes: {failures} failures')


def test_killed_while_the_new_takes_the_place_of_the_old(tmp_path, monkeypatch):
    folder(tmp_path)
    SkeletonFolder(tmp_path)
    (place,) = (tmp_path / 'processed').glob('SkeletonFolder-*')
    folder(tmp_path, 5.0)

    class Killed(BaseException):
        pass

    replace = type(tmp_path).replace
    for moment in (1, 2):
        calls = []

        def dies(path, target, calls=calls, moment=moment):
            if path.name.startswith('SkeletonFolder'):
                calls.append(path)
                if len(calls) == moment:
                    raise Killed
            return replace(path, target)

        monkeypatch.setattr(type(tmp_path), 'replace', dies)
        with pytest.raises(Killed):
            SkeletonFolder(tmp_path)
        monkeypatch.setattr(type(tmp_path), 'replace', replace)
        assert place.exists() == (moment == 1)
    assert SkeletonFolder(tmp_path)[0].x.max() == 5
    assert sorted(p.name for p in place.parent.iterdir() if p.name[0] != '.') == [
        place.name
    ]


def test_a_full_disk_is_an_error_and_nothing_is_mixed(tmp_path):
    folder(tmp_path)
    script = (
        'import resource, signal, sys\n'
        'from pyg_msg3d.datasets import SkeletonFolder\n'
        'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))\n'
        'try:\n    SkeletonFolder(sys.argv[1], num_workers=0)\n'
        'except OSError as error:\n    print(error)\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', script, tmp_path],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert 'The clips cannot be written to' in done.stdout
    assert len(SkeletonFolder(tmp_path)) == 2
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 900


def test_a_disk_that_cannot_be_written_to(tmp_path, monkeypatch):
    ntu(tmp_path / 'raw')
    NTU60(tmp_path)

    class Refused:
        def __init__(self, path):
            raise OSError(30, 'Read-only file system')

    monkeypatch.setattr(stored, 'FileLock', Refused)
    assert len(NTU60(tmp_path)) == 3


def test_what_does_not_exist_creates_nothing(tmp_path):
    for make in (lambda p: NTU60(p), lambda p: SkeletonFolder(p)):
        with pytest.raises(FileNotFoundError, match='There is nothing in'):
            make(tmp_path / 'none')
    (tmp_path / 'text').mkdir()
    (tmp_path / 'text/x.txt').touch()
    with pytest.raises(SkeletonDataError, match='no known format'):
        SkeletonFolder(tmp_path / 'text')
    with pytest.raises(FileNotFoundError):
        NTU60(tmp_path / 'none', raw=tmp_path / 'nowhere')
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob('*')) == [
        'text', 'text/x.txt',
    ]  # fmt: skip


def test_sent_to_a_process_that_starts_anew(tmp_path):
    """It reads the same store, or says that it is another."""
    ntu(tmp_path / 'raw')
    clips = NTU60(tmp_path)
    sent = pickle.dumps(clips.store)
    np.testing.assert_array_equal(pickle.loads(sent)[0].keypoints, clips[0].x)
    ntu(tmp_path / 'raw', 4)
    NTU60(tmp_path)
    with pytest.raises(SkeletonDataError, match='made anew while it was in use'):
        pickle.loads(sent)[0]
    assert clips[2].x.shape == (1, 20, 25, 3)  # Open files stay what they were.


def test_names_of_any_characters_come_back(tmp_path):
    x = np.ones((1, 4, 17, 2), np.float32)
    names = ['x\ud800', 'é\u200b', 'a\nb', 'tail\0', 'n' * 900]
    records = [{'frame_dir': n, 'label': 0, 'keypoint': x} for n in names]
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(records))
    assert SkeletonFolder(tmp_path, num_workers=0).names == names
    report = json.loads(
        (next(tmp_path.glob('processed/S*')) / 'report.json').read_text()
    )
    assert report['stored'] == 5
    records[2] |= {'frame_dir': 'c\x1b[2J', 'keypoint': 3}
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(records))
    clips = SkeletonFolder(tmp_path, num_workers=0)
    text = '\n'.join(clips.report['skipped'].values())
    assert '\x1b' not in text
    assert '\\x1b[2J' in text
