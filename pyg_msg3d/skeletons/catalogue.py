"""The skeletons of the field's data sets and pose estimators, joints from 0."""

from itertools import pairwise

from pyg_msg3d.data.errors import SkeletonDataError, say_assumed
from pyg_msg3d.skeletons.skeleton import Skeleton


def _sides(template: str) -> list[str]:
    return [f'{side} {part}' for part in template.split(', ') for side in _SIDES]


_SIDES = ('left', 'right')


def _chain(*joints: int) -> list[tuple[int, int]]:
    return list(pairwise(joints))


def _ring(*joints: int) -> list[tuple[int, int]]:
    return _chain(*joints, joints[0])


def _shift(bones: list[tuple[int, int]], offset: int) -> list[tuple[int, int]]:
    return [(u + offset, v + offset) for u, v in bones]


# NTU RGB+D: Kinect v2 --------------------------------------------------------

_NTU_JOINTS = [
    'spine base',
    'spine middle',
    'neck',
    'head',
    'left shoulder',
    'left elbow',
    'left wrist',
    'left hand',
    'right shoulder',
    'right elbow',
    'right wrist',
    'right hand',
    'left hip',
    'left knee',
    'left ankle',
    'left foot',
    'right hip',
    'right knee',
    'right ankle',
    'right foot',
    'spine shoulder',
    'left hand tip',
    'left thumb',
    'right hand tip',
    'right thumb',
]
_NTU_BODY = [
    *_chain(0, 1, 20, 2, 3),
    *_chain(20, 4, 5, 6, 7),
    *_chain(20, 8, 9, 10, 11),
    *_chain(0, 12, 13, 14, 15),
    *_chain(0, 16, 17, 18, 19),
    (22, 7),
    (24, 11),
]


def _ntu(name: str, fingertips: list[tuple[int, int]]) -> Skeleton:
    return Skeleton(
        name,
        joints=_NTU_JOINTS,
        bones=[*_NTU_BODY, *fingertips],
        parents=[1, 20, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17,
                 18, 20, 22, 7, 24, 11],
        centre=1,
        pairs=[*zip(range(4, 8), range(8, 12), strict=True),
               *zip(range(12, 16), range(16, 20), strict=True), (21, 23), (22, 24)],
    )  # fmt: skip


# COCO ------------------------------------------------------------------------

_COCO_JOINTS = ['nose', *_sides('eye, ear, shoulder, elbow, wrist, hip, knee, ankle')]
# fmt: off
_COCO_BONES = [(15, 13), (13, 11), (16, 14), (14, 12), (11, 5), (12, 6), (9, 7),
               (7, 5), (10, 8), (8, 6), (5, 0), (6, 0), (1, 0), (3, 1), (2, 0), (4, 2)]
_COCO_PARENTS = [0, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 0, 0, 11, 12, 13, 14]
# fmt: on
_COCO_PAIRS = [(v, v + 1) for v in range(1, 17, 2)]

# Hands, as MediaPipe and COCO-WholeBody number them --------------------------

_HAND_JOINTS = ['wrist'] + [
    f'{finger} {joint}'
    for finger in ('thumb', 'index', 'middle', 'ring', 'little')
    for joint in (1, 2, 3, 4)
]
_HAND_BONES = [
    bone
    for base in range(1, 21, 4)
    for bone in _chain(0, base, base + 1, base + 2, base + 3)
]

# The 68 facial landmarks: contours, tied to each other where they meet --------

