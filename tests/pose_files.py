"""Files of pose estimators and data sets, written as their tools write them, each with
what must be read: ``(path to read, key points [M, T, V, C], score or None)``."""

import csv
import json
import struct
from pathlib import Path

import numpy as np

from pyg_msg3d.skeletons import skeleton

FRAMES = 6
BODY_25_TO_18 = [*range(8), *range(9, 19)]
KINECT_V2 = [
    'SpineBase', 'SpineMid', 'Neck', 'Head', 'ShoulderLeft', 'ElbowLeft', 'WristLeft',
    'HandLeft', 'ShoulderRight', 'ElbowRight', 'WristRight', 'HandRight', 'HipLeft',
    'KneeLeft', 'AnkleLeft', 'FootLeft', 'HipRight', 'KneeRight', 'AnkleRight',
    'FootRight', 'SpineShoulder', 'HandTipLeft', 'ThumbLeft', 'HandTipRight',
    'ThumbRight',
]  # fmt: skip
LANDMARKS = [
    'nose', 'left_eye_inner', 'left_eye', 'left_eye_outer', 'right_eye_inner',
    'right_eye', 'right_eye_outer', 'left_ear', 'right_ear', 'mouth_left',
    'mouth_right', 'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow',
    'left_wrist', 'right_wrist', 'left_pinky', 'right_pinky', 'left_index',
    'right_index', 'left_thumb', 'right_thumb', 'left_hip', 'right_hip', 'left_knee',
    'right_knee', 'left_ankle', 'right_ankle', 'left_heel', 'right_heel',
    'left_foot_index', 'right_foot_index',
]  # fmt: skip


def pixels(rng, persons, joints, frames=FRAMES):
    """Persons side by side, who move little, with scores."""
    start = rng.uniform(100, 300, (persons, 1, joints, 2))
    start[:, ..., 0] += 400 * np.arange(persons)[:, None, None]
    x = start + rng.normal(scale=2, size=(persons, frames, joints, 2)).cumsum(1)
    return x.astype('f4'), rng.uniform(0.2, 1, (persons, frames, joints)).astype('f4')


def triples(x, score):
    """``x, y, score, x, y, score, ...`` of a body."""
    return np.concatenate([x, score[..., None]], -1).ravel().tolist()


def landmarks(rng, joints=33, frames=FRAMES):
    x = rng.uniform(0.1, 0.9, (1, frames, joints, 3)).astype('f4')
    return x, rng.uniform(0.2, 1, (1, frames, joints)).astype('f4')


# JSON ------------------------------------------------------------------------


def alphapose(root, rng):
    """Images are not in order, nobody is in the third, and boxes and ids are there."""
    x, score = pixels(rng, 2, 26)
    x[:, 2] = score[:, 2] = 0
    entries = [
        {'image_id': f'{t}.jpg', 'category_id': 1,
         'keypoints': triples(x[m, t], score[m, t]), 'score': 2.9,
         'box': [1.0, 2.0, 3.0, 4.0], 'idx': [float(m + 1)]}
        for t in (0, 1, 10, 3, 4, 5) if t != 2 for m in (0, 1)
        if t < FRAMES
    ]  # fmt: skip
    path = root / 'alphapose-results.json'
    path.write_text(json.dumps(entries))
    return path, x, score


def alphapose_open(root, rng):
    x, score = pixels(rng, 1, 18)
    content = {
        f'vid_{t:04d}.jpg': {
            'version': 'AlphaPose v0.3',
            'people': [{'pose_keypoints_2d': triples(x[0, t], score[0, t])}],
        }
        for t in range(FRAMES)
    }
    path = root / 'open.json'
    path.write_text(json.dumps(content))
    return path, x, score


def alphapose_cmu(root, rng):
    x, score = pixels(rng, 1, 18)
    content = {
        f'{t}.jpg': {
            'version': 'AlphaPose v0.3',
            'bodies': [{'joints': triples(x[0, t], score[0, t])}],
        }
        for t in range(FRAMES)
    }
    path = root / 'cmu.json'
    path.write_text(json.dumps(content))
    return path, x, score


def coco_results(root, rng):
    x, score = pixels(rng, 1, 17)
    entries = [
        {'image_id': 7 + t, 'category_id': 1, 'score': 0.9,
         'keypoints': triples(x[0, t], score[0, t])}
        for t in range(FRAMES)
    ]  # fmt: skip
    path = root / 'person_keypoints.json'
    path.write_text(json.dumps(entries))
    return path, x, score


