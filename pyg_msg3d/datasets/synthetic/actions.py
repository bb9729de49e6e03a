"""The actions, as joint angles over time.

Every action draws its own pace, extent and side, so that no two clips are alike, and
begins and ends close to standing at ease wherever that does not give it away.
"""

from collections.abc import Callable

import numpy as np

from pyg_msg3d.datasets.synthetic.body import Motion, rotation

# Joint numbers of each side, and the sense in which its angles turn.
_SHOULDER, _ELBOW, _WRIST = {1: 4, -1: 8}, {1: 5, -1: 9}, {1: 6, -1: 10}
_HIP, _KNEE = {1: 12, -1: 16}, {1: 13, -1: 17}
_FRAMES_PER_SECOND = 30


_BOTH, _NEITHER = (1, -1), ()

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
    motion.turn(0, 'z', _sway(rng, num_frames, 1.5))
    motion.turn(0, 'x', lean)
    motion.turn(1, 'x', _sway(rng, num_frames, 2))
    motion.turn(1, 'y', _sway(rng, num_frames, 4))
    motion.turn(2, 'x', rng.normal(0, 6) + _sway(rng, num_frames, 4))
    motion.turn(2, 'y', _sway(rng, num_frames, 10))
    for side in _BOTH:
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
            flex=flex + _sway(rng, num_frames, 3),
            abduct=abduct,
            twist=twist,
            elbow=max(0, elbow) + _sway(rng, num_frames, 3),
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


def _sway(rng: np.random.Generator, num_frames: int, degrees: float) -> np.ndarray:
    """A slow wander of about that size."""
    t = np.arange(num_frames) / _FRAMES_PER_SECOND
    waves = [
        np.sin(2 * np.pi * (rng.uniform(0.1, 0.6) * t + rng.uniform()))
        for _ in range(2)
    ]
    return degrees * rng.uniform(0.3, 1) * (waves[0] + 0.5 * waves[1])


def _ramp(num_frames: int, begin: float, end: float) -> np.ndarray:
    """Smoothly from 0 to 1 between two moments of the clip, both in [0, 1]."""
    t = (np.linspace(0, 1, num_frames) - begin) / (end - begin)
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _pulse(rng: np.random.Generator, num_frames: int, ramp: float = 0.2) -> np.ndarray:
    """From 0 to 1 and back, at a random moment of the clip."""
    begin, length = rng.uniform(0.02, 0.45), rng.uniform(0.42, 0.53)
    ramp = min(ramp * rng.uniform(0.7, 1.3), 0.45 * length)
    up = _ramp(num_frames, begin, begin + ramp)
    return up * (1 - _ramp(num_frames, begin + length - ramp, begin + length))


def _beats(rng: np.random.Generator, num_frames: int, hertz: float) -> np.ndarray:
    """Between -1 and 1, so many times a second."""
    t = np.arange(num_frames) / _FRAMES_PER_SECOND
    return np.sin(2 * np.pi * (hertz * rng.uniform(0.8, 1.25) * t + rng.uniform()))


def _side(rng: np.random.Generator) -> int:
    return int(rng.choice([1, -1]))


# One person -------------------------------------------------------------------


def wave(rng: np.random.Generator, n: int) -> list[Motion]:
    """One forearm up, swinging from side to side."""
    up, side = _pulse(rng, n), _side(rng)
    motion = idle(rng, n, hands=(side,), settle=True)
    swing = rng.uniform(20, 40) * _beats(rng, n, 1.5)
    arm(
        motion,
        side,
        abduct=up * rng.uniform(45, 100),
        twist=up * rng.uniform(70, 100),
        elbow=up * (rng.uniform(60, 90) + swing),
    )
    return [motion]


def drink(rng: np.random.Generator, n: int) -> list[Motion]:
    """One hand to the mouth, the head back."""
    up, side = _pulse(rng, n, 0.3), _side(rng)
    motion = idle(rng, n, hands=(side,), settle=True)
    arm(
        motion,
        side,
        flex=up * rng.uniform(40, 65),
        twist=-up * rng.uniform(20, 40),
        elbow=up * rng.uniform(115, 140),
    )
    motion.turn(2, 'x', -up * rng.uniform(5, 20))
    return [motion]


