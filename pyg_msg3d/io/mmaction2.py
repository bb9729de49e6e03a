"""The pickles of MMAction2 and PYSKL."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.fields import (
    as_floats,
    as_image_size,
    as_label,
    as_name,
    as_whole,
    check_first_label,
)
from pyg_msg3d.io.files import read_bytes
from pyg_msg3d.io.limits import check_array
from pyg_msg3d.io.ntu import SampleName
from pyg_msg3d.io.reader import Reader, check_unique
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.io.unpickle import unpickle


class MMAction2Reader(Reader):
    r"""A pickle of annotations as MMAction2 and PYSKL distribute them, 2D or 3D
    (``ntu60_3danno.pkl``, ``ntu60_2d.pkl``, ``gym_2d.pkl``, ...): a dictionary of
    ``split`` and ``annotations`` (or ``annos``), or a bare list of annotations, or a
    single one.

    An annotation has ``keypoint`` :math:`(M, T, V, C)`, ``label``, ``frame_dir`` (or
    ``filename``), ``total_frames``, and in 2D ``keypoint_score`` and ``img_shape``.
    It is called by the whole of its ``frame_dir``; a ``label`` of -1 is none.

    The pickle is read without trust: one that holds anything but arrays and plain
    containers is refused.

    Args:
        path (str or path): The pickle.
        first_label (int, optional): See :func:`read`.

    Raises:
        SkeletonDataError: If it is no such pickle, or two annotations have one name.
    """

    format = 'MMAction2 and PYSKL pickle'
    options = ('first_label',)

    def __init__(self, path: str | PathLike, **options: Any) -> None:
        super().__init__(path, **options)
        raw, where = read_bytes(path), printable(path)
        self._num_bytes = len(raw)
        self._annotations, splits = _annotations(unpickle(raw, where), where)
        self.names = [
            _name(annotation, index, where)
            for index, annotation in enumerate(self._annotations)
        ]
        check_unique(self.names, lambda index: f'{where}: annotation {index}')
        self.splits = _splits(splits, where)
        self._check_labels(where)
        self.skeleton = self._find_skeleton()

    def read(self, index: int) -> SkeletonSequence:
        """Reads one annotation."""
        name = self.names[index]
        where = printable(f'{self.path}: {name}')
        return _sequence(
            self._annotations[index], name, where, self.first_label, self._num_bytes
        )

    def _check_labels(self, where: str) -> None:
        labels = [annotation.get('label') for annotation in self._annotations]
        plain = [
            int(label)
            for label in labels
            if isinstance(label, int | np.integer) and not isinstance(label, bool)
        ]
        known = [label for label in plain if label >= 0]
        actions = [
            sample.action for sample in map(SampleName.parse, self.names) if sample
        ]
        if not actions:
            check_first_label(known, self.first_label, where)
        elif known == actions and self.first_label is None:
            raise SkeletonDataError(
                f"'{where}': all labels are the actions of NTU RGB+D that names tell, "
                f'which count from 1. Say so with first_label=1'
            )

    def _find_skeleton(self) -> str | None:
        """The joints that these pickles have: NTU RGB+D's, COCO's or OpenPose's."""
        first = self._annotations[0] if self._annotations else {}
        shape = np.shape(first['keypoint']) if _is_array(first.get('keypoint')) else ()
        return _SKELETONS.get(shape[-2:])


# By joints and dimensions. Others need to be named.
_SKELETONS: dict[tuple[int, ...], str] = {
    (25, 3): 'ntu-rgb+d',
    (17, 2): 'coco-17',
    (18, 2): 'openpose-18',
}


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _annotations(content: Any, path: str) -> tuple[list[Mapping], Any]:
    splits: Any = {}
    if isinstance(content, dict) and 'keypoint' in content:
        content = [content]
    elif isinstance(content, dict):
        splits = content.get('split', {})
        content = content.get('annotations', content.get('annos'))
    if not isinstance(content, list | tuple) or not all(
        isinstance(annotation, dict) for annotation in content
    ):
        raise SkeletonDataError(
            f"'{path}' is no pickle of MMAction2 or PYSKL: expected a dictionary with "
            f"'annotations', or a list of annotations (got {type(content).__name__})"
        )
    return list(content), splits


def _name(annotation: Mapping, index: int, path: str) -> str:
    name = annotation.get('frame_dir', annotation.get('filename'))
    if not isinstance(name, str):
        raise SkeletonDataError(
            f"'{path}': annotation {index} has neither 'frame_dir' nor 'filename', a "
            f'string that identifies it'
        )
    return as_name(name.removesuffix('.skeleton'), f'{path}: annotation {index}')


def _splits(splits: Any, path: str) -> dict[str, list[str]]:
    if not isinstance(splits, dict) or not all(
        isinstance(key, str)
        and isinstance(names, list | tuple | np.ndarray)
        and np.ndim(names if _is_array(names) else ()) == 1
        and all(isinstance(name, str) for name in names)
        for key, names in splits.items()
    ):
        raise SkeletonDataError(
            f"'{path}': expected 'split' to hold lists of identifiers under names"
        )
    return {
        as_name(key, f'{path}: split'): [
            str(name).removesuffix('.skeleton') for name in names
        ]
        for key, names in splits.items()
    }


def _sequence(
    annotation: Mapping, name: str, where: str, first_label: int | None, num_bytes: int
) -> SkeletonSequence:
    if 'raw_file' in annotation and 'keypoint' not in annotation:
        raise SkeletonDataError(
            f"'{where}' refers to key points in another file, 'raw_file', as "
            f"PYSKL's Kinetics-400 does; unpack these first"
        )
    keypoint = as_floats(annotation.get('keypoint'), f'{where}: keypoint')
    if keypoint.ndim != 4 or keypoint.shape[3] not in (2, 3):
        raise SkeletonDataError(
            f"'{where}': expected 'keypoint' of shape [persons, frames, joints, 2 or "
            f'3] (got {list(keypoint.shape)})'
        )
    check_array(keypoint.shape, 4, num_bytes, where)
    score = annotation.get('keypoint_score')
    if score is not None:
        score = as_floats(score, f'{where}: keypoint_score', group=1)
    if score is not None and score.shape != keypoint.shape[:3]:
        raise SkeletonDataError(
            f"'{where}': expected 'keypoint_score' of shape "
            f'{list(keypoint.shape[:3])} (got {list(score.shape)})'
        )
    frames = as_whole(annotation.get('total_frames'), f'{where}: total_frames')
    if frames is not None and frames != keypoint.shape[1]:
        raise SkeletonDataError(
            f"'{where}': 'total_frames' is {frames}, but 'keypoint' has "
            f'{keypoint.shape[1]} frames'
        )
    return SkeletonSequence(
        keypoint,
        name,
        score=score,
        label=as_label(annotation.get('label'), where, first_label),
        image_size=as_image_size(annotation.get('img_shape'), where),
        path=where,
    )
