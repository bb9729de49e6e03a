"""The actions, as joint angles over time.

Every action draws its own pace, extent and side, so that no two clips are alike, and
begins and ends close to standing at ease wherever that does not give it away.
"""

from collections.abc import Callable

import numpy as np

from pyg_msg3d.datasets.synthetic.body import Motion, rotation
from pyg_msg3d.datasets.synthetic.posture import (
    BOTH_SIDES,
    arm,
    beats,
    idle,
    leg,
    pulse,
    random_side,
    smoothstep,
    stroke,
)

# One person -------------------------------------------------------------------


def wave(rng: np.random.Generator, n: int) -> list[Motion]:
    """One forearm up, swinging from side to side."""
    up, side = pulse(rng, n), random_side(rng)
    motion = idle(rng, n, hands=(side,), settle=True)
    swing = rng.uniform(20, 40) * beats(rng, n, 1.5)
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
    up, side = pulse(rng, n, 0.3), random_side(rng)
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
    side = random_side(rng)
    motion = idle(rng, n, hands=(side,), settle=True)
    moment = rng.uniform(0.4, 0.65)
    back, ahead = stroke(n, moment, moment - 0.3)
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
    up = pulse(rng, n)
    motion = idle(rng, n, hands=BOTH_SIDES, settle=True)
    apart = rng.uniform(15, 25) * beats(rng, n, 2)
    flex, elbow = rng.uniform(40, 75), rng.uniform(35, 70)
    for side in BOTH_SIDES:
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
    up = pulse(rng, n, 0.35)
    motion = idle(rng, n, hands=BOTH_SIDES, settle=True)
    extent, ahead = rng.uniform(130, 165), rng.uniform() < 0.5
    for side in BOTH_SIDES:
        if ahead:
            arm(motion, side, flex=up * extent)
        else:
            arm(motion, side, abduct=up * extent)
    return [motion]


def bow(rng: np.random.Generator, n: int) -> list[Motion]:
    """The trunk ahead from the hips, legs straight."""
    motion, down = idle(rng, n), pulse(rng, n, 0.3)
    angle = down * rng.uniform(40, 75)
    motion.turn(0, 'x', angle * 0.7)
    motion.turn(1, 'x', angle * 0.3)
    for side in BOTH_SIDES:
        leg(motion, side, flex=angle * 0.7)
        arm(motion, side, flex=angle * rng.uniform(0.1, 0.6))
    return [motion]


def pick_up(rng: np.random.Generator, n: int) -> list[Motion]:
    """Down with bent knees, one hand to the ground."""
    down, side = pulse(rng, n, 0.3), random_side(rng)
    motion = idle(rng, n, hands=(side,))
    bend = down * rng.uniform(45, 75)
    knees = down * rng.uniform(50, 90)
    motion.turn(0, 'x', bend)
    for each in BOTH_SIDES:
        leg(motion, each, flex=bend + 0.5 * knees, knee=knees)
    arm(motion, side, flex=down * rng.uniform(60, 95))
    return [motion]


def kick(rng: np.random.Generator, n: int) -> list[Motion]:
    """One leg drawn back, then swung ahead."""
    motion, side = idle(rng, n), random_side(rng)
    moment = rng.uniform(0.35, 0.65)
    back, ahead = stroke(n, moment, moment - 0.25)
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
    for side in BOTH_SIDES:
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
    for side in BOTH_SIDES:
        leg(motion, side, flex=thighs + lean, knee=thighs)
        arm(motion, side, flex=seated * rng.uniform(10, 40), elbow=seated * 20)
    return [motion]


def sit_down(rng: np.random.Generator, n: int) -> list[Motion]:
    """From standing to sitting."""
    begin = rng.uniform(0.1, 0.6)
    return _seated(rng, n, smoothstep(n, begin, begin + rng.uniform(0.25, 0.35)))


def stand_up(rng: np.random.Generator, n: int) -> list[Motion]:
    """From sitting to standing."""
    begin = rng.uniform(0.1, 0.6)
    return _seated(rng, n, 1 - smoothstep(n, begin, begin + rng.uniform(0.25, 0.35)))


# Two persons ------------------------------------------------------------------


def shake_hands(rng: np.random.Generator, n: int) -> list[Motion]:
    """Right hands meet and go up and down."""
    up, beat = pulse(rng, n), rng.uniform(8, 18) * beats(rng, n, 2)
    motions = [idle(rng, n, hands=(-1,)) for _ in range(2)]
    for motion in motions:
        flex, elbow = rng.uniform(30, 45), rng.uniform(35, 55)
        arm(motion, -1, flex=up * (flex + beat), elbow=up * elbow)
    return motions


def push(rng: np.random.Generator, n: int) -> list[Motion]:
    """One shoves with both hands, the other goes back a step."""
    moment = rng.uniform(0.35, 0.55)
    reach = smoothstep(n, moment - 0.2, moment) * (
        1 - smoothstep(n, moment + 0.15, moment + 0.35)
    )
    hit = smoothstep(n, moment - 0.05, moment + 0.2)
    first, second = idle(rng, n, hands=BOTH_SIDES), idle(rng, n)
    flex, extent = rng.uniform(65, 85), rng.uniform(0.2, 0.5)
    for side in BOTH_SIDES:
        elbow = 70 * reach * (1 - smoothstep(n, moment - 0.1, moment))
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