def throw(rng: np.random.Generator, n: int) -> list[Motion]:
    """One arm back over the shoulder, then fast ahead."""
    side = _side(rng)
    motion = idle(rng, n, hands=(side,), settle=True)
    moment = rng.uniform(0.4, 0.65)
    back = _ramp(n, moment - 0.3, moment - 0.05) * (1 - _ramp(n, moment, moment + 0.1))
    ahead = _ramp(n, moment, moment + 0.1) * (
        1 - _ramp(n, moment + 0.15, moment + 0.35)
    )
    arm(
        motion,
        side,
        flex=back * rng.uniform(110, 150) + ahead * rng.uniform(60, 90),
        abduct=back * rng.uniform(10, 40),
        elbow=back * rng.uniform(80, 110) + ahead * 10,
    )
    motion.turn(1, 'y', side * (rng.uniform(10, 25) * (back - ahead)))
    return [motion]


def clap(rng: np.random.Generator, n: int) -> list[Motion]:
    """Both hands before the chest, together and apart."""
    up = _pulse(rng, n)
    motion = idle(rng, n, hands=_BOTH, settle=True)
    apart = rng.uniform(15, 25) * _beats(rng, n, 2)
    flex, elbow = rng.uniform(40, 75), rng.uniform(35, 70)
    for side in _BOTH:
        arm(
            motion,
            side,
            flex=up * flex,
            abduct=up * (apart - 10),
            elbow=up * elbow,
        )
    return [motion]


def raise_arms(rng: np.random.Generator, n: int) -> list[Motion]:
    """Both arms up over the head, and down again."""
    up = _pulse(rng, n, 0.35)
    motion = idle(rng, n, hands=_BOTH, settle=True)
    extent, ahead = rng.uniform(130, 165), rng.uniform() < 0.5
    for side in _BOTH:
        if ahead:
            arm(motion, side, flex=up * extent)
        else:
            arm(motion, side, abduct=up * extent)
    return [motion]


def bow(rng: np.random.Generator, n: int) -> list[Motion]:
    """The trunk ahead from the hips, legs straight."""
    motion, down = idle(rng, n), _pulse(rng, n, 0.3)
    angle = down * rng.uniform(40, 75)
    motion.turn(0, 'x', angle * 0.7)
    motion.turn(1, 'x', angle * 0.3)
    for side in _BOTH:
        leg(motion, side, flex=angle * 0.7)
        arm(motion, side, flex=angle * rng.uniform(0.1, 0.6))
    return [motion]


def pick_up(rng: np.random.Generator, n: int) -> list[Motion]:
    """Down with bent knees, one hand to the ground."""
    down, side = _pulse(rng, n, 0.3), _side(rng)
    motion = idle(rng, n, hands=(side,))
    bend = down * rng.uniform(45, 75)
    knees = down * rng.uniform(50, 90)
    motion.turn(0, 'x', bend)
    for each in _BOTH:
        leg(motion, each, flex=bend + 0.5 * knees, knee=knees)
    arm(motion, side, flex=down * rng.uniform(60, 95))
    return [motion]


def kick(rng: np.random.Generator, n: int) -> list[Motion]:
    """One leg drawn back, then swung ahead."""
    motion, side = idle(rng, n), _side(rng)
    moment = rng.uniform(0.35, 0.65)
    back = _ramp(n, moment - 0.25, moment - 0.05) * (1 - _ramp(n, moment, moment + 0.1))
    ahead = _ramp(n, moment, moment + 0.1) * (
        1 - _ramp(n, moment + 0.15, moment + 0.35)
    )
    leg(
        motion,
        side,
        flex=-back * rng.uniform(10, 30) + ahead * rng.uniform(50, 85),
        knee=back * rng.uniform(50, 80) + ahead * rng.uniform(0, 20),
    )
    motion.turn(1, 'x', -ahead * rng.uniform(5, 15))
    motion.support = {1: 'right', -1: 'left'}[side]
    return [motion]


