"""Whatever bytes come: a sequence or our error, in little time and memory."""

import json
import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pose_files
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skeleton_files import (
    annotation,
    kinetics_clip,
    valid_skeletons,
    write_ctrgcn,
    write_kinetics,
    write_official,
    write_openpose,
)

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io import SkeletonSequence, read


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _skeleton(file: Path) -> None:
    file.write_bytes(valid_skeletons()['a body appears midway'][:6000])


def _pickle(file: Path) -> None:
    records = [annotation(_rng()), annotation(_rng(), 2)]
    file.write_bytes(pickle.dumps({'split': {'a': []}, 'annotations': records}, 2))


def _npy(file: Path) -> None:
    np.save(file, _rng().normal(size=(4, 17, 3)))


def _npz(file: Path) -> None:
    x = _rng().normal(size=(4, 17, 2))
    np.savez_compressed(file, keypoints=x, score=x[..., 0], label=2)


def _json(file: Path) -> None:
    file.write_text(json.dumps({'keypoints': [[[1, 2.5]] * 3] * 2, 'label': 1}))


def _nw_ucla(file: Path) -> None:
    file.write_text(json.dumps({'skeletons': [[[1, 2.5, 3]] * 20] * 2, 'label': 1}))


def _kinetics(file: Path) -> None:
    file.write_text(json.dumps(kinetics_clip(_rng())))


def _zip(file: Path) -> None:
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name in ('a', 'b'):
            archive.writestr(f'{name}.skeleton', valid_skeletons()['one body'][:4000])


def _labels(file: Path) -> None:
    write_official(file.parent)


def _table(file: Path) -> None:
    file.write_text('file,label,split\na.npy,run,train\nb.npz,fall,test\n')


def _kinetics_labels(file: Path) -> None:
    write_kinetics(file.parent)


def _openpose(file: Path) -> None:
    write_openpose(file.parent, frames=2)


# What is changed, who makes it, and what of it is read.
FORMATS: dict[str, tuple[Callable[[Path], None], str]] = {
    'S001C001P001R001A001.skeleton': (_skeleton, ''),
    'annotations.pkl': (_pickle, ''),
    'keypoints.npy': (_npy, ''),
    'keypoints.npz': (_npz, ''),
    'keypoints.json': (_json, ''),
    'a01_s01_e01_v01.json': (_nw_ucla, ''),
    'clip.json': (_kinetics, ''),
    'archive.zip': (_zip, ''),
    'NTU60_CS.npz': (lambda file: write_ctrgcn(file, compressed=True), ''),
    'val_label.pkl': (_labels, '.'),
    'val_data_joint.npy': (_labels, '.'),
    'labels.csv': (_table, '.'),
    'kinetics_train_label.json': (_kinetics_labels, '.'),
    'video_000000000001_keypoints.json': (_openpose, '.'),
}


def _read_all(path: Path) -> None:
    for sequence in read(path):
        assert isinstance(sequence, SkeletonSequence)
        assert np.isfinite(sequence.keypoints).all()


def _is_read_or_refused(folder: Path, path: Path) -> None:
    """By an error that names it, and in little memory."""
    size = sum(f.stat().st_size for f in folder.rglob('*') if f.is_file())
    tracemalloc.start()
    try:
        _read_all(path)
        message = str(folder)
    except SkeletonDataError as error:
        message = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert str(folder) in message
    assert peak <= 20 * size + (16 << 20)