_FACE_BONES = [
    *_chain(*range(17)),  # jaw
    *_chain(*range(17, 22)),  # right brow
    *_chain(*range(22, 27)),  # left brow
    *_chain(*range(27, 31)),  # nose bridge
    *_chain(*range(31, 36)),  # nostrils
    *_ring(*range(36, 42)),  # right eye
    *_ring(*range(42, 48)),  # left eye
    *_ring(*range(48, 60)),  # outer lips
    *_ring(*range(60, 68)),  # inner lips
    *[(0, 17), (16, 26), (21, 27), (22, 27), (39, 27), (42, 27)],
    *[(30, 33), (33, 51), (48, 60), (54, 64)],
]
# fmt: off
_FACE_PAIRS = [
    *[(16 - v, v) for v in range(8)],
    *[(26 - v, 17 + v) for v in range(5)],
    (35, 31), (34, 32),
    (45, 36), (44, 37), (43, 38), (42, 39), (47, 40), (46, 41),
    (54, 48), (53, 49), (52, 50), (55, 59), (56, 58),
    (64, 60), (63, 61), (65, 67),
]
# fmt: on
_WHOLEBODY_JOINTS = [
    *_COCO_JOINTS,
    *[f'{side} {part}' for side in _SIDES for part in ('big toe', 'small toe', 'heel')],
    *[f'face {v}' for v in range(68)],
    *[f'{side} hand {joint}' for side in _SIDES for joint in _HAND_JOINTS],
]
_FOOT, _FACE, _LEFT_HAND, _RIGHT_HAND = 17, 23, 91, 112


def _mediapipe() -> Skeleton:
    face = 'left eye inner, left eye, left eye outer, right eye inner, right eye, '
    face += 'right eye outer, left ear, right ear, mouth left, mouth right'
    limbs = 'shoulder, elbow, wrist, little finger, index finger, thumb, hip, knee, '
    limbs += 'ankle, heel, foot tip'
    sides = [
        [*_chain(11, 13, 15, 17), (15, 19), (15, 21), (17, 19)],
        [*_chain(11, 23, 25, 27, 29, 31), (27, 31)],
    ]
    left = [bone for part in sides for bone in part]
    return Skeleton(
        'mediapipe-pose-33',
        joints=['nose', *face.split(', '), *_sides(limbs)],
        bones=[
            *_chain(0, 1, 2, 3, 7), *_chain(0, 4, 5, 6, 8), (9, 10), (11, 12), (23, 24),
            *left, *_shift(left, 1),
            # MediaPipe's own edges leave mouth and head apart from the body:
            (0, 9), (0, 10), (0, 11), (0, 12),
        ],
        pairs=[(1, 4), (2, 5), (3, 6), (7, 8), (9, 10),
               *[(v, v + 1) for v in range(11, 33, 2)]],
    )  # fmt: skip


# What UTD-MHAD and MSR Action3D call the joints of Kinect v1, in orders of their own.
_UTD_MHAD = [3, 2, 1, 0, *range(4, 20)]
_MSR_ACTION3D = [4, 8, 2, 1, 12, 16, 0, 5, 9, 6, 10, 7, 11, 13, 17, 14, 18, 15, 19, 3]


def _reordered(name: str, of: Skeleton, order: list[int]) -> Skeleton:
    """The same skeleton with its joints in another order."""
    place = {joint: v for v, joint in enumerate(order)}
    return Skeleton(
        name,
        [of.joints[joint] for joint in order],
        [(place[u], place[v]) for u, v in of.bones],
        centre=place[of.centre],
        pairs=[(place[u], place[v]) for u, v in of.pairs],
    )


_BODY_25_JOINTS = ['nose', 'neck', 'right shoulder', 'right elbow', 'right wrist',
                   'left shoulder', 'left elbow', 'left wrist', 'middle hip',
                   'right hip', 'right knee', 'right ankle', 'left hip', 'left knee',
                   'left ankle', 'right eye', 'left eye', 'right ear', 'left ear',
                   'left big toe', 'left small toe', 'left heel', 'right big toe',
                   'right small toe', 'right heel']  # fmt: skip
