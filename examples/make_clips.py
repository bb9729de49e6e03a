"""Makes 60 clips of three actions as MediaPipe Pose gives them, by people who do not
exist, in a folder for each action:

    python examples/make_clips.py my_clips

Each is a .npy file of landmarks [frames, 33, 4]: x and y as shares of the image, y
pointing down, z in the unit of x, and the visibility.
"""

import argparse
from pathlib import Path

import numpy as np

from pyg_msg3d.datasets import SyntheticActions
from pyg_msg3d.skeletons import skeleton

ACTIONS = ('wave', 'kick', 'bow')
# What of NTU RGB+D's joints stands where MediaPipe has further ones, and how far away
# from it, in metres: to the person's left, up and forward.
NEAREST = {
    'nose': ('head', (0, 0, 0.1)),
    'eye': ('head', (0.03, 0.03, 0.08)),
    'ear': ('head', (0.08, 0, 0)),
    'mouth': ('head', (0.03, -0.05, 0.09)),
    'little finger': ('hand', (0.03, -0.06, 0)),
    'index finger': ('hand tip', (0, 0, 0)),
    'heel': ('ankle', (0, -0.05, -0.05)),
    'foot tip': ('foot', (0, -0.03, 0.1)),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path)
    parser.add_argument('--clips', type=int, default=20, help='of each action')
    args = parser.parse_args()
    write_clips(args.folder, args.clips)


def write_clips(folder: Path, number: int, seed: int = 0) -> None:
    """Writes so many clips of each action."""
    rng = np.random.default_rng(seed)
    actors = SyntheticActions(
        'train', num_subjects=number, clips_per_subject=1, dropout=0
    )
    order, offsets = landmarks()
    counts = dict.fromkeys(ACTIONS, 0)
    for clip in actors:
        action = actors.classes[int(clip.y)]
        if action not in counts:
            continue
        file = folder / action / f'{action}_{counts[action]:02d}.npy'
        file.parent.mkdir(parents=True, exist_ok=True)
        x = facing(clip.x[0].numpy(), rng.uniform(-0.4, 0.4))
        np.save(file, seen_by_camera(x[:, order] + offsets, rng))
        counts[action] += 1


def landmarks() -> tuple[list[int], np.ndarray]:
    """For each of MediaPipe's joints, which one of NTU RGB+D's stands for it, and how
    far away from that it is."""
    theirs = skeleton('ntu-rgb+d').joints
    found, offsets = [], []
    for name in skeleton('mediapipe-pose-33').joints:
        part = next((part for part in NEAREST if part in name), None)
        nearest, offset = NEAREST.get(part or '', (name, (0, 0, 0)))
        side = next((word for word in ('left', 'right') if word in name), '')
        joint = nearest if nearest in theirs else f'{side} {nearest}'
        found.append(theirs.index(joint))
        offsets.append((offset[0] * (-1 if side == 'right' else 1), *offset[1:]))
    return found, np.array(offsets, np.float32)


def facing(x: np.ndarray, angle: float) -> np.ndarray:
    """A person turned about the vertical axis to the camera, but for an angle."""
    joints = skeleton('ntu-rgb+d').joints
    left, right = (x[:, joints.index(f'{s} shoulder')] for s in ('left', 'right'))
    across = np.median(left - right, axis=0)
    angle += np.arctan2(across[2], across[0])
    turn = np.eye(3, dtype=np.float32)
    turn[0, 0] = turn[2, 2] = np.cos(angle)
    turn[0, 2], turn[2, 0] = np.sin(angle), -np.sin(angle)
    return x @ turn.T


def seen_by_camera(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Metres as shares of an image of 4 x 3, with a detector's noise."""
    scale, shift = rng.uniform(0.2, 0.3), rng.uniform(0.4, 0.6, 2)
    middle = x.mean(axis=(0, 1))
    image = (x - middle) * scale
    image[..., 0] = image[..., 0] * 3 / 4 + shift[0]
    image[..., 1] = shift[1] - image[..., 1]
    image += rng.normal(scale=0.002, size=image.shape)
    visibility = rng.uniform(0.6, 1, (*x.shape[:2], 1))
    return np.concatenate([image, visibility], axis=-1).astype(np.float32)


if __name__ == '__main__':
    main()
