"""Files of every format, valid and corrupt, for tests."""

import csv
import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np

BODY_ID = 72057594037931101  # 17 digits; a double would round it.
NAME = 'S001C002P003R001A013'


def pose(rng: np.random.Generator, joints: int = 25, dims: int = 3) -> np.ndarray:
    return rng.normal(size=(joints, dims)).astype(np.float32)


def skeleton_text(
    frames: Sequence[Sequence[tuple[int, np.ndarray]]],
    newline: str = '\r\n',
    num_frames: int | None = None,
    states: Sequence[int] = (2,),
) -> bytes:
    """The text of a ``.skeleton`` file with these bodies, (id, joints), per frame, and
    all the columns that Kinect fills."""
    lines = [str(len(frames) if num_frames is None else num_frames)]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body_id, joints in bodies:
            lines.append(f'{body_id} 0 1 1 0 0 0 0.0276 -5.745e-05 2')
            lines.append(str(len(joints)))
            for v, (x, y, z) in enumerate(joints.tolist()):
                lines.append(
                    f'{x:.9g} {y:.9g} {z:.9g} {277.4 + x} 191.8 1036.2 519.1 -0.2059 '
                    f'0.0535 0.9692 -0.1239 {states[v % len(states)]}'
                )
    return (newline.join(lines) + newline).encode()


def valid_skeletons() -> dict[str, bytes]:
    rng = np.random.default_rng(0)

    def frames(*bodies: Sequence[int]) -> list[list[tuple[int, np.ndarray]]]:
        return [[(BODY_ID + b, pose(rng)) for b in ids] for ids in bodies]

    return {
        'one body': skeleton_text(frames([0], [0], [0])),
        'LF': skeleton_text(frames([0], [0]), newline='\n'),
        'no bodies': skeleton_text(frames([], [], [])),
        'five bodies': skeleton_text(frames([0, 1, 2, 3, 4], [1, 2])),
        'a body appears midway': skeleton_text(frames([0], [0, 1], [1, 0], [1])),
        'states': skeleton_text(frames([0]), states=[0, 1, 2]),
        'no newline at the end': skeleton_text(frames([0])).rstrip(),
        'spaces at ends of lines': skeleton_text(frames([0, 1]), newline=' \n'),
        'blank lines at the end': skeleton_text(frames([0])) + b'\r\n \r\n',
    }


def corrupt_skeletons() -> dict[str, tuple[bytes, str]]:
    """Corrupt files with what the message must say."""
    rng = np.random.default_rng(0)
    good = skeleton_text([[(BODY_ID, pose(rng))], [(BODY_ID, pose(rng))]])
    lines = good.split(b'\r\n')

    def with_line(number: int, line: bytes) -> bytes:
        return b'\r\n'.join([*lines[: number - 1], line, *lines[number:]])

    nan = lines[4].split(b' ')
    nan[1] = b'nan'
    return {
        'empty': (b'', 'line 1: the file ends where the number of frames should be'),
        'blank': (b'\r\n', 'line 1: expected 1 number, the number of frames'),
        'no frames': (b'0\r\n', 'line 1: expected at least one frame'),
        'too many frames': (with_line(1, b'3'), 'line 58: the file ends where the num'),
        'too few frames': (with_line(1, b'1'), 'line 30: expected the end of the file'),
        'vast number of frames': (with_line(1, b'9' * 18), 'line 58: the file ends'),
        'negative': (with_line(2, b'-1'), "line 2: expected a whole number.*'-1'"),
        'truncated line': (good[:-40], 'line 57: expected 12 numbers, joint 24 of bod'),
        'truncated number': (good[: good.rindex(b' ')], 'line 57: expected 12 numbers'),
        '24 joints': (
            skeleton_text([[(1, pose(rng, 24))]]),
            'line 4: expected 25 joints for body 0 of frame 0 .got 24',
        ),
        'letters': (
            with_line(7, b'a b c 1 1 1 1 1 1 1 1 2'),
            "line 7: .* numbers.*'a'",
        ),
        'letters in the id': (with_line(3, b'x 0 1 1 0 0 0 0 0 2'), 'line 3: expected'),
        'NaN': (with_line(5, b' '.join(nan)), "line 5: expected numbers.*'nan'"),
        'infinite': (
            with_line(5, b'1 1e99 1 1 1 1 1 1 1 1 1 2'),
            'line 5: joint 0 of body 0 of frame 0 is beyond float32',
        ),
        'tracking state': (
            with_line(5, b'1 1 1 1 1 1 1 1 1 1 1 3'),
            "line 5: expected a tracking state of 0, 1 or 2 .got '3'",
        ),
        'an id of 25 digits': (
            with_line(3, b'7' * 25 + b' 0 1 1 0 0 0 0 0 2'),
            'line 3: expected a whole number, the id of body 0 of frame 0',
        ),
        'numbers moved to the next line': (
            with_line(6, b'1 1 1 1 1 1 1 1 1 1 1').replace(b'\r\n1 1', b' 2\r\n1 1', 1),
            'line 5: expected 12 numbers',
        ),
        'binary': (
            bytes(range(256)) * 4,
            'line 1: expected numbers, the number of frames',
        ),
    }


