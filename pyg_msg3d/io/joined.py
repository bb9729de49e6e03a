from collections.abc import Sequence
from os import PathLike
from typing import Any

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.read import read
from pyg_msg3d.io.reader import Reader, check_unique
from pyg_msg3d.io.sequence import SkeletonSequence


class JoinedReader(Reader):
    r"""The recordings of several paths, one after the other; of splits with the same
    name, too.

    Args:
        paths (sequence of paths): What :func:`read` knows.
        **options (optional): Arguments of :func:`read`.

    Raises:
        SkeletonDataError: If two of them hold recordings of the same name, or have
            other classes.
    """

    format = 'several files'

    def __init__(self, paths: Sequence[str | PathLike], **options: Any) -> None:
        super().__init__(paths[0])
        self._readers = [read(path, **options) for path in paths]
        self._places = [
            (reader, index) for reader in self._readers for index in range(len(reader))
        ]
        self.names = [name for reader in self._readers for name in reader.names]
        check_unique(self.names, lambda index: str(self._places[index][0].path))
        splits: dict[str, list[str]] = {}
        for reader in self._readers:
            for split, names in reader.splits.items():
                splits.setdefault(split, []).extend(names)
            self._take_classes(reader)
        self.splits = splits
        skeletons = {reader.skeleton for reader in self._readers}
        self.skeleton = skeletons.pop() if len(skeletons) == 1 else None

    def _take_classes(self, reader: Reader) -> None:
        ours, theirs = list(self.classes), list(reader.classes)
        if ours and theirs and ours != theirs:
            raise SkeletonDataError(
                f"'{printable(reader.path)}' has other classes than "
                f"'{printable(self.path)}': {printable(theirs, 200)} and "
                f'{printable(ours, 200)}. Read them one by one, or name the classes in '
                f'one labels.csv'
            )
        self.classes = ours or theirs

    def read(self, index: int) -> SkeletonSequence:
        """Reads one recording."""
        reader, place = self._places[index]
        return reader.read(place)
