from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import overload

from pyg_msg3d.io.files import Files
from pyg_msg3d.io.sequence import SkeletonSequence


class Reader(Sequence[SkeletonSequence], ABC):
    r"""The recordings that a file, an archive or a folder holds; each is read when it
    is asked for. A reader can be sent to other processes.

    Args:
        path (str or path): The file, archive or folder.

    Attributes:
        path (Path): The file, archive or folder.
        names (sequence of str): The names of the recordings.
        splits (mapping of str to sequence of str): For each split that the file
            defines, the names in it.
        classes (sequence of str): The names of the classes in the order of labels,
            empty where the format has none.
    """

    #: What messages call the format.
    format: str

    def __init__(self, path: str | PathLike) -> None:
        self.path = Path(path)
        self.names: Sequence[str] = ()
        self.splits: Mapping[str, Sequence[str]] = {}
        self.classes: Sequence[str] = ()

    @abstractmethod
    def read(self, index: int) -> SkeletonSequence:
        """Reads one recording.

        Raises:
            SkeletonDataError: If it is not what it should be.
        """

    def signature(self, index: int) -> str:
        """What differs when a recording has changed, without reading it: the size of
        its file, where it has one of its own."""
        return ''

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> SkeletonSequence: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[SkeletonSequence]: ...
    def __getitem__(
        self, index: int | slice
    ) -> SkeletonSequence | Sequence[SkeletonSequence]:
        if isinstance(index, slice):
            return [self.read(i) for i in range(len(self))[index]]
        return self.read(range(len(self))[index])

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}('{self.path}', {len(self)})"


class FilesReader(Reader):
    """A reader of a file for each recording, named after it: of one, or of those in a
    folder or a zip archive."""

    def __init__(self, path: str | PathLike, suffix: str) -> None:
        super().__init__(path)
        self.files = Files(path)
        self._set_members(self.files.ending(suffix))

    def _set_members(self, members: Sequence[str]) -> None:
        self._members = members
        self.names = [PurePosixPath(member).stem for member in members]

    def content(self, index: int) -> tuple[bytes, str]:
        """The content of a recording's file, and what messages call the file."""
        member = self._members[index]
        return self.files.read(member), self.files.where(member)

    def signature(self, index: int) -> str:
        """The bytes of the file."""
        return str(self.files.size(self._members[index]))