_BODY_25_BONES = [(1, 8), (1, 2), (1, 5), *_chain(2, 3, 4), *_chain(5, 6, 7),
                  *_chain(8, 9, 10, 11), *_chain(8, 12, 13, 14), *_chain(1, 0, 15, 17),
                  *_chain(0, 16, 18), *_chain(14, 19, 20), (14, 21),
                  *_chain(11, 22, 23), (11, 24)]  # fmt: skip
_BODY_25_PAIRS = [(5, 2), (6, 3), (7, 4), (12, 9), (13, 10), (14, 11), (16, 15),
                  (18, 17), (19, 22), (20, 23), (21, 24)]  # fmt: skip
_HALPE_JOINTS = [*_COCO_JOINTS, 'head', 'neck', 'middle hip',
                 *_sides('big toe, small toe, heel')]  # fmt: skip
_HALPE_BONES = [(0, 1), (0, 2), (1, 3), (2, 4), (0, 17), (17, 18), (5, 18), (6, 18),
                (5, 7), (7, 9), (6, 8), (8, 10), (18, 19), (19, 11), (19, 12),
                (11, 13), (12, 14), (13, 15), (14, 16), (15, 24), (16, 25), (15, 20),
                (16, 21), (20, 22), (21, 23)]  # fmt: skip


def _with_hands(name: str, body: Skeleton, wrists: tuple[int, int]) -> Skeleton:
    """A body with the 21 joints of both hands, tied at the wrists."""
    first = body.num_joints
    return Skeleton(
        name,
        [*body.joints,
         *[f'{side} hand {joint}' for side in _SIDES for joint in _HAND_JOINTS]],
        [*body.bones, *_shift(_HAND_BONES, first), *_shift(_HAND_BONES, first + 21),
         (wrists[0], first), (wrists[1], first + 21)],
        centre=body.centre,
        pairs=[*body.pairs, *[(first + v, first + 21 + v) for v in range(21)]],
    )  # fmt: skip


