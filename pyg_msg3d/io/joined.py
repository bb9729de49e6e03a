from collections.abc import Sequence
from os import PathLike

from pyg_msg3d.io.read import read
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.sequence import SkeletonSequence


class JoinedReader(Reader):
    r"""The recordings of several paths, one after the other; of splits with the same
    name, too.

    Args:
        paths (sequence of paths): What :func:`read` knows.
    """

    format = 'several files'

    def __init__(self, paths: Sequence[str | PathLike]) -> None:
        super().__init__(paths[0])
        self._readers = [read(path) for path in paths]
        self._places = [
            (reader, index) for reader in self._readers for index in range(len(reader))
        ]
        self.names = [name for reader in self._readers for name in reader.names]
        splits: dict[str, list[str]] = {}
        for reader in self._readers:
            for split, names in reader.splits.items():
                splits.setdefault(split, []).extend(names)
            self.classes = self.classes or reader.classes
        self.splits = splits

    def read(self, index: int) -> SkeletonSequence:
        """Reads one recording."""
        reader, place = self._places[index]
        return reader.read(place)

    def signature(self, index: int) -> str:
        """What differs when a recording has changed."""
        reader, place = self._places[index]
        return reader.signature(place)