def jump(rng: np.random.Generator, n: int) -> list[Motion]:
    """Crouch, leave the ground, land: once or more."""
    motion = idle(rng, n)
    height, times = rng.uniform(0.12, 0.35), int(rng.integers(1, 4))
    phase = np.linspace(0, times, n) % 1
    flight = np.clip((phase - 0.4) / 0.35, 0, 1)
    crouch = rng.uniform(25, 55) * np.exp(-(((phase - 0.27) / 0.1) ** 2))
    crouch += rng.uniform(15, 40) * np.exp(-(((phase - 0.82) / 0.08) ** 2))
    for side in _BOTH:
        leg(motion, side, flex=crouch, knee=2 * crouch)
        arm(motion, side, flex=rng.uniform(10, 60) * np.sin(np.pi * flight))
    motion.turn(0, 'x', 0.5 * crouch)
    motion.shift = np.stack(
        [0 * phase, height * 4 * flight * (1 - flight), 0 * phase], 1
    )
    return [motion]


def _seated(rng: np.random.Generator, n: int, seated: np.ndarray) -> list[Motion]:
    motion = idle(rng, n)
    # Half way down the trunk leans ahead, for balance.
    lean = rng.uniform(20, 45) * 4 * seated * (1 - seated)
    thighs = rng.uniform(75, 95) * seated
    motion.turn(0, 'x', lean)
    for side in _BOTH:
        leg(motion, side, flex=thighs + lean, knee=thighs)
        arm(motion, side, flex=seated * rng.uniform(10, 40), elbow=seated * 20)
    return [motion]


def sit_down(rng: np.random.Generator, n: int) -> list[Motion]:
    """From standing to sitting."""
    begin = rng.uniform(0.1, 0.6)
    return _seated(rng, n, _ramp(n, begin, begin + rng.uniform(0.25, 0.35)))


def stand_up(rng: np.random.Generator, n: int) -> list[Motion]:
    """From sitting to standing."""
    begin = rng.uniform(0.1, 0.6)
    return _seated(rng, n, 1 - _ramp(n, begin, begin + rng.uniform(0.25, 0.35)))


# Two persons ------------------------------------------------------------------


def shake_hands(rng: np.random.Generator, n: int) -> list[Motion]:
    """Right hands meet and go up and down."""
    up, beat = _pulse(rng, n), rng.uniform(8, 18) * _beats(rng, n, 2)
    motions = [idle(rng, n, hands=(-1,)) for _ in range(2)]
    for motion in motions:
        flex, elbow = rng.uniform(30, 45), rng.uniform(35, 55)
        arm(motion, -1, flex=up * (flex + beat), elbow=up * elbow)
    return motions


def push(rng: np.random.Generator, n: int) -> list[Motion]:
    """One shoves with both hands, the other goes back a step."""
    moment = rng.uniform(0.35, 0.55)
    reach = _ramp(n, moment - 0.2, moment) * (
        1 - _ramp(n, moment + 0.15, moment + 0.35)
    )
    hit = _ramp(n, moment - 0.05, moment + 0.2)
    first, second = idle(rng, n, hands=_BOTH), idle(rng, n)
    flex, extent = rng.uniform(65, 85), rng.uniform(0.2, 0.5)
    for side in _BOTH:
        elbow = 70 * reach * (1 - _ramp(n, moment - 0.1, moment))
        arm(first, side, flex=reach * flex, elbow=elbow)
        arm(second, side, flex=20 * hit * (1 - hit) * 4)
    first.turn(0, 'x', reach * rng.uniform(5, 15))
    second.turn(0, 'x', -rng.uniform(15, 30) * hit * (1 - hit) * 4)
    second.shift = np.stack([0 * hit, 0 * hit, -extent * hit], 1)
    return [first, second]


ACTIONS: dict[str, Callable[[np.random.Generator, int], list[Motion]]] = {
    'wave': wave,
    'drink': drink,
    'throw': throw,
    'clap': clap,
    'raise arms': raise_arms,
    'bow': bow,
    'pick up': pick_up,
    'kick': kick,
    'jump': jump,
    'sit down': sit_down,
    'stand up': stand_up,
    'shake hands': shake_hands,
    'push': push,
}


def face_each_other(x: list[np.ndarray], distance: float) -> list[np.ndarray]:
    """Puts the second person ahead of the first, face to face."""
    first, second = x
    about = rotation('y', np.pi)
    return [first, second @ about.T + np.array([0, 0, distance])]
