from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.data.errors import printable, say_assumed
from pyg_msg3d.datasets import select_persons
from pyg_msg3d.inference.prediction import Prediction, Predictions
from pyg_msg3d.inference.stream import Stream
from pyg_msg3d.io import Reader, SkeletonSequence, read
from pyg_msg3d.io.layout import split_score, to_mtvc
from pyg_msg3d.io.mediapipe import from_landmarks, is_landmarks
from pyg_msg3d.models import MSG3D
from pyg_msg3d.skeletons import Skeleton, skeleton_names
from pyg_msg3d.skeletons import skeleton as look_up

Checkpoint = str | PathLike | MSG3D
Source = str | PathLike | SkeletonSequence | np.ndarray | Tensor


class Predictor:
    r"""Says what recordings show.

    .. code-block:: python

        predictor = Predictor('runs/mine/best.pt')
        for prediction in predictor('clip.npy'):
            print(prediction.name, prediction.label, prediction.confidence)

    Checkpoints tell the names of the classes and what is done to a recording first. Of
    published weights, that is what their authors publish, which is said.

    Args:
        checkpoint (path, MSG3D, or a sequence of them): A checkpoint, ours or
            anybody's, or a model; several are streams, whose probabilities are added
            up.
        weights (sequence of float, optional): The weights of streams; equal ones by
            default.
        classes (sequence of str, optional): The names of the classes, where a
            checkpoint has none.
        transform (callable, optional): What is done to clips, where a checkpoint does
            not tell.
        persons (str, optional): Who is in a clip, where it does not, see
            :func:`pyg_msg3d.datasets.select_persons`.
        stream (str or sequence of str, optional): The streams of published weights.
            (default: ``'joint'``)
        pooling (str, optional): ``'present'`` leaves absent persons out of the mean,
            ``'mean'`` does not; by default as the model was trained.
        device (str, optional): Where to compute; by default a GPU if there is one.
        batch_size (int, optional): The clips that are computed at once.
            (default: :obj:`32`)

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is none.
        ValueError: If nobody tells what is done to clips, or streams have other
            classes.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | Sequence[Checkpoint],
        weights: Sequence[float] | None = None,
        classes: Sequence[str] | None = None,
        transform: Callable[[SkeletonData], SkeletonData] | None = None,
        persons: str | None = None,
        stream: str | Sequence[str] = 'joint',
        pooling: str | None = None,
        device: str | torch.device | None = None,
        batch_size: int = 32,
    ) -> None:
        alone = isinstance(checkpoint, str | PathLike | MSG3D)
        sources: list[Checkpoint] = [checkpoint] if alone else list(checkpoint)  # type: ignore[list-item, arg-type]
        if not sources:
            raise ValueError('Expected at least one checkpoint (got none)')
        kinds = [stream] * len(sources) if isinstance(stream, str) else list(stream)
        if device is None:
            device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.streams = [
            Stream(
                source,
                'The model' if isinstance(source, MSG3D) else f"'{printable(source)}'",
                classes,
                transform,
                persons,
                kind,
                pooling,
                device,
            )
            for source, kind in zip(sources, kinds, strict=True)
        ]
        self.weights = [1.0] * len(sources) if weights is None else list(weights)
        total = sum(self.weights)
        if len(self.weights) != len(sources) or min(self.weights) < 0 or not total > 0:
            raise ValueError(
                f'Expected a weight of at least 0 for each of {len(sources)} '
                f'checkpoints (got {self.weights})'
            )
        self.batch_size = batch_size
        self.classes = self.streams[0].classes
        for other in self.streams[1:]:
            if other.model.skeleton.joints != self.skeleton.joints:
                raise ValueError(
                    f'{other.name} is of the joints of {other.model.skeleton.name!r}, '
                    f'{self.streams[0].name} of {self.skeleton.name!r}'
                )
            if sorted(other.classes) != sorted(self.classes):
                raise ValueError(
                    f'{other.name} knows the classes {", ".join(other.classes)[:300]}, '
                    f'{self.streams[0].name} {", ".join(self.classes)[:300]}'
                )

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton that recordings must have."""
        return self.streams[0].model.skeleton

    def __call__(
        self,
        source: Source | Sequence[Source],
        skeleton: str | Skeleton | None = None,
        per_person: bool = False,
        window: int | None = None,
        hop: int | None = None,
        **options: Any,
    ) -> Predictions:
        r"""Predicts recordings.

        Args:
            source (path, SkeletonSequence, array, or a sequence of them): Anything that
                :func:`pyg_msg3d.io.read` knows, a file or a folder of many; a
                recording; or key points :math:`(T, V, C)` or :math:`(M, T, V, C)`.
            skeleton (str or Skeleton, optional): Whose joints they are, where that does
                not follow from the format; joints in another order than the model's
                are put into its, by their names.
            per_person (bool, optional): Answer for each person alone.
                (default: :obj:`False`)
            window (int, optional): Answer for windows of so many frames, instead of the
                whole recording.
            hop (int, optional): How many frames lie between the begins of two windows;
                by default half a window.
            **options (optional): Arguments of :func:`pyg_msg3d.io.read`.

        Returns:
            A prediction for each recording, window or person.

        Raises:
            FileNotFoundError: If there is no such file.
            SkeletonDataError: If a recording cannot be read, or does not fit; of
                several, it is named in :attr:`Predictions.skipped`.
        """
        result = Predictions()
        waiting: list[Prepared] = []
        count = 0
        for made in self._prepared(source, skeleton, per_person, window, hop, options):
            count += 1
            if isinstance(made, Problem):
                result.skipped[made.name] = made.reason
                continue
            waiting.append(made)
            if len(waiting) == self.batch_size:
                result += self._answers(waiting)
                waiting.clear()
        result += self._answers(waiting)
        if not result and count == 1:
            raise SkeletonDataError(next(iter(result.skipped.values())))
        return result

    def prepared(
        self,
        source: Source | Sequence[Source],
        skeleton: str | Skeleton | None = None,
        per_person: bool = False,
        window: int | None = None,
        hop: int | None = None,
        **options: Any,
    ) -> 'Iterator[Prepared]':
        """What the models see of recordings, one after the other; arguments are those
        of a call."""
        for made in self._prepared(source, skeleton, per_person, window, hop, options):
            if isinstance(made, Prepared):
                yield made

    def _prepared(
        self,
        source: Source | Sequence[Source],
        skeleton: str | Skeleton | None,
        per_person: bool,
        window: int | None,
        hop: int | None,
        options: dict[str, Any],
    ) -> 'Iterator[Prepared | Problem]':
        if (window is not None and window < 1) or (hop is not None and hop < 1):
            raise ValueError(
                f"'window' and 'hop' must be at least 1 (got {window} and {hop})"
            )
        several = isinstance(source, list | tuple)
        sources: Sequence[Source] = source if several else [source]  # type: ignore[assignment, list-item]
        given = None if skeleton is None else look_up(skeleton)
        seen: set[str] = set()
        for sequence in self._recordings(sources, given, options):
            if isinstance(sequence, Problem):
                yield sequence
                continue
            if sequence.name in seen:  # Of two files of one name, by their paths.
                name = sequence.path or f'{sequence.name} ({len(seen)})'
                sequence = replace(sequence, name=name)
            seen.add(sequence.name)
            for part, place in _parts(sequence, window, hop):
                try:
                    yield from self._clips(part, place, per_person)
                except SkeletonDataError as error:
                    empty = Prediction(sequence.name, (), np.zeros(0), **place)
                    yield Problem(empty.where, str(error))

    # Recordings ----------------------------------------------------------------

    def _recordings(
        self, sources: Sequence[Source], given: Skeleton | None, options: dict[str, Any]
    ) -> 'Iterator[SkeletonSequence | Problem]':
        """Each recording, or what is wrong with it."""
        for number, source in enumerate(sources):
            if isinstance(source, SkeletonSequence):
                yield self._fitting(source, given)
            elif isinstance(source, np.ndarray | Tensor):
                sequence = _of_array(np.asarray(source), number, options)
                yield self._fitting(sequence, given)
            else:
                yield from self._read(Path(source), given, options)

    def _read(
        self, path: Path, given: Skeleton | None, options: dict[str, Any]
    ) -> 'Iterator[SkeletonSequence | Problem]':
        reader: Reader = read(path, skeleton=given or self.skeleton, **options)
        known = given
        if known is None and reader.skeleton is not None:
            known = look_up(reader.skeleton)
        for index, name in enumerate(reader.names):
            try:
                yield self._fitting(reader[index], known, given is not None)
            except SkeletonDataError as error:
                if len(reader) == 1:
                    raise
                yield Problem(name, str(error))

    def _fitting(
        self, sequence: SkeletonSequence, known: Skeleton | None, asked: bool = True
    ) -> SkeletonSequence:
        """The recording with the model's joints in their order; whose they are was
        asked for, or is what the format says.

        Raises:
            SkeletonDataError: If it lacks some.
        """
        wanted = self.skeleton.joints
        where = printable(sequence.path or sequence.name)
        if known is not None and sequence.num_joints == known.num_joints:
            place = {joint: v for v, joint in enumerate(known.joints)}
            lacking = [joint for joint in wanted if joint not in place]
            own = self.skeleton.name not in skeleton_names()
            if lacking and own and not asked and len(known.joints) == len(wanted):
                say_assumed(
                    f'Joints of {known.name!r} are taken for those of the model, '
                    f'{self.skeleton.name!r}, by their places; skeleton=... if they '
                    f'are others'
                )
                return sequence
            if lacking:
                raise SkeletonDataError(
                    f"'{where}' has the joints of {known.name!r}, which lack "
                    f"{len(lacking)} of the model's, {self.skeleton.name!r}: "
                    f'{", ".join(lacking[:8])}. Train on such joints: '
                    f'MSG3D.from_checkpoint(..., skeleton={known.name!r})'
                )
            if known.joints != wanted:
                say_assumed(
                    f"Joints of {known.name!r} are put into the order of the model's "
                    f'{self.skeleton.name!r}, by their names'
                )
                order = [place[joint] for joint in wanted]
                score = sequence.score
                return replace(
                    sequence,
                    keypoints=sequence.keypoints[:, :, order],
                    score=None if score is None else score[:, :, order],
                )
        if sequence.num_joints != len(wanted):
            raise SkeletonDataError(
                f"'{where}' has {sequence.num_joints} joints, but the model's "
                f'skeleton, {self.skeleton.name!r}, has {len(wanted)}'
            )
        return sequence

    # Clips ---------------------------------------------------------------------

    def _clips(
        self, sequence: SkeletonSequence, place: dict[str, int], per_person: bool
    ) -> 'list[Prepared]':
        """What the streams see, each with a prediction that is still empty."""
        empty = np.zeros(0)
        if not per_person:
            clips = [stream.clip(sequence) for stream in self.streams]
            prediction = Prediction(sequence.name, self.classes, empty, **place)
            return [Prepared(prediction, sequence, clips)]
        rule = self.streams[0].preprocessing.persons
        chosen = select_persons(sequence, rule)
        found = []
        for person in range(len(chosen.keypoints)):
            score = chosen.score
            alone = replace(
                chosen,
                keypoints=chosen.keypoints[person : person + 1],
                score=None if score is None else score[person : person + 1],
            )
            if not alone.present.any():
                continue
            clips = [stream.clip(alone, persons='all') for stream in self.streams]
            prediction = Prediction(
                sequence.name, self.classes, empty, person=person, **place
            )
            found.append(Prepared(prediction, alone, clips))
        return found

    def _answers(self, found: 'Sequence[Prepared]') -> list[Prediction]:
        """The predictions with the probabilities that the streams give together."""
        if not found:
            return []
        total = torch.zeros(len(found), len(self.classes), dtype=torch.float64)
        for number, (stream, weight) in enumerate(
            zip(self.streams, self.weights, strict=True)
        ):
            clips = [made.clips[number] for made in found]
            order = [stream.classes.index(name) for name in self.classes]
            for rows in _of_one_shape(clips):
                part = stream.probabilities([clips[row] for row in rows])
                total[rows] += weight * part[:, order]
        total /= sum(self.weights)
        return [
            replace(made.prediction, probabilities=row)
            for made, row in zip(found, total.numpy(), strict=True)
        ]


