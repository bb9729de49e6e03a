"""A body: bones of its own lengths, moved by joint angles."""

from dataclasses import dataclass, field

import numpy as np

from pyg_msg3d.skeletons import skeleton

# The kinematic tree of the NTU joints, from the spine base on, parents first.
_TREE = (
    *[(0, 1), (1, 20), (20, 2), (2, 3)],
    *[(20, 4), (4, 5), (5, 6), (6, 7), (7, 21), (7, 22)],
    *[(20, 8), (8, 9), (9, 10), (10, 11), (11, 23), (11, 24)],
    *[(0, 12), (12, 13), (13, 14), (14, 15)],
    *[(0, 16), (16, 17), (17, 18), (18, 19)],
)
_LEFT_ANKLE, _RIGHT_ANKLE = 14, 18

# Standing at ease, one unit tall: where each joint lies from its parent.
# x: to the person's left, y: up, z: ahead.
_OFFSETS = {
    1: (0, 0.17, 0),
    20: (0, 0.14, 0),
    2: (0, 0.04, 0),
    3: (0, 0.10, 0.02),
    4: (0.11, -0.02, 0),
    5: (0, -0.17, 0),
    6: (0, -0.145, 0),
    7: (0, -0.045, 0),
    21: (0, -0.05, 0),
    22: (0, -0.02, 0.035),
    12: (0.055, -0.01, 0),
    13: (0, -0.245, 0),
    14: (0, -0.235, 0),
    15: (0, -0.03, 0.07),
}
_OFFSETS |= {  # The right side mirrors the left.
    right: (-_OFFSETS[left][0], *_OFFSETS[left][1:])
    for left, right in skeleton('ntu-rgb+d').pairs
}


@dataclass
class Motion:
    """How a body moves over ``num_frames`` frames.

    Args:
        num_frames (int): The number of frames.
        rotations (dict): For a joint the rotations ``[num_frames, 3, 3]`` of what
            hangs on it, in the frame of its parent.
        support (str): The foot that stays put: ``'both'``, ``'left'`` or ``'right'``.
        shift (array): Where the body goes, ``[num_frames, 3]`` in metres.
    """

    num_frames: int
    rotations: dict[int, np.ndarray] = field(default_factory=dict)
    support: str = 'both'
    shift: np.ndarray | None = None

    def turn(self, joint: int, axis: str, degrees: float | np.ndarray) -> None:
        """Turns what hangs on a joint about its x, y or z axis, after what it has
        been turned before."""
        angle = np.radians(np.broadcast_to(degrees, self.num_frames))
        turned = self.rotations.get(joint, np.eye(3))
        self.rotations[joint] = turned @ rotation(axis, angle)


class Body:
    """A person's build: stature and proportions drawn at random."""

    def __init__(self, rng: np.random.Generator) -> None:
        stature = rng.normal(1.70, 0.10)
        # A bone and its mirror have nearly the same length.
        pairs = dict(skeleton('ntu-rgb+d').pairs)
        ratio = {}
        for joint in _OFFSETS:
            if joint not in pairs.values():
                ratio[joint] = rng.normal(1, 0.06)
        for left, right in pairs.items():
            ratio[right] = ratio[left] * rng.normal(1, 0.01)
        self.offsets = {
            joint: stature * ratio[joint] * np.array(offset, dtype=float)
            for joint, offset in _OFFSETS.items()
        }

    def move(self, motion: Motion) -> np.ndarray:
        """Forward kinematics: the joints ``[num_frames, 25, 3]`` in metres, the
        supporting foot on the ground at the origin."""
        frames = np.broadcast_to(np.eye(3), (motion.num_frames, 3, 3))
        turned = {0: motion.rotations.get(0, frames)}
        x = np.zeros((motion.num_frames, 25, 3))
        for parent, joint in _TREE:
            x[:, joint] = x[:, parent] + turned[parent] @ self.offsets[joint]
            turned[joint] = turned[parent] @ motion.rotations.get(joint, frames)
        support = {
            'left': x[:, _LEFT_ANKLE],
            'right': x[:, _RIGHT_ANKLE],
            'both': (x[:, _LEFT_ANKLE] + x[:, _RIGHT_ANKLE]) / 2,
        }[motion.support]
        x = x - support[:, None]
        return x if motion.shift is None else x + motion.shift[:, None]


def rotation(axis: str, angle: float | np.ndarray) -> np.ndarray:
    """Rotation matrices ``[*, 3, 3]`` about an axis, by angles in radians."""
    angle = np.asarray(angle, dtype=float)
    u, v = {'x': (1, 2), 'y': (2, 0), 'z': (0, 1)}[axis]
    matrix = np.zeros((*angle.shape, 3, 3))
    matrix[..., [0, 1, 2], [0, 1, 2]] = 1
    matrix[..., u, u] = matrix[..., v, v] = np.cos(angle)
    matrix[..., u, v], matrix[..., v, u] = -np.sin(angle), np.sin(angle)
    return matrix
