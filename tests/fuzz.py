"""Thousands of files that are wrong in a way that their format knows, read under a
limit of time and memory: what comes is an answer, or our error with the file's name.

    python tests/fuzz.py readers 20000
    python tests/fuzz.py estimators 10000
    python tests/fuzz.py stores 1000
    python tests/fuzz.py checkpoints 1000
"""

import contextlib
import copy
import io
import json
import math
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pose_files
import safetensors.torch
import torch
from actions import small_model, synthetic
from skeleton_files import (
    annotation,
    kinetics_clip,
    valid_skeletons,
    write_ctrgcn,
    write_folder,
    write_kinetics,
    write_official,
    write_openpose,
)

from pyg_msg3d import MSG3D
from pyg_msg3d.data import CheckpointError, Metadata, SkeletonDataError
from pyg_msg3d.datasets import NTU60, SkeletonFolder
from pyg_msg3d.io import read

STEPS = ({'name': 'Centre', 'joint': 1}, {'name': 'PadPersons', 'num_persons': 2})
METADATA = Metadata(tuple('abcdefghijklm'), 'tracked', STEPS, 'joint', 'mmaction2')
SECONDS, MEMORY = 3.0, 700 << 20
RNG = np.random.default_rng(0)

# Values that a field may have instead of its own.
ODD = [
    None, '', 'x', '-1', -1, 0, 1, 2**31, 2**63, 10**30, 1e308, -1e308, 0.5, True, [],
    {}, [[]], [None], [[None]], {'a': 1}, 'x' * 3000, '\ud800', 'a\0b', '../../x',
    '\x1b[2J', float('nan'), float('inf'), [1, [2]], [[1.0] * 3] * 40, '٣', [0] * 5000,
]  # fmt: skip
ARRAYS = [
    np.array(3), np.zeros(0), np.zeros((0, 10**9, 25, 3), 'f4'), np.array('x'),
    np.zeros((2, 3), bool), np.full((2, 5, 25, 3), np.nan), np.zeros((1, 1, 1, 1)),
    np.array([2**62]), np.ones((3, 300, 25, 2), 'f4'), np.array(['a', 'b']),
    np.full((1, 5, 17, 2), 1e300), np.zeros((5, 17, 3), 'i1'), np.float16(1),
    np.asfortranarray(np.ones((2, 5, 17, 2), 'f4')), np.int64(-5), 1 << 20000,
]  # fmt: skip
WORDS = [
    b'', b'nan', b'-nan(ind)', b'inf', b'1e400', b'-1', b'0', b'3', b'99999999999',
    b'x', b'1.5', b'\xff\xfe', b'1_000', b'0x10', b'+7', b'9' * 400, b' ', b'\0',
    b'\x0b',
]  # fmt: skip


def somewhere(rng, tree, depth=0):
    """A container in nested ones, and a key of it."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    if not keys:
        return None
    key = rng.choice(list(keys))
    below = tree[key]
    if isinstance(below, dict | list) and below and rng.random() < 0.8 and depth < 9:
        return somewhere(rng, below, depth + 1)
    return tree, key


def change_tree(rng, tree, values):
    """Nested containers with some places changed, left out, doubled or shared."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.randint(1, 3)):
        place = somewhere(rng, tree) if isinstance(tree, dict | list) else None
        if place is None:
            return copy.deepcopy(rng.choice(values))
        holder, key = place
        kind = rng.random()
        if kind < 0.6:
            holder[key] = copy.deepcopy(rng.choice(values))
        elif kind < 0.75:
            del holder[key]
        elif isinstance(holder, list):
            holder.extend([holder[key]] * rng.choice([1, 3, 50]))
        else:
            holder[f'{key}'[:50] + 'x'] = holder[key]
    return tree


def change_bytes(rng, content):
    content = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content) + 1)
        kind = rng.randrange(5)
        if kind == 0 and content:
            content[at % len(content)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del content[at : at + rng.randint(1, 9)]
        elif kind == 2:
            content[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 8)))
        elif kind == 3:
            content[at:at] = content[max(0, at - 40) : at]
        else:
            del content[at:]
    return bytes(content)


