r"""Who of a recording is in the clip: rules by name, since published numbers depend on
them.

=========== ==========================================================================
name        rule
=========== ==========================================================================
``energy``  Slots are persons; of the first four, the two that move most. MS-G3D's
            authors' ``data_gen/ntu_gendata.py`` and MMAction2's script.
``tracked`` Bodies are followed by their ids, short and implausible tracks dropped, the
            rest joined to two persons. PYSKL's ``tools/data/ntu_preproc.py``, which
            made the files that MMAction2's published numbers were trained on.
``score``   In every frame the two bodies of the highest scores, of the first five.
            The authors' ``data_gen/kinetics_gendata.py``.
``all``     All slots, as they are.
=========== ==========================================================================
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io import SkeletonSequence

_PERSONS = 2


def select_persons(sequence: SkeletonSequence, rule: str) -> SkeletonSequence:
    r"""The recording with persons instead of slots, by one of the rules above.

    Args:
        sequence (SkeletonSequence): The recording.
        rule (str): The name of the rule.

    Returns:
        The recording with at least one person, each there in at least one frame, and
        without :obj:`body_ids`. ``'tracked'`` leaves out frames without anybody.

    Raises:
        ValueError: If there is no such rule.
        SkeletonDataError: If there is nobody in the recording, or nobody whom the rule
            takes.
    """
    if rule not in PERSON_RULES:
        raise ValueError(
            f"'persons' must be one of {', '.join(PERSON_RULES)} (got {rule!r})"
        )
    there = sequence.present
    if not there.any():
        raise SkeletonDataError(
            f"'{sequence.path or sequence.name}' has no body in any of its "
            f'{sequence.num_frames} frames'
        )
    selected = replace(PERSON_RULES[rule](sequence), body_ids=None)
    someone = selected.present.any(1)
    if not someone.any():
        raise SkeletonDataError(
            f"'{sequence.path or sequence.name}' has nobody in those of its "
            f"{len(there)} places that persons='{rule}' looks at; persons='all' takes "
            f'everybody'
        )
    if not someone.all():
        selected = _take(selected, np.flatnonzero(someone))
    return selected


def _take(sequence: SkeletonSequence, slots: np.ndarray) -> SkeletonSequence:
    score, ids = sequence.score, sequence.body_ids
    return replace(
        sequence,
        keypoints=sequence.keypoints[slots],
        score=None if score is None else score[slots],
        body_ids=None if ids is None else ids[slots],
    )


# By energy ---------------------------------------------------------------------


def _by_energy(sequence: SkeletonSequence) -> SkeletonSequence:
    slots = sequence.keypoints[:4].astype(np.float64)
    energy = np.array([_energy(slot) if slot.any() else -1.0 for slot in slots])
    # Of equals, the later ones come first, as in the sources.
    return _take(sequence, energy.argsort(kind='stable')[::-1][:_PERSONS])


def _energy(slot: np.ndarray) -> float:
    """The sum over coordinates of their standard deviation, over the joints of all
    frames where the body is there."""
    slot = slot[slot.sum(axis=(1, 2)) != 0]
    return sum(slot[..., c].std() for c in range(slot.shape[-1])) if len(slot) else 0.0


# By track ----------------------------------------------------------------------

_SHORT = 11  # Tracks of so many frames and fewer are dropped.
# A frame is implausible where a body is wider than this share of its height, and a
# track where at least so many of its frames are.
_WIDTH_BY_HEIGHT, _MOST_IMPLAUSIBLE = 0.8, 0.69754
_NOTHING = 1e-3


@dataclass
class _Track:
    start: int
    # [frames, joints, coordinates and, where there is one, score], from the start
    # without gaps.
    values: np.ndarray
    dims: int  # How many of the values are coordinates.
    motion: float

    @property
    def joints(self) -> np.ndarray:
        return self.values[..., : self.dims]

    @property
    def end(self) -> int:
        return self.start + len(self.values)


def _by_track(sequence: SkeletonSequence) -> SkeletonSequence:
    if sequence.body_ids is None:
        # Nothing to follow: such files have persons in their slots already.
        return _take(sequence, np.arange(min(_PERSONS, len(sequence.keypoints))))
    tracks = _tracks(sequence)
    # All may be short, where the source fails: then the one that moves most stays.
    long = [track for track in tracks if len(track.joints) > _SHORT] or tracks[:1]
    tracks = _plausible(long)
    values = tracks[0].values[None] if len(tracks) == 1 else _join(tracks)
    dims = tracks[0].dims
    return replace(
        sequence,
        keypoints=np.ascontiguousarray(values[..., :dims]),
        score=None if sequence.score is None else values[..., dims].copy(),
        body_ids=None,
    )


def _tracks(sequence: SkeletonSequence) -> list[_Track]:
    """A track for each body id, most motion first. Frames without anybody do not count,
    and a gap in a track closes."""
    assert sequence.body_ids is not None
    there = sequence.present.T  # [frames, slots], in the order of the file
    # The number of a frame among those with somebody.
    number = np.cumsum(there.any(1)) - 1
    bodies: dict[int, list[tuple[int, int]]] = {}
    for frame, slot in np.argwhere(there).tolist():
        body_id = int(sequence.body_ids[slot, frame])
        bodies.setdefault(body_id, []).append((frame, slot))
    values = sequence.keypoints
    dims = values.shape[-1]
    if sequence.score is not None:
        values = np.concatenate([values, sequence.score[..., None]], axis=-1)
    tracks = []
    for places in bodies.values():
        frames, slots = np.array(places).T
        motion = _motion(sequence.keypoints[slots, frames])
        start = int(number[frames[0]])
        tracks.append(_Track(start, values[slots, frames], dims, motion))
    return sorted(tracks, key=lambda track: -track.motion)


def _motion(joints: np.ndarray) -> float:
    """The sum over coordinates of their variance, over all joints and frames."""
    return float(np.sum(np.var(joints.reshape(-1, joints.shape[-1]), axis=0)))


def _plausible(tracks: list[_Track]) -> list[_Track]:
    kept = []
    for track in tracks:
        width, height = np.ptp(track.joints[..., :2], axis=1).T
        good = width <= _WIDTH_BY_HEIGHT * height
        if 1 - good.sum() / len(good) < _MOST_IMPLAUSIBLE:
            motion = min(track.motion, _motion(track.joints[good]))
            kept.append(replace(track, motion=motion))
    # None at all fails in the source: then the one that moves most stays.
    return sorted(kept or tracks[:1], key=lambda track: -track.motion)


def _join(tracks: list[_Track]) -> np.ndarray:
    """Two persons of several tracks: each track goes to the first person whose time so
    far it does not overlap."""
    length = max(track.end for track in tracks)
    values = np.zeros((_PERSONS, length, *tracks[0].values.shape[1:]), np.float32)
    spans = [(tracks[0].start, tracks[0].end), (0, 0)]
    values[0, slice(*spans[0])] = tracks[0].values
    for track in tracks[1:]:
        for person, (start, end) in enumerate(spans):
            if max(start, track.start) >= min(end, track.end):
                values[person, track.start : track.end] = track.values
                spans[person] = min(start, track.start), max(end, track.end)
                break
    size = np.abs(values[..., : tracks[0].dims])
    first, last = np.flatnonzero(size.sum(axis=(0, 2, 3)) >= _NOTHING)[[0, -1]]
    centre = size[:, first, 1].sum(-1)
    values = values[:, first : last + 1]
    # Whoever is there at the start comes first. Compared as arrays: numpy 1 compares a
    # number of an array with one of Python's in double precision.
    later = (centre < _NOTHING)[0] and (centre > _NOTHING)[1]
    return values[::-1] if later else values


# By score ----------------------------------------------------------------------


def _by_score(sequence: SkeletonSequence) -> SkeletonSequence:
    if sequence.score is None:
        raise SkeletonDataError(
            f"'{sequence.path or sequence.name}' has no scores to choose persons by"
        )
    score = sequence.score[:5]
    # As in the source, in which numpy's own order decides between equals.
    order = (-score.sum(axis=2).T).argsort(axis=1).T[:_PERSONS]
    frames = np.arange(sequence.num_frames)
    return replace(
        sequence,
        keypoints=sequence.keypoints[order, frames],
        score=score[order, frames],
        body_ids=None,
    )


PERSON_RULES: dict[str, Callable[[SkeletonSequence], SkeletonSequence]] = {
    'energy': _by_energy,
    'tracked': _by_track,
    'score': _by_score,
    'all': lambda sequence: sequence,
}