class Prepared(NamedTuple):
    """A prediction that is still empty, the recording that it is about, and what each
    stream sees of it."""

    prediction: Prediction
    sequence: SkeletonSequence
    clips: list[Tensor]


class Problem(NamedTuple):
    """A recording, or a part of one, of which nothing can be said, and why."""

    name: str
    reason: str


def _of_one_shape(clips: Sequence[Tensor]) -> list[list[int]]:
    """The places of clips that can be stacked."""
    rows: dict[Any, list[int]] = {}
    for row, clip in enumerate(clips):
        rows.setdefault(clip.shape, []).append(row)
    return list(rows.values())


def _parts(
    sequence: SkeletonSequence, window: int | None, hop: int | None
) -> Iterator[tuple[SkeletonSequence, dict[str, int]]]:
    """A recording as it is, or its windows with their first frame and that after the
    last; the end of a recording is part of one, too."""
    length = sequence.num_frames
    if window is None:
        yield sequence, {}
        return
    step = hop or max(1, window // 2)
    begins = [*range(0, max(1, length - window + 1), step)]
    if begins[-1] + window < length:
        begins.append(length - window)
    for begin in begins:
        end = min(length, begin + window)
        score, ids = sequence.score, sequence.body_ids
        yield (
            replace(
                sequence,
                keypoints=sequence.keypoints[:, begin:end],
                score=None if score is None else score[:, begin:end],
                body_ids=None if ids is None else ids[:, begin:end],
            ),
            {'begin': begin, 'end': end},
        )


def _of_array(
    array: np.ndarray, number: int, options: dict[str, Any]
) -> SkeletonSequence:
    name = f'array {number}'
    x = to_mtvc(array.astype(np.float32), options.get('layout'), name)
    coordinates = options.get('coordinates')
    if coordinates is None and is_landmarks(x):
        return from_landmarks(x, name)
    x, score = split_score(x, coordinates, name)
    return SkeletonSequence(x, name, score)