def coco_annotations(root, rng):
    x, score = pixels(rng, 1, 17)
    content = {
        'images': [{'id': 90 - t, 'file_name': f'img_{t:05d}.png'}
                   for t in range(FRAMES)],
        'annotations': [
            {'id': t, 'image_id': 90 - t, 'keypoints': triples(x[0, t], score[0, t])}
            for t in range(FRAMES)
        ],
    }  # fmt: skip
    path = root / 'annotations.json'
    path.write_text(json.dumps(content))
    return path, x, score


def _instances(x, score, t):
    return [
        {'keypoints': x[m, t].tolist(), 'keypoint_scores': score[m, t].tolist(),
         'bbox': [[1.0, 2.0, 3.0, 4.0]], 'bbox_score': 0.9}
        for m in range(len(x))
    ]  # fmt: skip


def mmpose_demo(root, rng):
    x, score = pixels(rng, 2, 17)
    content = {
        'meta_info': {'dataset_name': 'coco', 'num_keypoints': 17},
        'instance_info': [
            {'frame_id': t + 1, 'instances': _instances(x, score, t)}
            for t in range(FRAMES)
        ],
    }
    path = root / 'results_video.json'
    path.write_text(json.dumps(content, indent='\t'))
    return path, x, score


def mmpose_inferencer(root, rng):
    x, score = pixels(rng, 1, 133)
    content = [
        {'frame_id': t, 'instances': _instances(x, score, t)} for t in range(FRAMES)
    ]
    path = root / 'video.json'
    path.write_text(json.dumps(content))
    return path, x, score


def mmpose_images(root, rng):
    x, score = pixels(rng, 1, 17)
    (root / 'predictions').mkdir()
    for t in range(FRAMES):
        file = root / f'predictions/img_{t:04d}.json'
        file.write_text(json.dumps(_instances(x, score, t)))
    return root / 'predictions', x, score


def _ultralytics(x, score, t):
    return [
        {'name': 'person', 'class': 0, 'confidence': 0.9, 'track_id': m + 1,
         'box': {'x1': 1.0, 'y1': 1.0, 'x2': 2.0, 'y2': 2.0},
         'keypoints': {'x': x[m, t, :, 0].tolist(), 'y': x[m, t, :, 1].tolist(),
                       'visible': score[m, t].tolist()}}
        for m in range(len(x))
    ]  # fmt: skip


def ultralytics_frames(root, rng):
    x, score = pixels(rng, 2, 17)
    content = [_ultralytics(x, score, t)[:: 1 if t % 2 else -1] for t in range(FRAMES)]
    path = root / 'results.json'
    path.write_text(json.dumps(content))
    return path, x[::-1], score[::-1]  # The second comes first in the first frame.


def ultralytics_files(root, rng):
    x, score = pixels(rng, 1, 17)
    (root / 'labels').mkdir()
    for t in range(FRAMES):
        file = root / f'labels/clip_{t + 1}.json'
        file.write_text(json.dumps(_ultralytics(x, score, t), indent=2))
    return root / 'labels', x, score


def ultralytics_attributes(root, rng):
    """What people dump of ``results[t].keypoints``."""
    x, score = pixels(rng, 1, 17)
    x /= 1000
    content = [
        {'keypoints': {'xyn': x[:, t].tolist(), 'conf': score[:, t].tolist()}}
        for t in range(FRAMES)
    ]
    path = root / 'keypoints.json'
    path.write_text(json.dumps(content))
    return path, x, score


def easymocap(root, rng):
    x = rng.normal(size=(2, FRAMES, 67, 3)).astype('f4')
    x = x[:, :1] + 0.01 * x
    score = rng.uniform(0.2, 1, (2, FRAMES, 67)).astype('f4')
    score[:, :, 5] = 0
    (root / 'keypoints3d').mkdir()
    for t in range(FRAMES):
        bodies = [
            {'id': m, 'keypoints3d': np.concatenate(
                [x[m, t], score[m, t, :, None]], -1).tolist()}
            for m in (0, 1)
        ]  # fmt: skip
        file = root / f'keypoints3d/{t:06d}.json'
        file.write_text(json.dumps(bodies, indent=4).replace('\n', '\r\n'))
    x[:, :, 5] = 0
    return root / 'keypoints3d', x, score


def easymocap_annots(root, rng):
    x, score = pixels(rng, 1, 25)
    (root / 'annots').mkdir()
    for t in range(FRAMES):
        points = np.concatenate([x[0, t], score[0, t, :, None]], -1).tolist()
        content = {
            'filename': f'images/0/{t:06d}.jpg', 'height': 480, 'width': 640,
            'annots': [{'personID': 0, 'bbox': [0, 0, 9, 9, 0.9],
                        'keypoints': points, 'area': 81}],
        }  # fmt: skip
        (root / f'annots/{t:06d}.json').write_text(json.dumps(content))
    return root / 'annots', x, score


