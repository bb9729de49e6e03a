from os import PathLike
from typing import Any

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.arrays import open_npy
from pyg_msg3d.io.fields import as_floats
from pyg_msg3d.io.layout import split_score, to_mtvc
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.sequence import SkeletonSequence

_COORDINATES = (2, 3)


class BatchReader(Reader):
    r"""An array of many clips without labels, ``.npy``: :math:`(N, C, T, V, M)`, as
    ST-GCN and its successors have them, or :math:`(N, M, T, V, C)`. Clips are called by
    the file and their number.

    Args:
        path (str or path): The file.
        layout (str, optional): See :func:`read`; ``'NCTVM'``, say.
        coordinates (str, optional): See :func:`read`.

    Raises:
        SkeletonDataError: If it is no such array, or may be either.
    """

    format = 'an array of clips (.npy)'
    options = ('layout', 'coordinates')

    def __init__(self, path: str | PathLike, **options: Any) -> None:
        super().__init__(path, **options)
        self._array = open_npy(path)
        shape, where = self._array.shape, printable(path)
        if self.layout is None:
            if len(shape) != 5:
                raise SkeletonDataError(
                    f"'{where}': expected five dimensions (got {list(shape)})"
                )
            first, last = shape[1] in _COORDINATES, shape[4] in _COORDINATES
            if first == last:
                raise SkeletonDataError(
                    f"'{where}': an array {list(shape)} may be [clips, coordinates, "
                    f"frames, joints, persons] (layout='NCTVM') or [clips, persons, "
                    f"frames, joints, coordinates] (layout='NMTVC'); say which with "
                    f'layout=...'
                )
            self.layout = 'NCTVM' if first else 'NMTVC'
        if not self.layout.startswith('N') or len(self.layout) != len(shape):
            raise SkeletonDataError(
                f"'{where}': 'layout' must name the {len(shape)} dimensions once each, "
                f'N (clips) first, then M (persons), T (frames), V (joints) and C '
                f'(coordinates) (got {self.layout[:40]!r})'
            )
        width = len(str(max(0, len(self._array) - 1)))
        self.names = [
            f'{self.path.stem}/{i:0{width}d}' for i in range(len(self._array))
        ]

    def read(self, index: int) -> SkeletonSequence:
        """Reads one clip."""
        where = printable(f'{self.path}: clip {index}')
        assert self.layout is not None
        x = to_mtvc(as_floats(self._array[index], where), self.layout[1:], where)
        x, score = split_score(x, self.coordinates, where)
        return SkeletonSequence(x, self.names[index], score, path=where)
