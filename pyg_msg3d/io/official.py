"""The arrays that the authors of MS-G3D make, as those of ST-GCN and 2s-AGCN do."""

from os import PathLike
from pathlib import Path, PurePath

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io.arrays import open_npy
from pyg_msg3d.io.fields import as_whole
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.io.unpickle import unpickle

_KINETICS_JOINTS = 18


class OfficialReader(Reader):
    r"""``{train,val}_data_joint.npy`` :math:`(N, C, T, V, M)` beside
    ``{train,val}_label.pkl``, names and labels, as the authors' ``data_gen`` writes
    them for NTU RGB+D and Kinetics-skeleton. The array is mapped, not loaded.

    With 18 joints (Kinetics) the third channel is the score.

    Args:
        path (str or path): The array, or a folder with the arrays of several splits.

    Raises:
        FileNotFoundError: If there is no such array, or no labels beside it.
        SkeletonDataError: If they are not what they should be.
    """

    format = "the authors' .npy with _label.pkl"

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path)
        if self.path.is_dir():
            files = sorted(self.path.glob('*_data_joint.npy'))
            if not files:
                raise FileNotFoundError(f"Found no *_data_joint.npy in '{path}'")
        else:
            files = [self.path]
        self._arrays: list[np.ndarray] = []
        self._places: list[tuple[int, int]] = []
        self._labels: list[int | None] = []
        self.names, self.splits = [], {}
        for file in files:
            split = file.name.split('_')[0]
            names, labels = _read_labels(label_file(file))
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
            path=f'{self.path}: {name}',
        )

    def __getstate__(self) -> dict:
        # Sent by path: a mapped array would be sent whole.
        return {'path': self.path}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state['path'])  # type: ignore[misc]


def label_file(array: Path) -> Path:
    """Where the names and labels of an array lie."""
    return array.with_name(f'{array.name.split("_")[0]}_label.pkl')


def _read_labels(path: Path) -> tuple[list[str], list[int | None]]:
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no '{path}', the names and labels of the array beside it"
        )
    content = unpickle(path.read_bytes(), str(path))
    if (
        not isinstance(content, list | tuple)
        or len(content) != 2
        or not all(isinstance(part, list | tuple | np.ndarray) for part in content)
        or len(content[0]) != len(content[1])
        or not all(isinstance(name, str) for name in content[0])
    ):
        raise SkeletonDataError(
            f"'{path}': expected a pair of equally long lists, names and labels"
        )
    names = [
        PurePath(str(name)).name.removesuffix('.skeleton').removesuffix('.json')
        for name in content[0]
    ]
    return names, [as_whole(label, str(path)) for label in content[1]]