def pose2sim(root, rng):
    """One person, of whom nothing but NaN is there in a frame."""
    x, score = pixels(rng, 1, 26)
    folder = root / 'pose/cam01_json'
    folder.mkdir(parents=True)
    for t in range(FRAMES):
        points = triples(x[0, t], score[0, t])
        if t == 2:
            points = [float('nan')] * 78
        person = {'person_id': [-1], 'pose_keypoints_2d': points,
                  'face_keypoints_2d': [], 'hand_left_keypoints_2d': [],
                  'hand_right_keypoints_2d': []}  # fmt: skip
        content = json.dumps({'version': 1.3, 'people': [person]})
        (folder / f'cam01_{t:06d}.json').write_text(content)
    x[:, 2] = score[:, 2] = 0
    return root / 'pose', x, score


def openpose_hands(root, rng, keep=67):
    x, score = pixels(rng, 1, 137)
    (root / 'output').mkdir()
    for t in range(FRAMES):
        parts = [triples(x[0, t, a:b], score[0, t, a:b])
                 for a, b in ((0, 25), (25, 46), (46, 67), (67, 137))]  # fmt: skip
        person = dict(zip(
            ('pose_keypoints_2d', 'hand_left_keypoints_2d', 'hand_right_keypoints_2d',
             'face_keypoints_2d'), parts, strict=True))  # fmt: skip
        file = root / f'output/video_{t:012d}_keypoints.json'
        file.write_text(json.dumps({'version': 1.3, 'people': [person]}))
    return root / 'output', x[:, :, :keep], score[:, :, :keep]


def openpose_body(root, rng):
    path, x, score = openpose_hands(root, rng)
    return path, x[:, :, BODY_25_TO_18], score[:, :, BODY_25_TO_18]


def mediapipe_json(root, rng):
    """Frames with a pose and hands, one of them without."""
    x, score = landmarks(rng, 75)
    score[:, :, 33:] = 1
    x[0, 3, 33:54] = score[0, 3, 33:54] = 0

    def points(t, a, b):
        return [
            dict(zip('xyz', x[0, t, v].tolist(), strict=True))
            | ({'visibility': float(score[0, t, v])} if b == 33 else {})
            for v in range(a, b)
        ]

    frames = [
        {'timestamp_ms': 33 * t, 'pose_landmarks': points(t, 0, 33),
         'left_hand_landmarks': None if t == 3 else points(t, 33, 54),
         'right_hand_landmarks': points(t, 54, 75), 'face_landmarks': []}
        for t in range(FRAMES)
    ]  # fmt: skip
    path = root / 'landmarks.json'
    path.write_text(json.dumps({'fps': 30, 'frames': frames}))
    return path, x, score


def mediapipe_lists(root, rng):
    x, score = landmarks(rng)
    frames = [
        {'frame': t, 'pose_landmarks': [
            [*x[0, t, v].tolist(), float(score[0, t, v])] for v in range(33)]}
        for t in range(FRAMES)
    ]  # fmt: skip
    path = root / 'poses.json'
    path.write_text(json.dumps({'fps': 30, 'landmarks': frames}))
    return path, x, score


# Tables ------------------------------------------------------------------------


def write_table(path, rows, delimiter=','):
    with path.open('w', newline='') as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def _wide(header, x, score, first=()):
    rows = [[*first, *header]]
    for t in range(x.shape[1]):
        cells = np.concatenate([x[0, t], score[0, t, :, None]], -1).ravel().tolist()
        rows.append([*([t] if first else []), *cells])
    return rows


def csv_numbered(root, rng):
    """``frame, x0, y0, z0, v0, ...``"""
    x, score = landmarks(rng)
    header = [f'{axis}{v}' for v in range(33) for axis in 'xyzv']
    return write_table(root / 'a.csv', _wide(header, x, score, ['frame'])), x, score


def csv_from_one(root, rng):
    """``x1, y1, z1, v1, ...``, without a number of the frame."""
    x, score = landmarks(rng)
    header = [f'{axis}{v}' for v in range(1, 34) for axis in 'xyzv']
    return write_table(root / 'a.csv', _wide(header, x, score)), x, score


def csv_landmarks(root, rng):
    x, score = landmarks(rng)
    parts = ('x', 'y', 'z', 'visibility')
    header = [f'landmark_{v}_{part}' for v in range(33) for part in parts]
    rows = _wide(header, x, score, ['frame_number'])
    return write_table(root / 'a.csv', rows), x, score


