"""How fast recordings become clips, and clips batches.

    python benchmarks/data.py

Compares, in turns and after their results were found equal:

- parsing ``.skeleton`` files to coordinates, tracking states and body ids, here and
  with a straightforward reader that goes line by line;
- parsing and processing (reading, choosing persons, normalising, storing) by 1 and more
  processes;
- feeding a model batches of 100 frames and 2 persons, from the store and with the
  pipeline that normalises at every epoch, as PYSKL's and MMAction2's do.

The files are made for it: random walks of as many frames, bodies and digits as NTU
RGB+D has. Seconds are those of all files or clips; how many there are of them per
second is printed too.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import runner
import torch
from torch.utils.data import Dataset
from torch_geometric.loader import DataLoader

import pyg_msg3d.transforms as T
from pyg_msg3d.data import SkeletonData
from pyg_msg3d.datasets import NTU60
from pyg_msg3d.io import SkeletonSequence, parse_skeleton

_BODY_ID = 72057594037931101

Rows = list[dict[str, object]]


def main() -> None:
    parser = runner.parser(__doc__, 'data.csv')
    parser.add_argument('--files', type=int, default=240)
    args = parser.parse_args()
    torch.set_num_threads(1)  # Everything below is per core.
    print(', '.join(f'{key} {value}' for key, value in runner.machine().items()))
    folder = Path(tempfile.mkdtemp())
    try:
        files = write_files(folder / 'raw', args.files)
        size = sum(file.stat().st_size for file in files)
        print(f'{len(files)} files of {size / len(files) / 1024:.0f} KiB')
        table = parsing(files[: max(1, args.files // 4)], args.repeats)
        table += processing(folder, args.files)
        table += feeding(folder, args.repeats)
    finally:
        shutil.rmtree(folder)
    runner.save(table, args.output)
    print(f'written to {args.output}')


def measure(
    case: str,
    count: int,
    sides: dict[str, Callable[[], object]],
    baseline: str,
    repeats: int,
) -> Rows:
    """The lines of some sides that each go through so many files or clips."""
    rows = runner.rows(case, runner.in_turns(sides, repeats), [baseline])
    runner.show(rows)
    for row in rows:
        row['per_second'] = count / float(str(row['seconds']))
        print(f'    {row["side"]:22} {row["per_second"]:10,.0f} per second')
    return rows


def write_files(folder: Path, count: int) -> list[Path]:
    """``.skeleton`` files with all columns and as many digits as Kinect's have."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    files = []
    for number in range(count):
        name = f'S001C{2 + number % 2:03d}P{1 + number // 60:03d}R001A'
        files.append(folder / f'{name}{1 + number % 60:03d}.skeleton')
        frames, bodies = int(rng.integers(40, 131)), 1 + (rng.random() < 0.2)
        lines = [str(frames)]
        pose = rng.normal(size=(bodies, 25, 11)) * [
            0.3,
            0.8,
            0.3,
            *[50] * 4,
            *[0.5] * 4,
        ]
        pose += [0, 0, 3, 280, 200, 1000, 500, 0, 0, 0, 0]
        for _ in range(frames):
            lines.append(str(bodies))
            pose += rng.normal(size=pose.shape) * 0.02
            for body in range(bodies):
                lines.append(f'{_BODY_ID + body} 0 1 1 0 0 0 0.02764709 -0.0574508 2')
                lines.append('25')
                lines += [
                    ' '.join(f'{value:.7g}' for value in joint) + ' 2'
                    for joint in pose[body]
                ]
        files[-1].write_bytes(('\r\n'.join(lines) + '\r\n').encode())
    return files


# Parsing -----------------------------------------------------------------------


