"""Who is who from frame to frame, where a format lists the bodies of each frame."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io.limits import check_array

# Two poses may be one person if the joints have moved by less than the person's size.
_REACH = 1.0
_MOST_PEOPLE = 200


class Body(NamedTuple):
    """A body in a frame: coordinates and score of each joint ``[V, C + 1]``, zero where
    it was not seen, and who it is, where the format tells it."""

    pose: np.ndarray
    id: int | None = None


class Tracks:
    r"""Follows bodies from frame to frame: by the ids that the format tells, or else
    poses of consecutive frames are matched, nearest first, where they moved by less
    than the person's size (the diagonal of its joints' bounding box). A person that is
    matched keeps slot and body id.

    Args:
        where (str): What messages call the recording.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._frames: list[tuple[int, list[Body]]] = []
        self._next_id = 1
        self._current: list[tuple[int, int, np.ndarray]] = []  # slot, id, pose

    def add(self, frame: int, bodies: Sequence[Body], where: str = '') -> None:
        """Takes the bodies of the next frame; frames count from 0, and messages may
        call this one in another way."""
        if len(bodies) > _MOST_PEOPLE:
            raise SkeletonDataError(
                f"'{where or self._where}' has {len(bodies)} people in a frame, more "
                f'than {_MOST_PEOPLE}'
            )
        self._frames.append((frame, [body for body in bodies if body.pose.any()]))

    def arrays(
        self, num_frames: int, num_joints: int, dims: int, num_bytes: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Key points ``[M, T, V, C]``, scores ``[M, T, V]`` and body ids ``[M, T]``, of
        files of so many bytes."""
        found = self._followed()
        slots = 1 + max((slot for slot, *_ in found), default=-1)
        shape = (slots, num_frames, num_joints, dims + 1)
        check_array(shape, 4, num_bytes, self._where)
        x = np.zeros(shape, np.float32)
        body_ids = np.zeros(shape[:2], np.int64)
        for slot, frame, body_id, pose in found:
            if pose.shape != shape[2:]:
                raise SkeletonDataError(
                    f"'{self._where}', frame {frame}: expected {num_joints} joints of "
                    f'{dims} coordinates, as in other frames (got {len(pose)} of '
                    f'{pose.shape[1] - 1})'
                )
            x[slot, frame] = pose
            body_ids[slot, frame] = body_id
        return np.ascontiguousarray(x[..., :dims]), x[..., dims].copy(), body_ids

    def _followed(self) -> list[tuple[int, int, int, np.ndarray]]:
        """Slot, frame, id and pose of all bodies."""
        # Detectors that do not track may give the same id to everybody.
        told = all(
            None not in ids and len(set(ids)) == len(ids)
            for _, bodies in self._frames
            if (ids := [body.id for body in bodies])
        )
        found = []
        for frame, bodies in self._frames:
            matched = self._known(bodies) if told else self._nearest(bodies)
            busy = {slot for slot, _ in matched.values()}
            self._current = []
            for new, (pose, own) in enumerate(bodies):
                if new not in matched:
                    slot = next(slot for slot in range(len(bodies)) if slot not in busy)
                    busy.add(slot)
                    matched[new] = (
                        slot,
                        own if told and own is not None else self._next_id,
                    )
                    self._next_id += 1
                slot, body_id = matched[new]
                self._current.append((slot, body_id, pose))
                found.append((slot, frame, body_id, pose))
        return found

    def _known(self, bodies: Sequence[Body]) -> dict[int, tuple[int, int]]:
        """For bodies, by their place, the slot and the id of whom they continue, by the
        ids that the format tells."""
        known = {id_: slot for slot, id_, _ in self._current}
        return {
            new: (known[body.id], body.id)
            for new, body in enumerate(bodies)
            if body.id is not None and body.id in known
        }

    def _nearest(self, bodies: Sequence[Body]) -> dict[int, tuple[int, int]]:
        """The same, by where they are."""
        poses = [body.pose for body in bodies]
        distances = _distances([pose for *_, pose in self._current], poses)
        pairs = [(distances[i, j], i, j) for i, j in np.argwhere(distances < _REACH)]
        matched: dict[int, tuple[int, int]] = {}
        taken = set()
        for _, old, new in sorted(pairs):
            if old not in taken and new not in matched:
                taken.add(old)
                matched[new] = self._current[old][:2]
        return matched


def _distances(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> np.ndarray:
    """How far the joints that both have moved on average, by the size of the person
    before: [before, after]."""
    distances = np.full((len(before), len(after)), np.inf)
    if not before or not after or {p.shape for p in before} != {p.shape for p in after}:
        return distances
    later = np.array(after)
    for row, pose in zip(distances, before, strict=True):
        seen = pose[:, -1] > 0
        size = np.linalg.norm(np.ptp(pose[seen, :-1], axis=0)) if seen.any() else 0
        if size > 0:
            both = seen & (later[..., -1] > 0)
            moved = np.linalg.norm(later[..., :-1] - pose[:, :-1], axis=2)
            number = both.sum(1)
            mean = (moved * both).sum(1) / np.maximum(number, 1)
            row[number > 0] = (mean / size)[number > 0]
    return distances