def csv_named(root, rng):
    """By name, in another order, a cell empty."""
    x, score = landmarks(rng)
    order = list(rng.permutation(33))
    header = [f'{LANDMARKS[v]}_{part}' for v in order for part in ('x', 'y', 'z', 'v')]
    rows = _wide(header, x[:, :, order], score[:, :, order], ['frame'])
    rows[2][1:5] = ['', '', '', '']
    x[0, 1, order[0]] = score[0, 1, order[0]] = 0
    return write_table(root / 'a.csv', rows), x, score


def csv_prefixed(root, rng):
    x, score = landmarks(rng)
    header = [
        f'{part}_{name.upper()}' for name in LANDMARKS
        for part in ('X', 'Y', 'Z', 'visibility')
    ]  # fmt: skip
    return write_table(root / 'a.csv', _wide(header, x, score, ['time'])), x, score


def csv_long(root, rng):
    x, score = landmarks(rng)
    rows = [['frame', 'landmark_id', 'x', 'y', 'z', 'visibility']]
    rows += [
        [t, v, *x[0, t, v].tolist(), float(score[0, t, v])]
        for t in range(FRAMES) for v in rng.permutation(33)
    ]  # fmt: skip
    return write_table(root / 'a.csv', rows), x, score


def csv_kinect(root, rng):
    """Two people, ids of 17 digits, states of tracking, times in milliseconds."""
    x = rng.normal(size=(2, FRAMES, 25, 3)).astype('f4')
    x[1] += 5
    header = ['CaptureTime', 'TrackingID']
    header += [f'{n}_{part}' for n in KINECT_V2 for part in ('X', 'Y', 'Z', 'State')]
    rows = [header]
    for t in range(FRAMES):
        for m in (0, 1):
            cells = np.concatenate([x[m, t], np.full((25, 1), 2)], -1).ravel().tolist()
            rows.append([1000 + 33 * t, 72057594037931101 + m, *cells])
    score = np.ones(x.shape[:3], 'f4')
    return write_table(root / 'kinect.csv', rows), x, score


def csv_kinect_joined(root, rng):
    """Names and axes in one word, semicolons and decimal commas."""
    x = rng.normal(size=(1, FRAMES, 25, 3)).astype('f4')
    rows = [['Timestamp', *[f'{n}{axis}' for n in KINECT_V2 for axis in 'XYZ']]]
    rows += [
        [str(t), *[repr(float(v)).replace('.', ',') for v in x[0, t].ravel()]]
        for t in range(FRAMES)
    ]
    return write_table(root / 'k.csv', rows, ';'), x, None


# Numbers -----------------------------------------------------------------------


def mp_data(root, rng, frames=12):
    """Frames are not padded with zeros, so that 10 sorts before 2; in one nobody has
    been found."""
    x = rng.uniform(0.1, 0.9, (1, frames, 75, 3)).astype('f4')
    score = np.ones((1, frames, 75), 'f4')
    score[:, :, :33] = rng.uniform(0.2, 1, (1, frames, 33))
    folder = root / 'MP_Data/hello/0'
    folder.mkdir(parents=True)
    x[:, 4] = score[:, 4] = 0
    for t in range(frames):
        pose = np.concatenate([x[0, t, :33], score[0, t, :33, None]], -1)
        face = np.zeros(468 * 3) if t == 4 else rng.random(468 * 3)
        row = np.concatenate([pose.ravel(), face, x[0, t, 33:].ravel()])
        np.save(folder / f'{t}.npy', row)
    return root / 'MP_Data', x, score


def utd_mhad(root, rng):
    from scipy.io import savemat

    x = rng.normal(size=(1, FRAMES, 20, 3))
    file = root / 'a7_s2_t1_skeleton.mat'
    savemat(file, {'d_skel': x[0].transpose(1, 2, 0)}, do_compression=True)
    return file, x.astype('f4'), None


def msr_action3d(root, rng):
    x = rng.normal(size=(1, FRAMES, 20, 3))
    lines = [
        '{:f} {:f} {:f} {:f}'.format(*joint, v % 2)
        for pose in x[0] for v, joint in enumerate(pose)
    ]  # fmt: skip
    file = root / 'a05_s02_e01_skeleton3D.txt'
    file.write_text('\n'.join(lines) + '\n')
    return file, x.astype('f4'), None


