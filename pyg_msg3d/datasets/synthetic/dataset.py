from collections.abc import Callable, Iterator

import numpy as np
import torch

from pyg_msg3d.data import SkeletonData
from pyg_msg3d.datasets.in_memory import InMemorySkeletonDataset
from pyg_msg3d.datasets.splits import check_split
from pyg_msg3d.datasets.synthetic.actions import ACTIONS, face_each_other
from pyg_msg3d.datasets.synthetic.body import Body, rotation
from pyg_msg3d.io import SkeletonSequence
from pyg_msg3d.skeletons import skeleton

_SPLITS = ('train', 'test')
_FIRST_BODY_ID = 72057594037927937  # As large as Kinect's are.


class SyntheticActions(InMemorySkeletonDataset):
    r"""People of differing build who act before differing cameras: demo data that
    needs no download, made from joint angles by forward kinematics on the 25 joints of
    NTU RGB+D.

    Thirteen actions, the last two by two persons. Builds, pace, extent, the
    hand or foot that acts, the camera's place, sensor noise and joints that the
    sensor loses are all drawn at random, the same for the same seed. The subjects of
    the two splits are disjoint. Coordinates are metres in the camera's frame (x to its
    left, y up, z away from it), joints that were lost and absent persons are zero.

    ======== =========== ====== ======= ======= =======
    classes  subjects    joints persons frames  clips
    ======== =========== ====== ======= ======= =======
    13       48 train    25     1 or 2  40-90   1,248
    13       8 test      25     1 or 2  40-90   208
    ======== =========== ====== ======= ======= =======

    Args:
        split (str, optional): :obj:`"train"` or :obj:`"test"`; :obj:`None` for the
            clips of all splits. (default: :obj:`"train"`)
        num_subjects (int, optional): The subjects of each split. (default: 48
            for training, 8 for testing)
        clips_per_subject (int, optional): How often each subject does each action.
            (default: :obj:`2`)
        noise (float, optional): The standard deviation of the sensor noise, in
            metres. (default: :obj:`0.01`)
        dropout (float, optional): The share of joints that a frame has lost.
            (default: :obj:`0.02`)
        seed (int, optional): The seed. (default: :obj:`0`)
        transform (callable, optional): Applied to a clip whenever it is read.
    """

    def __init__(
        self,
        split: str | None = 'train',
        num_subjects: int | None = None,
        clips_per_subject: int | None = None,
        noise: float = 0.01,
        dropout: float = 0.02,
        seed: int = 0,
        transform: Callable[[SkeletonData], SkeletonData] | None = None,
    ) -> None:
        check_split(split, _SPLITS)
        self.split = split
        clips: list[SkeletonData] = []
        self._split_of: list[str] = []
        for one in _SPLITS if split is None else (split,):
            made = _clips(one, num_subjects, clips_per_subject, noise, dropout, seed)
            clips += made
            self._split_of += [one] * len(made)
        super().__init__(clips, skeleton('ntu-rgb+d'), tuple(ACTIONS), transform)

    def recordings(self) -> Iterator[tuple[SkeletonSequence, str, str]]:
        """The clips as a Kinect would have recorded them, each with its class and its
        split: what :func:`pyg_msg3d.io.write_folder` writes."""
        for clip, split in zip(self.clips, self._split_of, strict=True):
            x = clip.x.numpy()
            tracked = (x != 0).any(-1).astype(np.float32)
            ids = np.arange(len(x)) + _FIRST_BODY_ID
            body_ids = np.broadcast_to(ids[:, None], x.shape[:2])
            label = int(clip.y)
            yield (
                SkeletonSequence(x, clip.name, tracked, label, body_ids=body_ids),
                self.classes[label],
                split,
            )


def _clips(
    split: str,
    num_subjects: int | None,
    clips_per_subject: int | None,
    noise: float,
    dropout: float,
    seed: int,
) -> list[SkeletonData]:
    """The clips of one split."""
    which = _SPLITS.index(split)
    if num_subjects is None:
        num_subjects = (48, 8)[which]
    if clips_per_subject is None:
        clips_per_subject = 2
    clips: list[SkeletonData] = []
    for subject in range(num_subjects):
        # Every subject draws from a stream of its own, so that no subject of one
        # split is one of the other, and asking for more leaves the first alike.
        rng = np.random.default_rng([seed, which, subject])
        body, partner = Body(rng), Body(rng)
        for _ in range(clips_per_subject):
            for label, name in enumerate(ACTIONS):
                x = _record(rng, [body, partner], name, noise, dropout)
                clips.append(
                    SkeletonData(
                        x=torch.from_numpy(x).float(),
                        y=label,
                        name=f'{split}_subject{subject:02d}_clip{len(clips):04d}',
                    )
                )
    return clips


def _record(
    rng: np.random.Generator,
    bodies: list[Body],
    action: str,
    noise: float,
    dropout: float,
) -> np.ndarray:
    """One clip ``[2, frames, 25, 3]`` as a depth sensor would see it."""
    num_frames = int(rng.integers(40, 91))
    motions = ACTIONS[action](rng, num_frames)
    persons = [body.move(motion) for body, motion in zip(bodies, motions, strict=False)]
    if len(persons) == 2:
        persons = face_each_other(persons, distance=rng.uniform(0.7, 1.0))
        if rng.uniform() < 0.5:  # Who comes first says nothing.
            persons.reverse()

    x = np.zeros((2, num_frames, 25, 3))
    x[: len(persons)] = persons

    # People turn and wander while they act; the camera, anywhere, is held by hand.
    turn = np.linspace(-0.5, 0.5, num_frames) * rng.uniform(-60, 60)
    yaw = np.radians(rng.uniform(-180, 180) + turn)
    pitch = np.radians(rng.uniform(-5, 15))
    x += np.linspace(-0.5, 0.5, num_frames)[:, None, None] * rng.normal(
        0, [0.2, 0.1, 0.2]
    )
    x = x @ (rotation('x', pitch) @ rotation('y', yaw)).swapaxes(-1, -2)
    x += [rng.uniform(-0.5, 0.5), rng.uniform(-1.2, -0.6), rng.uniform(2, 4)]

    # Noise that changes with every frame, and an offset that each joint keeps.
    x += rng.normal(0, noise, x.shape) + rng.normal(0, noise, (2, 1, 25, 3))
    x[_lost(rng, x.shape[:3], dropout)] = 0
    x[len(persons) :] = 0
    return x


def _lost(
    rng: np.random.Generator, shape: tuple[int, int, int], share: float
) -> np.ndarray:
    """Which joints are lost: for some frames in a row, as occlusion has it."""
    persons, frames, joints = shape
    lost = np.zeros(shape, dtype=bool)
    length = 8
    for _ in range(rng.poisson(share * persons * frames * joints / length)):
        begin = rng.integers(0, frames)
        person, joint = rng.integers(0, persons), rng.integers(0, joints)
        lost[person, begin : begin + length, joint] = True
    return lost