def _catalogue() -> dict[str, Skeleton]:
    skeletons = [
        # The authors of MS-G3D: fingertip to thumb, thumb to hand.
        _ntu('ntu-rgb+d', [(21, 22), (23, 24)]),
        # MMAction2 and PYSKL: fingertip and thumb both to the hand.
        _ntu('ntu-rgb+d-mmaction', [(21, 7), (23, 11)]),
        Skeleton('coco-17', _COCO_JOINTS, _COCO_BONES, _COCO_PARENTS, 0, _COCO_PAIRS),
        Skeleton(
            'openpose-18',
            joints=['nose', 'neck', 'right shoulder', 'right elbow', 'right wrist',
                    'left shoulder', 'left elbow', 'left wrist', 'right hip',
                    'right knee', 'right ankle', 'left hip', 'left knee', 'left ankle',
                    'right eye', 'left eye', 'right ear', 'left ear'],
            bones=[(4, 3), (3, 2), (7, 6), (6, 5), (13, 12), (12, 11), (10, 9), (9, 8),
                   (11, 5), (8, 2), (5, 1), (2, 1), (0, 1), (15, 0), (14, 0), (17, 15),
                   (16, 14)],
            parents=[0, 0, 1, 2, 3, 1, 5, 6, 2, 8, 9, 5, 11, 12, 0, 0, 14, 15],
            centre=1,
            pairs=[(5, 2), (6, 3), (7, 4), (11, 8), (12, 9), (13, 10), (15, 14),
                   (17, 16)],
        ),
        Skeleton('openpose-25', _BODY_25_JOINTS, _BODY_25_BONES, centre=8,
                 pairs=_BODY_25_PAIRS),
        Skeleton('halpe-26', _HALPE_JOINTS, _HALPE_BONES, centre=19,
                 pairs=[*_COCO_PAIRS, (20, 21), (22, 23), (24, 25)]),
        Skeleton(
            'kinect-20',  # Kinect v1: NW-UCLA, UTKinect
            joints=['hip centre', 'spine', 'shoulder centre', 'head', 'left shoulder',
                    'left elbow', 'left wrist', 'left hand', 'right shoulder',
                    'right elbow', 'right wrist', 'right hand', 'left hip', 'left knee',
                    'left ankle', 'left foot', 'right hip', 'right knee', 'right ankle',
                    'right foot'],
            bones=[*_chain(0, 1, 2, 3), *_chain(2, 4, 5, 6, 7),
                   *_chain(2, 8, 9, 10, 11), *_chain(0, 12, 13, 14, 15),
                   *_chain(0, 16, 17, 18, 19)],
            centre=1,
            pairs=[*zip(range(4, 8), range(8, 12), strict=True),
                   *zip(range(12, 16), range(16, 20), strict=True)],
        ),
        Skeleton(
            'h36m-17',
            joints=['pelvis', 'right hip', 'right knee', 'right ankle', 'left hip',
                    'left knee', 'left ankle', 'spine', 'thorax', 'neck', 'head',
                    'left shoulder', 'left elbow', 'left wrist', 'right shoulder',
                    'right elbow', 'right wrist'],
            bones=[*_chain(0, 1, 2, 3), *_chain(0, 4, 5, 6), *_chain(0, 7, 8, 9, 10),
                   *_chain(8, 11, 12, 13), *_chain(8, 14, 15, 16)],
            pairs=[(4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)],
        ),
        Skeleton(
            'smpl-24',
            joints=['pelvis', 'left hip', 'right hip', 'spine 1', 'left knee',
                    'right knee', 'spine 2', 'left ankle', 'right ankle', 'spine 3',
                    'left foot', 'right foot', 'neck', 'left collar', 'right collar',
                    'head', 'left shoulder', 'right shoulder', 'left elbow',
                    'right elbow', 'left wrist', 'right wrist', 'left hand',
                    'right hand'],
            bones=[*_chain(0, 1, 4, 7, 10), *_chain(0, 2, 5, 8, 11),
                   *_chain(0, 3, 6, 9, 12, 15), *_chain(9, 13, 16, 18, 20, 22),
                   *_chain(9, 14, 17, 19, 21, 23)],
            pairs=[(1, 2), (4, 5), (7, 8), (10, 11), (13, 14), (16, 17), (18, 19),
                   (20, 21), (22, 23)],
        ),
        _mediapipe(),
        Skeleton('hand-21', _HAND_JOINTS, _HAND_BONES),
        Skeleton(
            'coco-wholebody-133',
            joints=_WHOLEBODY_JOINTS,
            bones=[
                *_COCO_BONES,
                *[(15 + side, _FOOT + 3 * side + toe) for side in (0, 1)
                  for toe in range(3)],
                *_shift(_FACE_BONES, _FACE), (0, _FACE + 30),
                *_shift(_HAND_BONES, _LEFT_HAND), (9, _LEFT_HAND),
                *_shift(_HAND_BONES, _RIGHT_HAND), (10, _RIGHT_HAND),
            ],
            pairs=[
                *_COCO_PAIRS,
                *[(_FOOT + toe, _FOOT + toe + 3) for toe in range(3)],
                *_shift(_FACE_PAIRS, _FACE),
                *[(_LEFT_HAND + v, _RIGHT_HAND + v) for v in range(21)],
            ],
        ),
    ]  # fmt: skip
    known = {skeleton.name: skeleton for skeleton in skeletons}
    kinect, body_25 = known['kinect-20'], known['openpose-25']
    for skeleton in (
        _reordered('utd-mhad-20', kinect, _UTD_MHAD),
        _reordered('msr-action3d-20', kinect, _MSR_ACTION3D),
        _with_hands('openpose-67', body_25, (7, 4)),
        _with_hands('mediapipe-holistic-75', known['mediapipe-pose-33'], (15, 16)),
    ):
        known[skeleton.name] = skeleton
    return known


_CATALOGUE = _catalogue()


def skeleton_names() -> list[str]:
    """The names that :func:`skeleton` knows."""
    return list(_CATALOGUE)