def utkinect(root, rng):
    """The first of two actions; a frame stands there twice, another is missing."""
    x = rng.normal(size=(1, 12, 20, 3))
    (root / 'joints').mkdir()
    numbers = [100 + 2 * t for t in range(12)]
    lines = [
        f'{n}   ' + '  '.join(f'{v:f}' for v in pose.ravel()) + '  '
        for n, pose in zip(numbers, x[0], strict=True)
    ]
    lines.insert(1, lines[0])
    (root / 'joints/joints_s01_e01.txt').write_text('\n'.join(lines) + '\n')
    (root / 'actionLabel.txt').write_text(
        's01_e01\nwalk: 100 110\nsitDown: 112 122 \ncarry:  NaN NaN\n \n'
    )
    return root, x[:, :6].astype('f4'), None


def ntu_npy(root, rng):
    x = rng.normal(size=(2, FRAMES, 25, 3))
    x[1, :3] = 0
    content = {
        'file_name': 'S001C001P001R001A050', 'nbodys': [1, 1, 1, 2, 2, 2],
        'njoints': 25, 'skel_body0': x[0], 'skel_body1': x[1],
        'rgb_body0': np.zeros((FRAMES, 25, 2)),
    }  # fmt: skip
    file = root / 'S001C001P001R001A050.skeleton.npy'
    np.save(file, content, allow_pickle=True)
    return file, x.astype('f4'), None


def st_gcn_array(root, rng):
    """The first of three clips ``[N, C, T, V, M]``."""
    x = rng.normal(size=(3, 3, FRAMES, 25, 1)).astype('f4')
    np.save(root / 'data.npy', x)
    return root / 'data.npy', x[0].transpose(3, 1, 2, 0), None


def pose_file(root, rng):
    """Version 0.2, byte by byte: pose and hands of MediaPipe Holistic."""
    parts = {
        'POSE_LANDMARKS': 33,
        'LEFT_HAND_LANDMARKS': 21,
        'RIGHT_HAND_LANDMARKS': 21,
    }
    x = rng.uniform(1, 400, (1, FRAMES, 75, 3)).astype('<f4')
    score = rng.uniform(0.2, 1, (1, FRAMES, 75)).astype('<f4')
    score[0, 2, 40] = 0
    x[0, 2, 40] = 0

    def text(word):
        return struct.pack('<H', len(word)) + word.encode()

    content = struct.pack('<f', 0.2) + struct.pack('<HHHH', 640, 480, 1000, 3)
    for name, count in parts.items():
        content += text(name) + text('XYZC')
        content += struct.pack('<HHH', count, 0, 0)
        content += b''.join(text(f'P{v}') for v in range(count))
    content += struct.pack('<fIH', 25.0, FRAMES, 1)
    content += x.transpose(1, 0, 2, 3).tobytes() + score.transpose(1, 0, 2).tobytes()
    (root / 'clip.pose').write_bytes(content)
    return root / 'clip.pose', x.astype('f4'), score.astype('f4')


#: Who writes a format, and whose joints they are.
FORMATS = {
    alphapose: 'halpe-26',
    alphapose_open: 'openpose-18',
    alphapose_cmu: 'openpose-18',
    coco_results: 'coco-17',
    coco_annotations: 'coco-17',
    mmpose_demo: 'coco-17',
    mmpose_inferencer: 'coco-wholebody-133',
    mmpose_images: 'coco-17',
    ultralytics_frames: 'coco-17',
    ultralytics_files: 'coco-17',
    ultralytics_attributes: 'coco-17',
    easymocap: 'openpose-67',
    easymocap_annots: 'openpose-25',
    pose2sim: 'halpe-26',
    openpose_body: 'openpose-18',
    mediapipe_json: 'mediapipe-holistic-75',
    mediapipe_lists: 'mediapipe-pose-33',
    csv_numbered: 'mediapipe-pose-33',
    csv_from_one: 'mediapipe-pose-33',
    csv_landmarks: 'mediapipe-pose-33',
    csv_named: 'mediapipe-pose-33',
    csv_prefixed: 'mediapipe-pose-33',
    csv_long: 'mediapipe-pose-33',
    csv_kinect: 'ntu-rgb+d',
    csv_kinect_joined: 'ntu-rgb+d',
    mp_data: 'mediapipe-holistic-75',
    utd_mhad: 'utd-mhad-20',
    msr_action3d: 'msr-action3d-20',
    utkinect: 'kinect-20',
    ntu_npy: 'ntu-rgb+d',
    st_gcn_array: None,
    pose_file: 'mediapipe-holistic-75',
}


def only_file(path: Path) -> Path:
    """The file of a format, or the first of its folder."""
    return path if path.is_file() else sorted(path.rglob('*.*'))[0]


def joints_of(name: str) -> tuple[str, ...]:
    return skeleton(name).joints
