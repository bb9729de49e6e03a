"""The archives of arrays that CTR-GCN and its descendants read."""

from os import PathLike

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.arrays import StoredArray, open_npz
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.sequence import SkeletonSequence

_PERSONS, _JOINTS = 2, 25
_WIDTH = _PERSONS * _JOINTS * 3

Array = StoredArray | np.ndarray


class CTRGCNReader(Reader):
    r"""``NTU60_CS.npz`` and its like, as CTR-GCN, InfoGCN and others use it:
    ``x_train`` and ``x_test`` of shape :math:`(N, 300, 150)`, two persons of 25
    joints, and ``y_train`` and ``y_test``, one-hot. Clips of uncompressed archives are
    read when they are asked for.

    The zero frames that fill a clip to 300 are dropped. The clips have no names; they
    are called ``train_000000`` and so on.

    Args:
        path (str or path): The archive.

    Raises:
        SkeletonDataError: If it is no such archive.
    """

    format = "CTR-GCN's .npz"
    skeleton = 'ntu-rgb+d'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path)
        arrays = open_npz(path)
        self._arrays: dict[str, tuple[Array, Array]] = {}
        self._places: list[tuple[str, int]] = []
        self.names, self.splits = [], {}
        for split in ('train', 'test'):
            if f'x_{split}' not in arrays or f'y_{split}' not in arrays:
                raise SkeletonDataError(
                    f"'{path}': expected the arrays x_train, y_train, x_test and "
                    f'y_test (got {printable(", ".join(list(arrays)[:10]))})'
                )
            x, y = arrays[f'x_{split}'], arrays[f'y_{split}']
            if x.ndim != 3 or x.shape[2] != _WIDTH or x.dtype.kind != 'f':
                raise SkeletonDataError(
                    f"'{path}': expected x_{split} of shape [clips, frames, {_WIDTH} "
                    f'= 2 persons x 25 joints x 3] (got {list(x.shape)}, {x.dtype})'
                )
            if y.ndim != 2 or len(y) != len(x) or y.dtype.kind not in 'biuf':
                raise SkeletonDataError(
                    f"'{path}': expected y_{split} of shape [{len(x)} clips, classes] "
                    f'(got {list(y.shape)}, {y.dtype})'
                )
            self._arrays[split] = x, y
            self._places += [(split, index) for index in range(len(x))]
            names = [f'{split}_{index:06d}' for index in range(len(x))]
            self.names += names
            self.splits[split] = names

    def read(self, index: int) -> SkeletonSequence:
        """Reads one clip."""
        split, place = self._places[index]
        name = self.names[index]
        x, y = (array[place] for array in self._arrays[split])
        if np.count_nonzero(y) != 1:
            raise SkeletonDataError(
                f"'{self.path}: {name}': expected a one-hot label, one of "
                f'{len(y)} classes (got {np.count_nonzero(y)} marked)'
            )
        frames = np.flatnonzero(x.any(axis=1))
        x = x[: frames[-1] + 1 if len(frames) else 1]
        x = x.reshape(len(x), _PERSONS, _JOINTS, 3).swapaxes(0, 1)
        return SkeletonSequence(
            np.array(x, np.float32, order='C'),
            name,
            label=int(np.argmax(y)),
            path=printable(f'{self.path}: {name}'),
        )

    def __getstate__(self) -> dict:
        # Sent by path: arrays that were unpacked would be sent whole.
        return {'path': self.path}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state['path'])  # type: ignore[misc]