def read_line_by_line(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates, tracking states and body ids [slots, frames, ...]: no more than what
    the format says, and no check of anything."""
    with path.open() as file:
        num_frames = int(file.readline())
        keypoints = np.zeros((4, num_frames, 25, 3), np.float32)
        states = np.zeros((4, num_frames, 25), np.int8)
        body_ids = np.zeros((4, num_frames), np.int64)
        for frame in range(num_frames):
            for slot in range(int(file.readline())):
                body_ids[slot, frame] = int(file.readline().split()[0])
                for joint in range(int(file.readline())):
                    fields = file.readline().split()
                    x, y, z = float(fields[0]), float(fields[1]), float(fields[2])
                    keypoints[slot, frame, joint] = x, y, z
                    states[slot, frame, joint] = int(fields[11])
    return keypoints, states, body_ids


def read_ours(path: Path) -> SkeletonSequence:
    return parse_skeleton(path.read_bytes(), str(path))


def parsing(files: list[Path], repeats: int) -> Rows:
    for file in files:
        ours, theirs = read_ours(file), read_line_by_line(file)
        slots = len(ours.keypoints)
        np.testing.assert_array_equal(ours.keypoints, theirs[0][:slots])
        np.testing.assert_array_equal(ours.score * 2, theirs[1][:slots])
        np.testing.assert_array_equal(ours.body_ids, theirs[2][:slots])
    sides: dict[str, Callable[[], object]] = {
        'line by line': lambda: [read_line_by_line(file) for file in files],
        'pyg_msg3d': lambda: [read_ours(file) for file in files],
    }
    rows = measure('parsing', len(files), sides, 'line by line', repeats)
    many = files * 16
    with ExitStack() as stack:
        pools = {
            by(number): stack.enter_context(ProcessPoolExecutor(number))
            for number in numbers_of_processes()
        }
        sides = {name: partial(parse_all, pool, many) for name, pool in pools.items()}
        rows += measure('parsing', len(many), sides, by(1), repeats)
    return rows


def parse_all(pool: ProcessPoolExecutor, files: list[Path]) -> int:
    return sum(pool.map(parse_one, files, chunksize=32))


def parse_one(path: Path) -> int:
    return read_ours(path).num_frames


def numbers_of_processes() -> list[int]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1
    return sorted({1, 2, 4, 8, 16, cores} & set(range(1, cores + 1)))


def by(number: int) -> str:
    return f'{number} process' + ('es' if number > 1 else '')


# Processing --------------------------------------------------------------------


def processing(folder: Path, count: int) -> Rows:
    # Each file several times, under names of its own, so that starting the workers
    # counts for little.
    raw = folder / 'many'
    raw.mkdir()
    for file in (folder / 'raw').iterdir():
        for repetition in range(1, 9):
            os.link(file, raw / file.name.replace('R001', f'R{repetition:03d}'))
    numbers = numbers_of_processes()

    def run(workers: int) -> None:
        root = folder / f'by{workers}'
        with redirect_stderr(StringIO()):
            NTU60(root, raw=raw, num_workers=workers, force_reload=True)

    sides: dict[str, Callable[[], object]] = {by(n): partial(run, n) for n in numbers}
    rows = measure('processing', 8 * count, sides, by(1), repeats=5)
    stores = [NTU60(folder / f'by{number}').store.folder for number in numbers]
    for store in stores[1:]:
        for name in ('keypoints.npy', 'index.npz'):
            assert (store / name).read_bytes() == (stores[0] / name).read_bytes()
    return rows


# Feeding -----------------------------------------------------------------------


class NormaliseEveryTime(Dataset):
    """Recordings in memory, normalised whenever they are read, as is usual."""

    def __init__(self, dataset: NTU60, transform: T.Compose) -> None:
        self.clips = list(dataset)
        self.transform = T.Compose([T.PreNormalize3D(), transform])

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> SkeletonData:
        return self.transform(self.clips[index])


def feeding(folder: Path, repeats: int) -> Rows:
    recipe = T.recipe('mmaction2')
    rows: Rows = []
    for stream in ('joint', 'bone_motion'):
        train = recipe.transform('ntu-rgb+d-mmaction', stream)
        test = recipe.transform('ntu-rgb+d-mmaction', stream, train=False)
        raw = folder / 'raw'
        with redirect_stderr(StringIO()):
            plain = NTU60(folder / 'plain', raw=raw, recipe=None, persons='tracked')
            stored = [
                NTU60(folder / 'stored', raw=raw, transform=transform)
                for transform in (test, train)
            ]
        usual = [NormaliseEveryTime(plain, t) for t in (test, train)]
        # In testing, nothing is random: both give the same.
        for ours, theirs in zip(batches(stored[0]), batches(usual[0]), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
        sides: dict[str, Callable[[], object]] = {
            'normalised at every epoch': partial(consume, usual[1]),
            'from the store': partial(consume, stored[1]),
        }
        rows += measure(
            f'feeding {stream}', len(stored[1]), sides, 'normalised at every epoch',
            repeats,
        )  # fmt: skip
    return rows


def batches(dataset: Dataset) -> Iterable[torch.Tensor]:
    for batch in DataLoader(dataset, batch_size=32):
        yield batch.x


def consume(dataset: Dataset) -> None:
    for tensor in batches(dataset):
        assert tensor.shape[1:] == (2, 100, 25, 3)


if __name__ == '__main__':
    main()