@st.composite
def _changed(draw: st.DrawFn, content: bytes) -> bytes:
    """Random bytes, or the content with some bytes changed, left out or doubled."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.binary(max_size=200))
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(changed)))
        end = begin + draw(st.integers(0, 8))
        kind = draw(st.sampled_from(['replace', 'delete', 'insert', 'cut', 'double']))
        if kind == 'replace':
            new = draw(st.binary(min_size=1, max_size=8))
            changed[begin : begin + len(new)] = new
        elif kind == 'delete':
            del changed[begin:end]
        elif kind == 'insert':
            changed[begin:begin] = draw(st.binary(min_size=1, max_size=8))
        elif kind == 'cut':
            del changed[begin:]
        else:
            changed[begin:begin] = changed[begin:end]
    return bytes(changed)


@pytest.mark.parametrize('name', FORMATS)
@settings(
    max_examples=60,
    deadline=timedelta(seconds=5),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_whatever_bytes_come(tmp_path_factory, name, data):
    folder = tmp_path_factory.mktemp('any', numbered=True)
    write, what = FORMATS[name]
    file = folder / name
    write(file)
    content = data.draw(_changed(file.read_bytes()))
    file.write_bytes(content)
    _is_read_or_refused(folder, folder / what if what else file)


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('write', pose_files.FORMATS, ids=lambda write: write.__name__)
@settings(
    max_examples=30,
    deadline=timedelta(seconds=5),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_whatever_bytes_come_to_pose_estimators(tmp_path_factory, write, data):
    folder = tmp_path_factory.mktemp('any', numbered=True)
    path, *_ = write(folder, _rng())
    file = pose_files.only_file(path)
    file.write_bytes(data.draw(_changed(file.read_bytes())))
    _is_read_or_refused(folder, path)


# Files that are large in order to take even more memory ------------------------


def _large(folder: Path) -> None:
    """Writes files of some megabytes that would each take far more memory."""
    million = 1 << 20
    body = valid_skeletons()['five bodies'].split(b'\r\n')
    five = b'\r\n'.join(body[1 : body.index(b'2', 5)])
    ones = b' '.join([b'1'] * 12) + b'\n'
    dense = b'1\n1 0 0 0 0 0 0 0 0 1\n25\n' + ones * 25
    deflated = zipfile.ZIP_DEFLATED
    files = {
        'empty_frames.skeleton': b'%d\n%b\n' % (million + 1, five) + b'0\n' * million,
        'dense.skeleton': b'2710\n' + dense * 2710,
        'dense_large.skeleton': b'12000\n' + dense * 12000,
        'no_lines.skeleton': b'1 ' * (4 * million),
        'lists.json': b'{"keypoints": [' + b'[],' * (2 * million) + b'[]]}',
        'objects.json': b'[' + b'{},' * (2 * million) + b'{}]',
        'deep.json': b'[' * (4 * million),
        'strings.json': '["{}"]'.format('","'.join(['ā'] * million)).encode(),
        'numbers.json': b'{"keypoints": [' + b'1,' * (4 * million) + b'1]}',
        'floats.json': b'{"keypoints": [' + b'1.5,' * (2 * million) + b'1]}',
        'wide.json': b'{"keypoints": ["\xf0\x9f\x98\x80", ' + b'1.5,' * (2 * million)
        + b'1]}',
        'marks.pkl': b'(' * (4 * million) + b'.',
        'memo.pkl': b'\x80\x04N' + b'\x94' * (4 * million) + b'.',
        'lists.pkl': b'\x80\x04]' + b']a' * (3 * million) + b'.',
        'dicts.pkl': b'\x80\x04(' + b'}' * (4 * million) + b'l.',
        'texts.pkl': b'\x80\x04(' + b'\x8c\x02ab' * million + b'l.',
        'tuples.pkl': b'\x80\x04N' + b'\x85' * (4 * million) + b'.',
        'arrays.pkl': pickle.dumps([np.zeros(1)] * 2)[:-1] + b'2a' * million + b'.',
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / 'table').mkdir()
    rows = b''.join(b'%d.npy,%d\n' % (n, n % 60) for n in range(200_000))
    (folder / 'table/labels.csv').write_bytes(b'file,label\n' + rows)
    with zipfile.ZipFile(folder / 'bomb.zip', 'w', deflated) as archive:
        archive.writestr('a.skeleton', b'1\n' + b' ' * (300 * million))
    np.savez_compressed(folder / 'bomb.npz', keypoints=np.zeros((1000, 20000, 3)))
    (folder / 'wide').mkdir()
    (folder / 'wide/labels.csv').write_bytes(b'file,label' + b',a' * million + b'\na')
    for name, content in _shared().items():
        (folder / name).write_bytes(content + b' ' * 300_000)
    for method in (deflated, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        # Its directory says that it holds next to nothing.
        with zipfile.ZipFile(folder / f'lies{method}.zip', 'w', method) as archive:
            archive.writestr('a.skeleton', b'1\n' + b' ' * (300 * million))
        lying = bytearray((folder / f'lies{method}.zip').read_bytes())
        for mark, offset in ((b'PK\3\4', 22), (b'PK\1\2', 24)):
            at = lying.rfind(mark) + offset
            lying[at : at + 4] = (1000).to_bytes(4, 'little')
        (folder / f'lies{method}.zip').write_bytes(lying)
    with zipfile.ZipFile(folder / 'many.zip', 'w') as archive:
        for number in range(20_000):
            archive.writestr(f'{number:x}', b'')


def _shared() -> dict[str, bytes]:
    """Pickles in which a part stands in many places."""
    nested: list = [1.0] * 10
    for _ in range(9):
        nested = [nested] * 10  # In the end, 10^10 numbers.
    itself: list = []
    itself.append(itself)
    array, name = np.zeros((2, 5, 17, 2), 'f4'), 'n' * (1 << 18)
    records: dict = {
        'nested.pkl': [{'frame_dir': 'a', 'keypoint': nested}],
        'itself.pkl': [{'frame_dir': 'a', 'keypoint': itself}],
        'arrays_shared.pkl': [
            {'frame_dir': str(n), 'keypoint': [array] * 20} for n in range(2000)
        ],
        'names.pkl': [{'frame_dir': name} for _ in range(20_000)],
        'splits.pkl': {
            'annotations': [],
            'split': {str(n): [name] * 99 for n in range(99)},
        },
    }
    return {
        **{file: pickle.dumps(record, 2) for file, record in records.items()},
        # A list that grows once it is used elsewhere.
        'grows.pkl': b'\x80\x02]q\0](' + b'h\0' * 200 + b'e0(' + b'K\1' * 200 + b'e.',
    }


_MEASURE = """
import ctypes
import sys
from pathlib import Path
from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io import read

