"""What actions are put together from: postures, limbs, and curves over time."""

import numpy as np

from pyg_msg3d.datasets.synthetic.body import Motion

# Joint numbers of each side, and the sense in which its angles turn.
_SHOULDER, _ELBOW, _WRIST = {1: 4, -1: 8}, {1: 5, -1: 9}, {1: 6, -1: 10}
_HIP, _KNEE = {1: 12, -1: 16}, {1: 13, -1: 17}
_FRAMES_PER_SECOND = 30


BOTH_SIDES, _NEITHER = (1, -1), ()

# Where arms are that have nothing to do: flex, abduct, twist, elbow.
_POSTURES = (
    (0, 8, 0, 12),  # hanging, thrice as likely as the others
    (0, 8, 0, 12),
    (0, 8, 0, 12),
    (-15, 45, 60, 95),  # on the hip
    (35, 0, -55, 100),  # crossed
    (50, 20, 0, 130),  # at the head
    (70, 5, 0, 20),  # held out
    (20, 110, 40, 40),  # up
)


def idle(
    rng: np.random.Generator,
    num_frames: int,
    hands: tuple[int, ...] = _NEITHER,
    settle: bool = False,
) -> Motion:
    """What goes on beside the action: breath, sway, a posture of one's own.

    The :obj:`hands` that will act hang down; the other arm is anywhere. With
    :obj:`settle` the person may sit or crouch throughout.
    """
    motion = Motion(num_frames)
    lean, thighs = rng.normal(3, 3), 0.0
    if settle:
        lean = rng.uniform(0, 25)
        thighs = rng.choice([0, rng.uniform(20, 60), rng.uniform(75, 95)])
    motion.turn(0, 'z', sway(rng, num_frames, 1.5))
    motion.turn(0, 'x', lean)
    motion.turn(1, 'x', sway(rng, num_frames, 2))
    motion.turn(1, 'y', sway(rng, num_frames, 4))
    motion.turn(2, 'x', rng.normal(0, 6) + sway(rng, num_frames, 4))
    motion.turn(2, 'y', sway(rng, num_frames, 10))
    for side in BOTH_SIDES:
        leg(
            motion,
            side,
            flex=thighs + lean,
            abduct=abs(rng.normal(3, 2)),
            knee=thighs,
        )
        posture = _POSTURES[0 if side in hands else rng.integers(len(_POSTURES))]
        flex, abduct, twist, elbow = posture + rng.normal(0, [8, 4, 6, 8])
        arm(
            motion,
            side,
            flex=flex + sway(rng, num_frames, 3),
            abduct=abduct,
            twist=twist,
            elbow=max(0, elbow) + sway(rng, num_frames, 3),
        )
    return motion


def arm(
    motion: Motion,
    side: int,
    flex: float | np.ndarray = 0,
    abduct: float | np.ndarray = 0,
    twist: float | np.ndarray = 0,
    elbow: float | np.ndarray = 0,
) -> None:
    """Moves an arm, in degrees: ahead, to the side, about itself, and the elbow."""
    motion.turn(_SHOULDER[side], 'z', side * np.asarray(abduct))
    motion.turn(_SHOULDER[side], 'x', -np.asarray(flex))
    motion.turn(_SHOULDER[side], 'y', side * np.asarray(twist))
    motion.turn(_ELBOW[side], 'x', -np.asarray(elbow))


def leg(
    motion: Motion,
    side: int,
    flex: float | np.ndarray = 0,
    abduct: float | np.ndarray = 0,
    knee: float | np.ndarray = 0,
) -> None:
    """Moves a leg, in degrees: ahead, to the side, and the knee back."""
    motion.turn(_HIP[side], 'z', side * np.asarray(abduct))
    motion.turn(_HIP[side], 'x', -np.asarray(flex))
    motion.turn(_KNEE[side], 'x', knee)


def sway(rng: np.random.Generator, num_frames: int, degrees: float) -> np.ndarray:
    """A slow wander of about that size."""
    t = np.arange(num_frames) / _FRAMES_PER_SECOND
    waves = [
        np.sin(2 * np.pi * (rng.uniform(0.1, 0.6) * t + rng.uniform()))
        for _ in range(2)
    ]
    return degrees * rng.uniform(0.3, 1) * (waves[0] + 0.5 * waves[1])


def smoothstep(num_frames: int, begin: float, end: float) -> np.ndarray:
    """Smoothly from 0 to 1 between two moments of the clip, both in [0, 1]."""
    t = (np.linspace(0, 1, num_frames) - begin) / (end - begin)
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def pulse(rng: np.random.Generator, num_frames: int, ramp: float = 0.2) -> np.ndarray:
    """From 0 to 1 and back, at a random moment of the clip."""
    begin, length = rng.uniform(0.02, 0.45), rng.uniform(0.42, 0.53)
    ramp = min(ramp * rng.uniform(0.7, 1.3), 0.45 * length)
    up = smoothstep(num_frames, begin, begin + ramp)
    return up * (1 - smoothstep(num_frames, begin + length - ramp, begin + length))


def stroke(
    num_frames: int, moment: float, begin: float
) -> tuple[np.ndarray, np.ndarray]:
    """A limb drawn back from :obj:`begin` on, then swung ahead at a moment: how far
    it is back and how far ahead, both between 0 and 1."""
    swing = smoothstep(num_frames, moment, moment + 0.1)
    back = smoothstep(num_frames, begin, moment - 0.05) * (1 - swing)
    ahead = swing * (1 - smoothstep(num_frames, moment + 0.15, moment + 0.35))
    return back, ahead


def beats(rng: np.random.Generator, num_frames: int, hertz: float) -> np.ndarray:
    """Between -1 and 1, so many times a second."""
    t = np.arange(num_frames) / _FRAMES_PER_SECOND
    return np.sin(2 * np.pi * (hertz * rng.uniform(0.8, 1.25) * t + rng.uniform()))


def random_side(rng: np.random.Generator) -> int:
    """Left (1) or right (-1)."""
    return int(rng.choice([1, -1]))