def skeleton(name: 'str | Skeleton') -> Skeleton:
    r"""Looks a skeleton up by its name; a :class:`Skeleton` is returned as it is.

    ======================= ====== ==============================================
    name                    joints whose
    ======================= ====== ==============================================
    ``ntu-rgb+d``           25     NTU RGB+D with the bones of MS-G3D's authors
    ``ntu-rgb+d-mmaction``  25     NTU RGB+D with the bones of MMAction2 and PYSKL
    ``coco-17``             17     COCO key points, bones as in MMAction2
    ``openpose-18``         18     OpenPose, Kinetics-skeleton
    ``openpose-25``         25     OpenPose, BODY_25; EasyMocap
    ``openpose-67``         67     OpenPose, BODY_25 and both hands; EasyMocap
    ``halpe-26``            26     AlphaPose, RTMPose, Pose2Sim
    ``kinect-20``           20     Kinect v1: NW-UCLA, UTKinect
    ``utd-mhad-20``         20     Kinect v1 in the order of UTD-MHAD
    ``msr-action3d-20``     20     Kinect v1 in the order of MSR Action3D
    ``h36m-17``             17     Human3.6M
    ``smpl-24``             24     the SMPL body model
    ``mediapipe-pose-33``   33     MediaPipe Pose
    ``mediapipe-holistic-75`` 75   MediaPipe Holistic: pose and both hands
    ``hand-21``             21     one hand: MediaPipe Hands, COCO-WholeBody
    ``coco-wholebody-133``  133    body, feet, face and both hands
    ======================= ====== ==============================================

    Raises:
        ValueError: If there is no such name; the message lists the known ones.
    """
    if isinstance(name, Skeleton):
        return name
    if name not in _CATALOGUE:
        raise ValueError(
            f"Unknown skeleton '{name}'; known ones: {', '.join(_CATALOGUE)}. "
            f'For your own, pass a Skeleton(name, joints, bones)'
        )
    return _CATALOGUE[name]


# Where a number of joints, in so many dimensions or in any, does not tell the skeleton.
_SEVERAL: dict[tuple[int, int | None], str] = {
    (17, 3): "'h36m-17', or 'coco-17' in three dimensions",
    (20, None): "'kinect-20', as NW-UCLA and UTKinect have Kinect v1's joints, or "
    "another order of them, 'msr-action3d-20' or 'utd-mhad-20'",
    (25, 2): "'ntu-rgb+d' in the image, or OpenPose's BODY_25, 'openpose-25'",
}
# Those that a number of joints leaves hardly a doubt about.
_PLAIN = (33, 75, 133)


def guess_skeleton(num_joints: int, dims: int | None = None) -> Skeleton:
    r"""The skeleton of the catalogue that has so many joints. Which one is assumed is
    said once (:class:`~pyg_msg3d.data.SkeletonDataWarning`).

    Args:
        num_joints (int): The number of joints.
        dims (int, optional): The dimensions of their coordinates.

    Raises:
        SkeletonDataError: If there is none, or it may be one of several.
    """
    fitting = [s for s in _CATALOGUE.values() if s.num_joints == num_joints]
    if not fitting:
        raise SkeletonDataError(
            f'No skeleton of the catalogue has {num_joints} joints; pass yours as '
            f'skeleton=Skeleton(name, joints, bones)'
        )
    several = _SEVERAL.get((num_joints, dims), _SEVERAL.get((num_joints, None)))
    if several is not None:
        raise SkeletonDataError(
            f'{num_joints} joints may be those of {several}. Say which with '
            f'skeleton=..., a name or a Skeleton(name, joints, bones)'
        )
    if num_joints not in _PLAIN:
        say_assumed(
            f'{num_joints} joints are taken for those of {fitting[0].name!r}; '
            f'skeleton=... if they are others'
        )
    return fitting[0]