def change_text(rng, content, marks=b' \n'):
    """Text with some of its words, or lines, changed, left out or doubled."""
    lines = content.split(b'\n')
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        kind = rng.random()
        if kind < 0.7:
            mark = marks[:1]
            words = lines[at].split(mark)
            words[rng.randrange(len(words))] = rng.choice(WORDS)
            lines[at] = mark.join(words)
        elif kind < 0.85 and len(lines) > 1:
            del lines[at]
        else:
            lines[at:at] = [lines[at]] * rng.choice([1, 2, 30])
    return b'\n'.join(lines)


def change_array(rng, array):
    """The bytes of a .npy file that holds another array, or says so."""
    if rng.random() < 0.3:
        array = rng.choice([a for a in ARRAYS if isinstance(a, np.ndarray)])
    buffer = io.BytesIO()
    np.save(buffer, array)
    content = buffer.getvalue()
    if rng.random() < 0.7:
        old, new = rng.choice([
            (b'<f4', b'<f8'), (b'<f8', b'<f2'), (b'<f8', b'|O8'), (b'<f4', b'<U9'),
            (b'False', b'True '), (b'(', b'(9,'), (b'3)', b'9)'), (b', ', b'0, '),
            (b'shape', b'shapf'), (b'(', b'(-'), (b')', b'99999999999)'),
        ])  # fmt: skip
        end = 10 + int.from_bytes(content[8:10], 'little')
        head = content[10:end].replace(old, new, 1)
        head = head.rstrip()[: end - 11].ljust(end - 11) + b'\n'
        content = content[:10] + head + content[end:]
    return content


