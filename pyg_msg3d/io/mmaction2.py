"""The pickles of MMAction2 and PYSKL."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io.fields import as_floats, as_image_size, as_whole
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.io.unpickle import unpickle


class MMAction2Reader(Reader):
    r"""A pickle of annotations as MMAction2 and PYSKL distribute them, 2D or 3D
    (``ntu60_3danno.pkl``, ``ntu60_2d.pkl``, ``gym_2d.pkl``, ...): a dictionary of
    ``split`` and ``annotations`` (or ``annos``), or a bare list of annotations, or a
    single one.

    An annotation has ``keypoint`` :math:`(M, T, V, C)`, ``label``, ``frame_dir`` (or
    ``filename``), ``total_frames``, and in 2D ``keypoint_score`` and ``img_shape``.

    The pickle is read without trust: one that holds anything but arrays and plain
    containers is refused.

    Args:
        path (str or path): The pickle.

    Raises:
        SkeletonDataError: If it is no such pickle.
    """

    format = 'MMAction2 and PYSKL pickle'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path)
        content = unpickle(Path(path).read_bytes(), str(path))
        self._annotations, splits = _annotations(content, str(path))
        self.names = [
            _name(annotation, index, str(path))
            for index, annotation in enumerate(self._annotations)
        ]
        self.splits = _splits(splits, str(path))

    def read(self, index: int) -> SkeletonSequence:
        """Reads one annotation."""
        where = f'{self.path}: {self.names[index]}'
        return _sequence(self._annotations[index], self.names[index], where)


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
    return PurePath(name).name.removesuffix('.skeleton')


def _splits(splits: Any, path: str) -> dict[str, list[str]]:
    if not isinstance(splits, dict) or not all(
        isinstance(key, str)
        and isinstance(names, list | tuple | np.ndarray)
        and all(isinstance(name, str) for name in names)
        for key, names in splits.items()
    ):
        raise SkeletonDataError(
            f"'{path}': expected 'split' to hold lists of identifiers under names"
        )
    return {
        str(key): [PurePath(str(name)).name.removesuffix('.skeleton') for name in names]
        for key, names in splits.items()
    }


def _sequence(annotation: Mapping, name: str, where: str) -> SkeletonSequence:
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
    score = annotation.get('keypoint_score')
    if score is not None:
        score = as_floats(score, f'{where}: keypoint_score')
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
        label=as_whole(annotation.get('label'), where),
        image_size=as_image_size(annotation.get('img_shape'), where),
        path=where,
    )