def status(key):
    for line in open('/proc/self/status'):
        if line.startswith(key):
            return 1024 * int(line.split()[1])

warm_up = read(sys.argv[1])[0]
for path in map(Path, sys.argv[2:]):
    ctypes.CDLL(None).malloc_trim(0)  # What earlier files left must not serve again.
    Path('/proc/self/clear_refs').write_text('5')  # Forget the peak.
    before = status('VmRSS')
    try:
        count = 0
        for sequence in read(path):
            count += 1
        result = f'{count} sequences'
    except SkeletonDataError as error:
        result = str(error)[:300].replace('\\n', ' ')
    size = path.stat().st_size if path.is_file() else 0
    size = size or sum(file.stat().st_size for file in path.iterdir())
    print(path.name, size, status('VmHWM') - before, result, sep='\\t')
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not os.access('/proc/self/clear_refs', os.W_OK),
    reason='the peak of memory can be reset on Linux only',
)
def test_memory_stays_within_bounds(tmp_path):
    _large(tmp_path)
    first = tmp_path.parent / 'first.skeleton'
    _skeleton(first)
    first.write_bytes(valid_skeletons()['one body'])
    files = sorted(tmp_path.iterdir())
    run = subprocess.run(
        [sys.executable, '-c', _MEASURE, str(first), *map(str, files)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    rows = [line.split('\t') for line in run.stdout.splitlines()]
    assert len(rows) == len(files)
    for name, size, used, result in rows:
        print(f'{name:30}{int(size):12}{int(used) / int(size):8.1f} times  {result}')
    for name, size, used, _ in rows:
        assert int(used) <= 20 * int(size) + (16 << 20), name


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='limits of memory are set on Linux')
@pytest.mark.parametrize(
    ('what', 'count'),
    [
        ('readers', 20_000),
        ('estimators', 4000),
        ('stores', 1000),
        ('checkpoints', 1000),
    ],
)
def test_thousands_of_odd_files(what, count):
    """Our error or an answer, every time; see fuzz.py."""
    tests = Path(__file__).parents[1]
    paths = [tests.parent, tests, tests / 'training']
    run = subprocess.run(
        [sys.executable, tests / 'fuzz.py', what, str(count)],
        capture_output=True, text=True, timeout=900, check=False,
        env={**os.environ, 'OMP_NUM_THREADS': '1',
             'PYTHONPATH': ':'.join(map(str, paths))},
    )  # fmt: skip
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert f'{count:,} {what}: 0 failures' in run.stdout
