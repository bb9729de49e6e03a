"""Processing: what is stored, and what is left after it was killed."""

import json
import multiprocessing
import os
import pickle
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skeleton_files import BODY_ID, pose, skeleton_text

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.datasets import NTU60
from pyg_msg3d.datasets.store import Clip, ClipStore, Skipped, StoreWriter

STORED = ('keypoints.npy', 'index.npz', 'report.json')


def some_clips(scored=False):
    rng = np.random.default_rng(0)
    results = []
    for number in range(7):
        shape = (1 + number % 2, 3 + number, 4, 2)
        x = rng.normal(size=shape).astype(np.float32)
        score = rng.random(shape[:3]).astype(np.float32) if scored else None
        label = None if number == 3 else number
        results.append(Clip(f'clip{number}', label, x, score, (480, 640)))
    results.insert(4, Skipped('bad', "'bad' is bad"))
    return results


def write(folder, results, chunk=2):
    writer = StoreWriter(folder, {'key': 1})
    for begin in range(writer.num_done, len(results), chunk):
        writer.add(results[begin : begin + chunk])
    splits = {'train': ['clip0', 'clip5', 'bad'], 'test': ['clip1']}
    writer.finish({'too old': 3}, splits, ['a', 'b'])


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize('scored', [False, True])
def test_what_is_stored_comes_back(tmp_path, scored):
    results = some_clips(scored)
    write(tmp_path / 'store', results)
    store = pickle.loads(pickle.dumps(ClipStore(tmp_path / 'store')))
    clips = [result for result in results if isinstance(result, Clip)]
    assert len(store) == len(clips)
    for index, clip in enumerate(clips):
        read = store[index]
        assert (read.name, read.label) == (clip.name, clip.label)
        assert read.image_size == (480, 640)
        np.testing.assert_array_equal(read.keypoints, clip.keypoints)
        if scored:
            np.testing.assert_array_equal(read.score, clip.score)
        else:
            assert read.score is None
    assert store.shape == (4, 2)
    assert store.classes == ['a', 'b']
    assert store.splits['train'].tolist() == [0, 5]
    assert store.report == {
        'key': {'key': 1},
        'stored': 7, 'excluded': {'too old': 3}, 'skipped': {'bad': "'bad' is bad"},
        'absent': {}, 'assumed': [],
    }  # fmt: skip
    # An ordinary array, and no journal left.
    rows = sum(clip.keypoints.shape[0] * clip.keypoints.shape[1] for clip in clips)
    array = np.load(tmp_path / 'store/keypoints.npy', mmap_mode='r')
    assert array.shape == (rows, 4, 2)
    assert not (tmp_path / 'store/journal.jsonl').exists()


@settings(max_examples=60)
@given(st.data())
def test_writing_goes_on_wherever_it_was_cut_off(tmp_path_factory, data):
    """Files as a kill may leave them: of the journal and of what comes after the rows
    that it tells of, any part."""
    scored = data.draw(st.booleans())
    results = some_clips(scored)
    root = tmp_path_factory.mktemp('cut')
    write(root / 'whole', results)

    writer = StoreWriter(root / 'cut', {'key': 1})
    journal = root / 'cut/journal.jsonl'
    sizes = [{file.name: file.stat().st_size for file in (root / 'cut').iterdir()}]
    for begin in range(0, data.draw(st.integers(0, 8)), 2):
        writer.add(results[begin : begin + 2])
        sizes.append({f.name: f.stat().st_size for f in (root / 'cut').iterdir()})
    writer._journal.close()
    for array in writer._arrays.values():
        array._file.close()  # Without what a proper end writes.
    # The last chunk got so far: data first, then the journal.
    last = sizes[-2] if len(sizes) > 1 else sizes[-1]
    if data.draw(st.booleans()):
        kept = data.draw(st.integers(last['journal.jsonl'], journal.stat().st_size))
        os.truncate(journal, kept)
        if kept <= last['journal.jsonl']:
            for name in ('keypoints.npy', 'scores.npy'):
                file = root / 'cut' / name
                if file.exists() and name in last:
                    kept = data.draw(st.integers(last[name], file.stat().st_size))
                    os.truncate(file, kept)
    write(root / 'cut', results)
    assert content(root / 'cut') == content(root / 'whole')


def test_another_key_begins_anew(tmp_path):
    writer = StoreWriter(tmp_path, {'key': 0})
    writer.add(some_clips()[:3])
    writer.close()
    assert StoreWriter(tmp_path, {'key': 0}).num_done == 3
    assert StoreWriter(tmp_path, {'key': 1}).num_done == 0


