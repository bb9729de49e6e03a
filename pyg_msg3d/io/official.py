"""The arrays that the authors of MS-G3D make, as those of ST-GCN and 2s-AGCN do."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.arrays import StoredArray, open_npy
from pyg_msg3d.io.fields import as_label, as_name, check_first_label
from pyg_msg3d.io.files import read_bytes
from pyg_msg3d.io.ntu import SampleName
from pyg_msg3d.io.reader import Reader, check_unique
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.io.unpickle import unpickle

_KINETICS_JOINTS = 18
_SKELETONS = {25: 'ntu-rgb+d', 18: 'openpose-18'}


class OfficialReader(Reader):
    r"""``{train,val}_data_joint.npy`` :math:`(N, C, T, V, M)` beside
    ``{train,val}_label.pkl``, names and labels, as the authors' ``data_gen`` writes
    them for NTU RGB+D and Kinetics-skeleton. Clips are read when they are asked for.

    With 18 joints (Kinetics) the third channel is the score.

    Args:
        path (str or path): The array, or a folder with the arrays of several splits.
        first_label (int, optional): See :func:`read`.

    Raises:
        FileNotFoundError: If there is no such array, or no labels beside it.
        SkeletonDataError: If they are not what they should be, or two clips have one
            name.
    """

    format = "the authors' .npy with _label.pkl"

    options = ('first_label',)

    def __init__(self, path: str | PathLike, **options: Any) -> None:
        super().__init__(path, **options)
        if self.path.is_dir():
            files = sorted(self.path.glob('*_data_joint.npy'))
            if not files:
                raise FileNotFoundError(
                    f"Found no *_data_joint.npy in '{printable(path)}'"
                )
        else:
            files = [self.path]
        self._arrays: list[StoredArray] = []
        self._places: list[tuple[int, int]] = []
        self._labels: list[int | None] = []
        self.names, self.splits = [], {}
        for file in files:
            split = file.name.split('_')[0]
            names, labels = _read_labels(label_file(file), self.first_label)
            array = open_npy(file)
            if array.ndim != 5 or array.shape[1] != 3 or array.dtype.kind not in 'fiu':
                raise SkeletonDataError(
                    f"'{file}': expected an array of numbers [clips, 3 channels, "
                    f'frames, joints, persons] (got {array.dtype}, {list(array.shape)})'
                )
            if len(names) != len(array):
                raise SkeletonDataError(
                    f"'{file}' has {len(array)} clips, but '{label_file(file)}' "
                    f'{len(names)} names'
                )
            self._places += [(len(self._arrays), index) for index in range(len(names))]
            self._arrays.append(array)
            self.names += names
            self._labels += labels
            self.splits[split] = names
        check_unique(self.names, self._place)
        self.skeleton = _SKELETONS.get(self._arrays[0].shape[3])

    def _place(self, index: int) -> str:
        which, place = self._places[index]
        return printable(f'{self._arrays[which].path}: clip {place}')

    def read(self, index: int) -> SkeletonSequence:
        """Reads one clip."""
        which, place = self._places[index]
        x = self._arrays[which][place].transpose(3, 1, 2, 0)
        x = np.array(x, np.float32, order='C')
        score = None
        if x.shape[2:] == (_KINETICS_JOINTS, 3):
            x, score = np.ascontiguousarray(x[..., :2]), x[..., 2].copy()
        return SkeletonSequence(
            x,
            name := self.names[index],
            score=score,
            label=self._labels[index],
            path=printable(f'{self.path}: {name}'),
        )


def label_file(array: Path) -> Path:
    """Where the names and labels of an array lie."""
    return array.with_name(f'{array.name.split("_")[0]}_label.pkl')


def _read_labels(
    path: Path, first_label: int | None
) -> tuple[list[str], list[int | None]]:
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no '{printable(path)}', the names and labels of the array "
            f'beside it'
        )
    where = printable(path)
    content = unpickle(read_bytes(path), where)
    if (
        not isinstance(content, list | tuple)
        or len(content) != 2
        or not all(
            isinstance(part, list | tuple)
            or (isinstance(part, np.ndarray) and part.ndim == 1)
            for part in content
        )
        or len(content[0]) != len(content[1])
        or not all(isinstance(name, str) for name in content[0])
    ):
        raise SkeletonDataError(
            f"'{where}': expected a pair of equally long lists, names and labels"
        )
    names = [
        as_name(str(name).removesuffix('.skeleton').removesuffix('.json'), where)
        for name in content[0]
    ]
    if not any(map(SampleName.parse, names)):
        labels = [as_label(label, where) for label in content[1]]
        check_first_label(labels, first_label, where)
    return names, [as_label(label, where, first_label) for label in content[1]]
