"""JSON documents of pose estimators, told apart by what stands in them.

==================  =============================================================
a frame             OpenPose and Pose2Sim (``people``), EasyMocap (``keypoints3d``,
                    ``annots``), MMPose (``instances`` or a list of instances),
                    ultralytics (``keypoints`` of ``x``, ``y``, ``visible``, or
                    ``data``, ``xyn``), MediaPipe (``pose_landmarks``, ... or a list of
                    landmarks)
many frames         AlphaPose and COCO results (``image_id``), AlphaPose's other forms
                    (frames by image), MMPose (``instance_info``, ``frame_id``),
                    ultralytics and MediaPipe (lists of frames, ``frames``)
==================  =============================================================
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.fields import as_floats, as_image_size
from pyg_msg3d.io.numbering import split_name
from pyg_msg3d.io.tracks import Body
from pyg_msg3d.skeletons import skeleton

_MEDIAPIPE_KEYS = (
    'pose_landmarks', 'pose_world_landmarks', 'left_hand_landmarks',
    'right_hand_landmarks', 'face_landmarks',
)  # fmt: skip
_FACE_OF_OPENPOSE = tuple(f'face {v}' for v in range(70))
_OPENPOSE = (*skeleton('openpose-67').joints, *_FACE_OF_OPENPOSE)
_HOLISTIC = skeleton('mediapipe-holistic-75').joints
# Whose joints they are, by their number: in 2D, and where it differs in 3D.
_BY_COUNT = {17: 'coco-17', 18: 'openpose-18', 21: 'hand-21', 25: 'openpose-25',
             26: 'halpe-26', 67: 'openpose-67', 133: 'coco-wholebody-133'}  # fmt: skip
_BY_COUNT_3D = {**_BY_COUNT, 17: 'h36m-17'}
# What says of which frame a body is, and what says that it was detected in one.
_FRAME_KEYS = ('frame', 'frame_id', 'frame_index', 'frame_number', 'frame_idx')
_DETECTED = {'keypoint_scores', 'bbox', 'box', 'score', 'confidence', 'category_id',
             'track_id', 'idx', 'id', 'class'}  # fmt: skip
_OLD_KEYS = {'pose': 75, 'face': 210, 'hand_left': 63, 'hand_right': 63}


class Bodies(NamedTuple):
    """The bodies of a frame; the names of their joints, none where there is nobody; the
    skeleton that is taken unless another is asked for; what messages call the format;
    the dimensions; and height and width of the image."""

    bodies: list[Body]
    joints: tuple[str, ...] = ()
    skeleton: str | None = None
    format: str = ''
    dims: int = 0
    image_size: tuple[int, int] | None = None


def bodies_of_frame(record: Any, where: str) -> Bodies | None:
    """The bodies that a document of one frame lists, or None if it is none.

    Raises:
        SkeletonDataError: If it is one, but not what it should be.
    """
    if isinstance(record, Mapping):
        if 'people' in record:
            return _openpose(_listed(record, 'people', where), where)
        if 'bodies' in record:
            joints = [
                {'pose_keypoints_2d': _object(body, where).get('joints')}
                for body in _listed(record, 'bodies', where)
            ]
            return _openpose(joints, where)
        if 'annots' in record:
            size = [record.get('height'), record.get('width')]
            found = _easymocap_2d(_listed(record, 'annots', where), where)
            known = None not in size
            return found._replace(
                image_size=as_image_size(size, where) if known else None
            )
        if 'instances' in record:
            return _instances(_listed(record, 'instances', where), where)
        if any(key.endswith('_landmarks') or key == 'landmark' for key in record):
            return _mediapipe(record, where)
        if 'keypoints' in record and isinstance(record['keypoints'], Mapping):
            return _instances([record], where)
        return None
    if not isinstance(record, list):
        return None
    bodies = [body for body in record if body is not None]
    if not bodies:
        return Bodies([])
    if not all(isinstance(body, Mapping) for body in bodies):
        return None
    first = bodies[0]
    if {'x', 'y'} <= first.keys():
        return _mediapipe({'pose_landmarks': record}, where)
    if 'keypoints3d' in first:
        return _easymocap_3d(bodies, where)
    if 'keypoints' in first:
        plain = not any(body.keys() & _DETECTED for body in bodies)
        if len(bodies) > 1 and plain and not isinstance(first['keypoints'], Mapping):
            raise SkeletonDataError(
                f"'{where}': are these {len(bodies)} people in one frame, or one in "
                f"{len(bodies)} frames? Say it with 'frame' in each, or put frames "
                f"under 'frames'"
            )
        return _instances(bodies, where)
    return None


def frames_of_document(record: Any, where: str) -> dict[str, dict[int, Any]] | None:
    """The frames of a document that holds many, for each video in it by its name, empty
    where it has none: documents of a frame each. None if it is no such document."""
    if isinstance(record, Mapping):
        for key in ('instance_info', 'frames', 'landmarks'):
            if isinstance(record.get(key), list):
                if key == 'frames' and _has_points(record[key]):
                    return _by_number(record[key])
                found = frames_of_document(record[key], where)
                return {'': {0: record[key]}} if found is None else found
        if isinstance(record.get('annotations'), list):
            return _by_image(record['annotations'], record.get('images'), where)
        if record and all(_is_frame(value) for value in record.values()):
            return _by_name([(str(key), value) for key, value in record.items()], where)
        return None
    if not isinstance(record, list) or not record:
        return None
    first = next((part for part in record if part is not None), None)
    if isinstance(first, list) and any(
        isinstance(body, Mapping)
        for part in record
        if isinstance(part, list)
        for body in part
    ):
        return {'': dict(enumerate(record))}
    if not isinstance(first, Mapping):
        return None
    if 'image_id' in first and 'keypoints' in first:
        return _by_image(record, None, where)
    if _has_points(record) and any(key in first for key in _FRAME_KEYS):
        return _by_number(record)
    points = first.get('keypoints')
    if isinstance(points, Mapping) and points.keys() & {'data', 'xyn', 'xy'}:
        return {'': dict(enumerate(record))}
    if _is_frame(first) and ('keypoints' not in first or 'instances' in first):
        numbers = [
            frame.get('frame_id', frame.get('frame'))
            for frame in record
            if isinstance(frame, Mapping)
        ]
        whole = [n for n in numbers if type(n) is int and n >= 0]
        if len(set(whole)) == len(record):
            return {'': dict(zip(whole, record, strict=True))}
        return {'': dict(enumerate(record))}
    return None


def _has_points(record: list) -> bool:
    """Whether all are objects with key points of their own."""
    return bool(record) and all(
        isinstance(part, Mapping) and 'keypoints' in part for part in record
    )


def _by_number(entries: Sequence[Mapping]) -> dict[str, dict[int, Any]]:
    """Bodies by the frames that they say to be of, or one after the other."""
    frames: dict[int, Any] = {}
    for place, entry in enumerate(entries):
        number = next((entry[k] for k in _FRAME_KEYS if k in entry), place)
        whole = type(number) is int and 0 <= number < 1 << 40
        frames.setdefault(number if whole else place, []).append(entry)
    return {'': frames}


def _is_frame(record: Any) -> bool:
    """Whether it looks like a document of one frame."""
    if isinstance(record, Mapping):
        return any(
            key in ('people', 'bodies', 'annots', 'instances', 'landmark')
            or key.endswith('_landmarks')
            for key in record
        ) or isinstance(record.get('keypoints'), Mapping)
    return isinstance(record, list) and all(
        isinstance(body, Mapping) and ('keypoints' in body or 'x' in body)
        for body in record
    )


def _by_image(
    entries: Sequence[Any], images: Any, where: str
) -> dict[str, dict[int, Any]]:
    """COCO's results and annotations, and AlphaPose's: an entry for each body."""
    names: dict[Any, str] = {}
    for image in images if isinstance(images, list) else ():
        known = isinstance(image, Mapping) and isinstance(image.get('file_name'), str)
        if known and isinstance(image.get('id'), str | int):
            names[image['id']] = image['file_name']
    of_image: dict[str, list[Any]] = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or 'image_id' not in entry:
            raise SkeletonDataError(
                f"'{where}': expected entry {number} to have 'image_id' and 'keypoints'"
            )
        image = entry['image_id']
        name = names.get(image, image) if isinstance(image, str | int) else None
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise SkeletonDataError(
                f"'{where}', entry {number}: expected 'image_id' to be a name or a "
                f'number'
            )
        of_image.setdefault(str(name), []).append(entry)
    return _by_name([*of_image.items()], where)


def _by_name(
    frames: Sequence[tuple[str, Any]], where: str
) -> dict[str, dict[int, Any]]:
    """Frames by the videos and numbers that the names of their images tell."""
    videos: dict[str, dict[int, Any]] = {}
    for name, frame in frames:
        path = PurePosixPath(name)
        video, _, number = split_name(path.stem)
        folder = str(path.parent)
        video = video if folder == '.' else f'{folder}/{video}'.rstrip('/')
        known = videos.setdefault(video, {})
        if number in known:
            raise SkeletonDataError(
                f"'{where}' has two images that are frame {number} of "
                f'{printable(video, 100)!r}'
            )
        known[number] = frame
    return videos


# One frame, format by format ---------------------------------------------------


def _openpose(people: Sequence[Any], where: str) -> Bodies:
    bodies: list[Body] = []
    joints: tuple[str, ...] = ()
    for number, person in enumerate(people):
        place = f'{where}: person {number}'
        if person is None or person == {}:  # Pose2Sim's for who is missing.
            continue
        person = _object(person, place)
        values = person.get('pose_keypoints_2d', person.get('pose_keypoints'))
        pose = as_floats(values, f'{place}: pose_keypoints_2d', group=3)
        count = len(pose) // 3
        if pose.ndim != 1 or len(pose) % 3 or count not in (18, 25, 26, 133):
            raise SkeletonDataError(
                f"'{place}': expected 75 (BODY_25) or 54 (COCO) numbers x, y, score "
                f"in 'pose_keypoints_2d', or 78 (HALPE_26) or 399 (whole body) as "
                f'Pose2Sim writes them (got {list(pose.shape)})'
            )
        parts = [pose.reshape(-1, 3)]
        own = skeleton(_BY_COUNT[count]).joints
        if count == 25:
            own = _OPENPOSE
            parts += [_part(person, key, place) for key in _OLD_KEYS if key != 'pose']
            parts = [parts[0], parts[2], parts[3], parts[1]]  # The face comes last.
        joints = _same(joints, own, place)
        bodies.append(Body(_without_unseen(np.concatenate(parts), 2)))
    default = None
    if joints:
        default = 'openpose-18' if joints == _OPENPOSE else _BY_COUNT[len(joints)]
    return Bodies(bodies, joints, default, 'OpenPose JSON per frame', 2)


def _part(person: Mapping[str, Any], key: str, where: str) -> np.ndarray:
    """Hands or face, zeros where they were not looked for."""
    length = _OLD_KEYS[key]
    values = person.get(f'{key}_keypoints_2d', person.get(f'{key}_keypoints')) or []
    part = as_floats(values, f'{where}: {key}_keypoints_2d', group=3)
    if part.shape not in ((0,), (length,)):
        raise SkeletonDataError(
            f"'{where}': expected {length} numbers x, y, score in "
            f"'{key}_keypoints_2d' (got {list(part.shape)})"
        )
    return part.reshape(-1, 3) if len(part) else np.zeros((length // 3, 3), np.float32)


def _easymocap_3d(people: Sequence[Mapping], where: str) -> Bodies:
    bodies: list[Body] = []
    joints: tuple[str, ...] = ()
    for number, person in enumerate(people):
        place = f'{where}: body {number}'
        pose = _rows(person.get('keypoints3d'), 4, f'{place}: keypoints3d')
        own = _OPENPOSE[: len(pose)] if len(pose) in (25, 67, 118) else ()
        if not own:
            raise SkeletonDataError(
                f"'{place}': expected 25, 67 or 118 rows x, y, z, score in "
                f"'keypoints3d' (got {len(pose)})"
            )
        joints = _same(joints, own, place)
        bodies.append(Body(_without_unseen(pose, 3), _id(person.get('id'))))
    default = {25: 'openpose-25', 67: 'openpose-67', 118: 'openpose-67'}
    return Bodies(bodies, joints, default.get(len(joints)), 'EasyMocap', 3)


def _easymocap_2d(people: Sequence[Any], where: str) -> Bodies:
    bodies = []
    for number, person in enumerate(people):
        place = f'{where}: body {number}'
        person = _object(person, place)
        pose = _rows(person.get('keypoints'), 3, f'{place}: keypoints')
        if len(pose) != 25:
            raise SkeletonDataError(
                f"'{place}': expected 25 rows x, y, score in 'keypoints' (got "
                f'{len(pose)})'
            )
        bodies.append(Body(_without_unseen(pose, 2), _id(person.get('personID'))))
    joints = _OPENPOSE[:25] if bodies else ()
    return Bodies(bodies, joints, 'openpose-25' if bodies else None, 'EasyMocap', 2)


def _instances(people: Sequence[Any], where: str) -> Bodies:
    """MMPose's, ultralytics', AlphaPose's and COCO's."""
    bodies: list[Body] = []
    joints: tuple[str, ...] = ()
    dims, format = 0, 'key points as JSON'
    for number, person in enumerate(people):
        place = f'{where}: body {number}'
        person = _object(person, place)
        values = person.get('keypoints')
        if isinstance(values, Mapping):
            many, format = _ultralytics(values, place), 'ultralytics JSON'
        elif 'keypoint_scores' in person:
            pose = as_floats(values, f'{place}: keypoints')
            score = as_floats(person['keypoint_scores'], f'{place}: keypoint_scores')
            if pose.ndim != 2 or score.shape != pose.shape[:1]:
                raise SkeletonDataError(
                    f"'{place}': expected 'keypoints' [joints, 2 or 3] and one of "
                    f"'keypoint_scores' for each (got {list(pose.shape)} and "
                    f'{list(score.shape)})'
                )
            many = [np.concatenate([pose, score[:, None]], axis=1)]
            format = 'MMPose JSON'
        else:
            flat = as_floats(values, f'{place}: keypoints', group=3)
            if flat.ndim == 1 and len(flat) % 3 == 0:
                flat = flat.reshape(-1, 3)
            many, format = [flat], 'AlphaPose or COCO results'
        for pose in many:
            if pose.ndim != 2 or pose.shape[1] not in (3, 4) or not len(pose):
                raise SkeletonDataError(
                    f"'{place}': expected x, y and a score of each joint in "
                    f"'keypoints' (got {list(pose.shape)})"
                )
            here = pose.shape[1] - 1
            names = _names(len(pose), here)
            joints, dims = _same(joints, names, place), here
            own = _id(person.get('idx', person.get('track_id')))
            bodies.append(Body(_without_unseen(pose, here), own))
    counts = _BY_COUNT_3D if dims == 3 else _BY_COUNT
    return Bodies(bodies, joints, counts.get(len(joints)), format, dims)


def _names(count: int, dims: int) -> tuple[str, ...]:
    known = (_BY_COUNT_3D if dims == 3 else _BY_COUNT).get(count)
    if known is not None:
        return skeleton(known).joints
    return tuple(map(str, range(count)))


def _ultralytics(points: Mapping[str, Any], where: str) -> list[np.ndarray]:
    """``x``, ``y``, ``visible`` of one person; or of all ``data``, ``xy``, ``xyn`` and
    ``conf``."""
    if 'x' in points and 'y' in points:
        columns = [as_floats(points[key], f'{where}: {key}') for key in 'xy']
        seen = points.get('visible')
        score = np.ones_like(columns[0])
        if seen is not None:
            score = as_floats(seen, f'{where}: visible')
        if len({column.shape for column in (*columns, score)}) > 1:
            raise SkeletonDataError(
                f"'{where}': expected as many numbers under x, y and visible (got "
                f'{", ".join(str(list(c.shape)) for c in (*columns, score))})'
            )
        return [np.stack([*columns, score], axis=-1)]
    key = next((key for key in ('data', 'xyn', 'xy') if key in points), None)
    if key is None:
        raise SkeletonDataError(
            f"'{where}': expected 'x' and 'y', or 'data', 'xyn' or 'xy' (got "
            f'{", ".join(map(printable, list(points)[:6]))})'
        )
    array = as_floats(points[key], f'{where}: {key}')
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[-1] not in (2, 3):
        raise SkeletonDataError(
            f"'{where}': expected {key!r} of shape [persons, joints, 2 or 3] (got "
            f'{list(array.shape)})'
        )
    if array.shape[-1] == 2:
        score = np.ones(array.shape[:2], np.float32)
        if points.get('conf') is not None:
            conf = as_floats(points['conf'], f'{where}: conf')
            if conf.size != score.size:
                raise SkeletonDataError(
                    f"'{where}': expected 'conf' of shape {list(score.shape)}, as "
                    f'{key!r} has (got {list(conf.shape)})'
                )
            score = conf.reshape(score.shape)
        array = np.concatenate([array, score[..., None]], axis=-1)
    return list(array)


def _mediapipe(record: Mapping[str, Any], where: str) -> Bodies:
    """Landmarks of a pose and, where there are, both hands; or of one hand."""
    key = next(
        (k for k in ('pose_landmarks', 'pose_world_landmarks', 'landmark')
         if record.get(k) is not None),
        None,
    )  # fmt: skip
    people = _people(record.get(key) if key else None, f'{where}: {key}')
    hands = [
        _people(record.get(f'{side}_hand_landmarks'), f'{where}: {side} hand')
        for side in ('left', 'right')
    ]
    if people and len(people[0]) == 21:
        bodies = [Body(pose) for pose in people]
        return Bodies(bodies, skeleton('hand-21').joints, 'hand-21', 'MediaPipe', 3)
    has_hands = any(f'{side}_hand_landmarks' in record for side in ('left', 'right'))
    bodies = []
    if not people and any(hands):
        people = [np.zeros((33, 4), np.float32)]
    for person, pose in enumerate(people):
        parts = [pose]
        for hand in hands:
            found = hand[person] if person < len(hand) else np.zeros((21, 4))
            parts.append(found)
        counts = [len(part) for part in parts]
        if counts != [33, 21, 21]:
            raise SkeletonDataError(
                f"'{where}': expected 33 landmarks of a pose and 21 of a hand (got "
                f'{counts})'
            )
        bodies.append(Body(np.concatenate(parts).astype(np.float32)))
    other = [
        key
        for key, value in record.items()
        if key.endswith('_landmarks') and value and not bodies
        and key not in _MEDIAPIPE_KEYS
    ]  # fmt: skip
    if other:
        raise SkeletonDataError(
            f"'{where}': of MediaPipe's landmarks, {', '.join(_MEDIAPIPE_KEYS)} are "
            f'read (got {", ".join(map(printable, other))}). Which hand is which '
            f'must be told: left_hand_landmarks, right_hand_landmarks'
        )
    if not bodies and not has_hands:
        return Bodies([], format='MediaPipe')
    default = 'mediapipe-holistic-75' if has_hands else 'mediapipe-pose-33'
    return Bodies(bodies, _HOLISTIC, default, 'MediaPipe', 3)


def _people(value: Any, where: str) -> list[np.ndarray]:
    """Landmarks ``[V, 4]`` of one person or of several, as objects or rows."""
    if isinstance(value, Mapping):
        value = value.get('landmark')
    if not value:
        return []
    if not isinstance(value, list):
        raise SkeletonDataError(f"'{where}': expected a list of landmarks")
    several = all(
        isinstance(part, list) and part and isinstance(part[0], Mapping | list)
        for part in value
    )
    return [_landmarks(part, where) for part in (value if several else [value])]


def _landmarks(value: Sequence[Any], where: str) -> np.ndarray:
    rows = []
    for number, mark in enumerate(value):
        if isinstance(mark, Mapping):
            seen = mark.get('visibility')
            mark = [mark.get('x'), mark.get('y'), mark.get('z', 0)]
            mark.append(1 if seen is None else seen)
        if not isinstance(mark, list) or len(mark) < 3:
            raise SkeletonDataError(
                f"'{where}', landmark {number}: expected x, y, z and, if known, its "
                f'visibility'
            )
        rows.append([*mark[:4], 1][:4])
    return _without_unseen(as_floats(rows, where), 3)


# Parts -------------------------------------------------------------------------


def _without_unseen(pose: np.ndarray, dims: int) -> np.ndarray:
    """Joints without a score, of zeros, or of NaN throughout, were not seen."""
    unseen = (pose[:, :dims] == 0).all(1) | np.isnan(pose).all(1)
    if dims == 2 or pose[:, dims].any():
        unseen |= pose[:, dims] == 0
    pose = np.where(unseen[:, None], 0, pose)
    return pose.astype(np.float32)


def _same(known: tuple[str, ...], own: Sequence[str], where: str) -> tuple[str, ...]:
    if known and known != tuple(own):
        raise SkeletonDataError(
            f"'{where}' has {len(own)} joints, but a body before it {len(known)}"
        )
    return tuple(own)


def _rows(value: Any, width: int, where: str) -> np.ndarray:
    rows = as_floats(value, where)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise SkeletonDataError(
            f"'{where}': expected rows of {width} numbers (got {list(rows.shape)})"
        )
    return rows


def _id(value: Any) -> int | None:
    """Who it is, where the format tells it; it may stand in a list."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**62 else None


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SkeletonDataError(f"'{where}': expected a body, an object of key points")
    return value


def _listed(record: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = record[key]
    if not isinstance(value, list):
        raise SkeletonDataError(
            f"'{where}' is no frame of OpenPose or another pose estimator: expected a "
            f'list under {key!r}'
        )
    return value