def annotation(rng: np.random.Generator, dims: int = 3, name: str = NAME) -> dict:
    """An annotation as MMAction2's and PYSKL's pickles have it."""
    joints = {3: 25, 2: 17}[dims]
    keypoint = rng.normal(size=(2, 5, joints, dims))
    if dims == 2:  # Pixels.
        keypoint = 100 * keypoint + [960, 540]
    keypoint = keypoint.astype(np.float16)
    record = {'frame_dir': name, 'label': 12, 'keypoint': keypoint, 'total_frames': 5}
    if dims == 2:
        record['keypoint_score'] = rng.random((2, 5, joints)).astype(np.float16)
        record['img_shape'] = record['original_shape'] = (1080, 1920)
    return record


def kinetics_clip(rng: np.random.Generator, bodies: Sequence[int] = (1, 2, 0)) -> dict:
    def body() -> dict:
        return {
            'pose': rng.random(36).round(3).tolist(),
            'score': rng.random(18).round(3).tolist(),
        }

    return {
        'data': [
            {'frame_index': t + 1, 'skeleton': [body() for _ in range(n)]}
            for t, n in enumerate(bodies)
        ],
        'label': 'juggling balls',
        'label_index': 1,
    }


def write_kinetics(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, names in {'train': ['aaa', 'bbb'], 'val': ['ccc']}.items():
        folder = root / f'kinetics_{split}'
        folder.mkdir(parents=True)
        labels = {}
        for name in names:
            (folder / f'{name}.json').write_text(json.dumps(kinetics_clip(rng)))
            labels[name] = {
                'has_skeleton': True, 'label': 'juggling balls', 'label_index': 1,
            }  # fmt: skip
        labels['zzz'] = {
            'has_skeleton': False, 'label': 'abseiling', 'label_index': 0,
        }  # fmt: skip
        file = root / f'kinetics_{split}_label.json'
        file.write_text(json.dumps(labels))


def write_openpose(folder: Path, joints: int = 25, frames: int = 4) -> np.ndarray:
    """Two people walk past each other, and change places in the lists midway; gives
    their poses [2, frames, joints, 3]."""
    rng = np.random.default_rng(0)
    shape = rng.uniform(0, 100, (2, 1, joints, 2))
    shape[1] += [400, 0]
    x = shape + np.arange(frames)[:, None, None] * [5, 0]
    x = np.concatenate([x, rng.uniform(0.5, 1, (*x.shape[:3], 1))], axis=3)
    x = x.round(3)
    folder.mkdir(parents=True, exist_ok=True)
    for t in range(frames):
        people = [
            {'person_id': [-1], 'pose_keypoints_2d': x[m, t].ravel().tolist()}
            for m in ((0, 1) if t < 2 else (1, 0))
        ]
        document = {'version': 1.3, 'people': people}
        file = folder / f'video_{t:012d}_keypoints.json'
        file.write_text(json.dumps(document))
    return x


def write_official(folder: Path, joints: int = 25) -> np.ndarray:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    x = rng.normal(size=(3, 3, 10, joints, 2)).astype(np.float32)
    np.save(folder / 'val_data_joint.npy', x)
    names = [f'S001C001P001R001A00{a}.skeleton' for a in (1, 2, 3)]
    (folder / 'val_label.pkl').write_bytes(pickle.dumps((names, [0, 1, 2])))
    return x


def write_ctrgcn(file: Path, compressed: bool = False) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = np.zeros((3, 300, 150), np.float32)
    x[:, :7] = rng.normal(size=(3, 7, 150))
    y = np.eye(60, dtype=np.float32)[[5, 6, 7]]
    save = np.savez_compressed if compressed else np.savez
    save(file, x_train=x[:2], y_train=y[:2], x_test=x[2:], y_test=y[2:])
    return x


def write_folder(root: Path) -> None:
    rng = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    np.savez(
        root / 'a.npz',
        keypoints=rng.normal(size=(1, 6, 17, 2)),
        score=rng.random((1, 6, 17)),
        image_size=[480, 640],
    )
    np.save(root / 'b.npy', rng.normal(size=(8, 17, 2)).astype(np.float32))
    document = {'keypoints': rng.normal(size=(4, 17, 2)).tolist(), 'label': 3}
    (root / 'c.json').write_text(json.dumps(document))
    with (root / 'labels.csv').open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['file', 'label', 'split'])
        table.writerows(
            [
                ['a.npz', 'run', 'train'],
                ['b.npy', 'fall', 'train'],
                ['c.json', 'run', 'test'],
            ]
        )