def lie(rng, content):
    """A zip archive whose directory says other sizes, methods or places."""
    content = bytearray(content)
    begin = content.rfind(b'PK\1\2')
    if begin < 0:
        return bytes(content)
    offset, width = rng.choice([(10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (42, 4)])
    value = rng.choice([0, 1, 8, 12, 14, 99, 2**16 - 1, 2**31, 2**32 - 1])
    value %= 1 << 8 * width
    content[begin + offset : begin + offset + width] = value.to_bytes(width, 'little')
    return bytes(content)


# What is written, and what of it is read ------------------------------------------


def write_json(rng, folder, name, tree):
    text = json.dumps(change_tree(rng, tree, ODD))
    (folder / name).write_bytes(text.encode('ascii'))


def skeleton(rng, folder):
    kind = rng.choice(list(valid_skeletons()))
    text = valid_skeletons()[kind][: rng.choice([3000, 99_999])]
    (folder / 'S001C001P001R001A001.skeleton').write_bytes(change_text(rng, text))


def pickled(rng, folder):
    records = [annotation(RNG, 3, 'a'), annotation(RNG, 2, 'b')]
    tree = {'split': {'train': ['a'], 'test': ['b']}, 'annotations': records}
    tree = change_tree(rng, tree, ODD + ARRAYS)
    if rng.random() < 0.1 and isinstance(tree, dict):
        tree['self'] = tree
    (folder / 'x.pkl').write_bytes(pickle.dumps(tree, rng.randint(2, 5)))


def array(rng, folder):
    shape = rng.choice([(4, 17, 2), (2, 4, 25, 3), (4, 33, 4), (3, 9, 25, 2)])
    (folder / 'x.npy').write_bytes(change_array(rng, RNG.normal(size=shape)))


def arrays(rng, folder):
    fields = {'keypoints': RNG.normal(size=(2, 4, 17, 2)), 'score': np.ones((2, 4, 17)),
              'label': np.array(1), 'image_size': np.array([4, 5])}  # fmt: skip
    key = rng.choice(list(fields))
    fields[key] = rng.choice([a for a in ARRAYS if not isinstance(a, int)])
    save = rng.choice([np.savez, np.savez_compressed])
    save(folder / 'x.npz', **fields)
    if rng.random() < 0.5:
        content = (folder / 'x.npz').read_bytes()
        (folder / 'x.npz').write_bytes(rng.choice([lie, change_bytes])(rng, content))


def own_json(rng, folder):
    x = RNG.uniform(1, 99, (2, 3, 17, 2)).round(1).tolist()
    score = RNG.uniform(0, 1, (2, 3, 17)).round(2).tolist()
    record = {'keypoints': x, 'score': score, 'label': 1, 'image_size': [480, 640]}
    write_json(rng, folder, 'x.json', record)


def nw_ucla(rng, folder):
    record = {'skeletons': [[[1, 2.5, 3]] * 20] * 2, 'label': 1}
    write_json(rng, folder, 'a01_s01_e01_v01.json', record)


def kinetics(rng, folder):
    write_kinetics(folder)
    name = rng.choice(['kinetics_train_label.json', 'kinetics_train/aaa.json'])
    tree = kinetics_clip(RNG) if 'aaa' in name else json.loads(
        (folder / name).read_text()
    )  # fmt: skip
    write_json(rng, folder, name, tree)


def openpose(rng, folder):
    write_openpose(folder, frames=3)
    file = folder / 'video_000000000001_keypoints.json'
    write_json(rng, folder, file.name, json.loads(file.read_text()))
    if rng.random() < 0.3:
        file.rename(
            folder / rng.choice(['v.1.json', 'frame1.json', '9' * 30 + '.json'])
        )


def table(rng, folder):
    write_folder(folder)
    content = (folder / 'labels.csv').read_bytes().replace(b'\r', b'')
    (folder / 'labels.csv').write_bytes(change_text(rng, content, b','))


def zipped(rng, folder):
    method = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
    with zipfile.ZipFile(folder / 'x.zip', 'w', method) as archive:
        for name in rng.sample(['a', 'b/a', 'S001C001P001R001A001', '__MACOSX/a'], 2):
            content = change_text(rng, valid_skeletons()['one body'][:3000])
            archive.writestr(f'{name}.skeleton', content)
    content = (folder / 'x.zip').read_bytes()
    if rng.random() < 0.7:
        (folder / 'x.zip').write_bytes(rng.choice([lie, change_bytes])(rng, content))


def official(rng, folder):
    write_official(folder, rng.choice([18, 25]))
    if rng.random() < 0.5:
        x = RNG.normal(size=(3, 3, 10, 25, 2)).astype('f4')
        (folder / 'val_data_joint.npy').write_bytes(change_array(rng, x))
    else:
        tree = [['a', 'b', 'c'], [0, 1, 2]]
        tree = change_tree(rng, tree, ODD + ARRAYS)
        (folder / 'val_label.pkl').write_bytes(pickle.dumps(tree, rng.randint(2, 5)))


def ctrgcn(rng, folder):
    write_ctrgcn(folder / 'x.npz', rng.random() < 0.5)
    content = (folder / 'x.npz').read_bytes()
    (folder / 'x.npz').write_bytes(rng.choice([lie, change_bytes])(rng, content))


WHOLE = {
    skeleton: '*.skeleton', pickled: 'x.pkl', array: 'x.npy', arrays: 'x.npz',
    own_json: 'x.json', nw_ucla: 'a01*.json', zipped: 'x.zip', ctrgcn: 'x.npz',
    kinetics: '', openpose: '', table: '', official: '',
}  # fmt: skip


def readers(rng, folder):
    make = rng.choice(list(WHOLE))
    make(rng, folder)
    if rng.random() < 0.25:  # Whatever it is, some of its bytes, too.
        file = rng.choice(sorted(f for f in folder.rglob('*') if f.is_file()))
        file.write_bytes(change_bytes(rng, file.read_bytes()))
    path = next(folder.glob(WHOLE[make])) if WHOLE[make] else folder
    return make.__name__, answers(path, folder)


def estimators(rng, folder):
    """Files of pose estimators and data sets, of which one is changed as its kind of
    text or numbers is, or by bytes."""
    write = rng.choice(list(pose_files.FORMATS))
    path, *_ = write(folder, RNG)
    file = pose_files.only_file(path)
    content = file.read_bytes()
    if rng.random() < 0.25:
        content = change_bytes(rng, content)
    elif file.suffix == '.json':
        tree = change_tree(rng, json.loads(content), ODD)
        content = json.dumps(tree).encode('ascii')
    elif file.suffix in ('.csv', '.txt'):
        marks = b',' if file.suffix == '.csv' else b' '
        content = change_text(rng, content, marks)
    elif file.name.endswith('.skeleton.npy') or file.suffix in ('.mat', '.pose'):
        content = change_bytes(rng, content)
    else:
        content = change_array(rng, np.load(file))
    file.write_bytes(content)
    return write.__name__, answers(path, folder)


def answers(path, folder):
    """Reads all that there is; errors name the file."""
    reader = read(path)
    assert len(set(reader.names)) == len(reader.names)
    problems = []
    for index in range(len(reader)):
        try:
            sequence = reader[index]
        except SkeletonDataError as error:
            problems.append(error)
            continue
        assert np.isfinite(sequence.keypoints).all()
        assert sequence.label is None or 0 <= sequence.label < 10**6
    for problem in problems:
        check(problem, folder)
    return 'refused' if problems else 'read'


def check(error, folder):
    text = str(error)
    assert str(folder) in text, f'no name in: {text[:200]}'
    assert all(line.isprintable() for line in text.split('\n')), repr(text[:200])


# Data sets and their stores, checkpoints -----------------------------------------


def stores(rng, folder):
    """A data set of which the recordings, or what was made of them, are changed."""
    kind = rng.choice(['recordings', 'store', 'unfinished'])
    if kind == 'recordings':
        make = rng.choice([skeleton, pickled, own_json, table, official, openpose])
        make(rng, folder)
        if make is own_json:
            (folder / 'labels.csv').write_text('file,label\nx.json,a\n')
        clips = SkeletonFolder(folder, None, num_workers=0)
    else:
        shutil.copytree(STORE, folder, dirs_exist_ok=True)
        (place,) = (folder / 'processed').glob('NTU60-*')
        if kind == 'unfinished':
            (place / 'index.npz').unlink()
            place.rename(place.with_name(f'{place.name}.unfinished'))
            (place,) = (folder / 'processed').glob('NTU60-*')
            (place / 'journal.jsonl').write_bytes(change_text(rng, JOURNAL, b' '))
        else:
            file = rng.choice(sorted(f for f in place.iterdir() if f.name[0] != '.'))
            file.write_bytes(change_bytes(rng, file.read_bytes()))
        clips = NTU60(folder, num_workers=0)
    for clip in clips:
        assert clip.x.isfinite().all()
        if kind != 'recordings':
            assert clip.x.equal(EXPECTED[clip.name]), 'other numbers were served'
    _ = clips.report, clips.classes
    return kind, 'read'


def checkpoints(rng, folder):
    """A checkpoint of ours or the authors' with other content, or other bytes."""
    own = rng.random() < 0.6
    content = copy.deepcopy(OWN if own else OFFICIAL)
    file = folder / 'x.pt'
    if rng.random() < 0.5:
        raw = io.BytesIO()
        torch.save(content, raw)
        change = rng.choice([change_bytes, lie])
        file.write_bytes(change(rng, raw.getvalue()))
    elif own and rng.random() < 0.5:
        values = [*ODD, 10**9, [10**8], 'dense', 'tied', (3,), 10**18]
        part = rng.choice(['model_arguments', 'metadata'])
        changed = {**content, part: change_tree(rng, content[part], values)}
        if rng.random() < 0.5:
            torch.save(changed, file)
        else:
            file = folder / 'x.safetensors'
            with contextlib.suppress(TypeError):  # What JSON does not know.
                about = {k: changed[k] for k in ('model_arguments', 'metadata')}
                text = {'pyg_msg3d': json.dumps(about)}
                raw = safetensors.torch.save(content['model'], text)
                if rng.random() < 0.3:
                    raw = change_bytes(rng, raw)
                file.write_bytes(raw)
    else:
        state = content['model'] if own else content
        key = rng.choice(list(state))
        tensor = state[key]
        state[key] = rng.choice([
            tensor[None], tensor.reshape(-1)[:1], tensor.flatten()[:0], tensor.double(),
            tensor.half(), tensor.to(torch.complex64), tensor * math.nan, tensor.bool(),
            tensor.new_zeros(1).expand(10**9), tensor.to('meta'), 7, None, 'x',
            [tensor],
        ])  # fmt: skip
        if rng.random() < 0.2:
            del state[key]
        torch.save(content, file)
    model = MSG3D.from_checkpoint(file)
    for key, value in model.state_dict().items():
        assert value.isfinite().all(), key
    expected = OWN['model'] if own else None
    if expected is not None:
        changed = [k for k, v in model.state_dict().items()
                   if not (v == expected[k]).all()]  # fmt: skip
        assert len(changed) <= 1, f'other weights: {changed}'
    return 'own' if own else 'official', 'read'


def prepare(what):
    global STORE, EXPECTED, JOURNAL, OWN, OFFICIAL
    if what == 'stores':
        STORE = Path(tempfile.mkdtemp())
        (STORE / 'raw').mkdir()
        for action in range(1, 5):
            (STORE / f'raw/S001C001P001R001A{action:03d}.skeleton').write_bytes(
                valid_skeletons()['a body appears midway']
            )
        clips = NTU60(STORE, num_workers=0)
        EXPECTED = {clip.name: clip.x for clip in clips}
        JOURNAL = json.dumps(clips.store.key).encode() + b'\n{"name": "a"} 00\n'
        shutil.rmtree(STORE / 'raw')
    if what == 'checkpoints':
        import golden_rule as rule

        model = small_model(synthetic())
        OWN = {'pyg_msg3d': 1, 'model': model.state_dict(), 'ema': None, 'notes': {},
               'model_arguments': model.arguments,
               'metadata': METADATA.arguments()}  # fmt: skip
        OFFICIAL = rule.state_dict(rule.load('official_ntu60'))
        read_own = MSG3D.from_checkpoint(OWN)
        assert read_own.num_classes == 13


def main():
    what, count = sys.argv[1], int(sys.argv[2])
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    prepare(what)
    size = int(Path('/proc/self/statm').read_text().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))

    def too_slow(*_):
        raise RuntimeError(f'took over {SECONDS} s')

    signal.signal(signal.SIGALRM, too_slow)
    results, failures, slowest = Counter(), 0, 0.0
    root = Path(tempfile.mkdtemp())
    for seed in range(first, first + count):
        rng = random.Random(seed)
        folder = root / f'case{seed}'
        folder.mkdir()
        begin = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                name, result = globals()[what](rng, folder)
            results[name, result] += 1
        except (SkeletonDataError, CheckpointError, FileNotFoundError) as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            try:
                check(error, folder)
                results[type(error).__name__, 'refused'] += 1
            except AssertionError as problem:
                failures += 1
                print(f'seed {seed}: {problem}', flush=True)
        except BaseException as error:  # The very thing that is looked for.
            failures += 1
            if count == 1:
                raise
            print(
                f'seed {seed}: {type(error).__name__}: {str(error)[:300]!r}', flush=True
            )
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            slowest = max(slowest, time.perf_counter() - begin)
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(root)
    for (name, result), number in sorted(results.items()):
        print(f'{name:20} {result:8} {number:7,}')
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f'{count:,} {what}: {failures} failures, slowest {slowest:.2f} s, peak '
        f'{peak:.0f} MB'
    )
    sys.exit(failures > 0)


if __name__ == '__main__':
    main()