def test_data_that_is_shorter_than_the_journal_says_begins_anew(tmp_path):
    writer = StoreWriter(tmp_path, {'key': 1})
    writer.add(some_clips()[:3])
    writer.close()
    os.truncate(tmp_path / 'keypoints.npy', 200)
    assert StoreWriter(tmp_path, {'key': 1}).num_done == 0


def test_misfits_are_skipped_and_named(tmp_path):
    clips = some_clips()
    x = np.zeros((1, 2, 5, 2), np.float32)
    clips.append(Clip('five', 1, x))
    clips.append(Clip('scored', 1, x[:, :, :4], score=x[:, :, :4, 0]))
    write(tmp_path, clips)
    skipped = ClipStore(tmp_path).report['skipped']
    assert (
        "'five' has 5 joints in 2 dimensions, but those before it 4" in skipped['five']
    )
    assert "'scored' has scores, unlike those before it" in skipped['scored']


def test_nothing_to_store_is_an_error(tmp_path):
    writer = StoreWriter(tmp_path, {})
    writer.add([Skipped('bad', "'bad' is bad")])
    message = (
        r"Nothing to store: 1 recordings were skipped, 0 excluded.*\n.*'bad' is bad"
    )
    with pytest.raises(SkeletonDataError, match=message):
        writer.finish({}, {}, [])


# Real processes, killed for real ----------------------------------------------


def recordings(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        name = f'S001C001P{1 + number // 60:03d}R001A{1 + number % 60:03d}.skeleton'
        bodies = [[(BODY_ID, pose(rng))] for _ in range(int(rng.integers(1, 30)))]
        text = skeleton_text(bodies, newline='\n')
        (folder / name).write_bytes(text[:-50] if number % 40 == 7 else text)


def process(root: str, raw: str, num_workers: int) -> None:
    os.setpgrp()  # So that workers can be killed with it.
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork.
    NTU60(root, raw=raw, num_workers=num_workers)


def stored(root: Path) -> dict[str, bytes]:
    (folder,) = (root / 'processed').glob('NTU60-*')
    files = content(folder)
    assert set(files) >= set(STORED)
    return {name: files[name] for name in STORED}


def start(root: Path, num_workers: int) -> multiprocessing.Process:
    context = multiprocessing.get_context('fork')
    child = context.Process(
        target=process, args=(root, root.parent / 'raw', num_workers)
    )
    child.start()
    return child


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
@pytest.mark.parametrize('num_workers', [0, 2])
def test_killed_processing_is_continued(tmp_path, num_workers):
    recordings(tmp_path / 'raw', 300)
    begin = time.monotonic()
    whole = start(tmp_path / 'whole', num_workers)
    whole.join()
    assert whole.exitcode == 0
    seconds = time.monotonic() - begin

    rng = random.Random(0)
    kills: list[int] = []  # Lines of the journal after each.
    while sum(lines > 1 for lines in kills) < 4 and len(kills) < 100:
        child = start(tmp_path / 'killed', num_workers)
        time.sleep(rng.uniform(0.1, 1) * seconds)
        # With its workers, or leaving them behind.
        kill = os.kill if rng.random() < 0.5 else os.killpg
        kill(child.pid, signal.SIGKILL)
        child.join()
        (folder,) = [*(tmp_path / 'killed').glob('processed/NTU60-*')] or [None]
        if folder is not None and (folder / 'index.npz').exists():
            shutil.rmtree(folder)  # It was done before the kill came.
        elif folder is not None and (folder / 'journal.jsonl').exists():
            kills.append((folder / 'journal.jsonl').read_bytes().count(b'\n'))
        else:
            kills.append(0)
    print(f'{seconds:.2f} s without kills; journal after each {kills}')
    assert max(kills) > 1
    last = start(tmp_path / 'killed', num_workers)
    last.join()
    assert last.exitcode == 0
    assert stored(tmp_path / 'killed') == stored(tmp_path / 'whole')
    report = json.loads(stored(tmp_path / 'killed')['report.json'])
    assert report['stored'] == 292
    assert len(report['skipped']) == 8


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
def test_two_processes_at_a_time_do_not_disturb_each_other(tmp_path):
    recordings(tmp_path / 'raw', 60)
    both = [start(tmp_path / 'both', 0) for _ in range(2)]
    for child in both:
        child.join()
        assert child.exitcode == 0
    assert len(NTU60(tmp_path / 'both').store) == 58
