from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import overload

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.files import Files
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.skeletons import Skeleton, skeleton, skeleton_names


class Reader(Sequence[SkeletonSequence], ABC):
    r"""The recordings that a file, an archive or a folder holds; each is read when it
    is asked for. A reader can be sent to other processes.

    Args:
        path (str or path): The file, archive or folder.
        layout (str, optional): See :func:`read`.
        coordinates (str, optional): See :func:`read`.
        first_label (int, optional): See :func:`read`.

    Attributes:
        path (Path): The file, archive or folder.
        names (sequence of str): The names of the recordings, no two alike: for files
            of a recording each, the path below :obj:`path`, without the ending.
        splits (mapping of str to sequence of str): For each split that the file
            defines, the names in it.
        classes (sequence of str): The names of the classes in the order of labels,
            empty where the format has none.
    """

    #: What messages call the format.
    format: str
    #: The name of the skeleton of all recordings, where the format tells it.
    skeleton: str | None = None

    #: The joints that the files hold, by name, where :func:`read` may take some of
    #: them alone, as another skeleton has them.
    holds: Sequence[str] = ()
    #: Which of the arguments of :func:`read` it takes.
    options: tuple[str, ...] = ()

    def __init__(
        self,
        path: str | PathLike,
        layout: str | None = None,
        coordinates: str | None = None,
        first_label: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.layout = layout
        self.coordinates = coordinates
        self.first_label = first_label
        self.names: Sequence[str] = ()
        self._order: list[int] = []
        self.splits: Mapping[str, Sequence[str]] = {}
        self.classes: Sequence[str] = ()

    def choose(self, chosen: Skeleton) -> bool:
        """Takes the joints of a skeleton alone, by their names, if the files hold them
        all."""
        place = {joint: v for v, joint in enumerate(self.holds)}
        if not all(joint in place for joint in chosen.joints):
            return False
        self._order = [place[joint] for joint in chosen.joints]
        known = chosen.name in skeleton_names() and skeleton(chosen.name) is chosen
        self.skeleton = chosen.name if known else None
        return True

    def picked(self, x: np.ndarray) -> np.ndarray:
        """Of all joints, the first dimension, those that were chosen."""
        return x[self._order] if self._order else x

    @abstractmethod
    def read(self, index: int) -> SkeletonSequence:
        """Reads one recording.

        Raises:
            SkeletonDataError: If it is not what it should be.
        """

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
    """A reader of a file for each recording: of one, or of those in a folder or a zip
    archive."""

    def __init__(self, path: str | PathLike, suffix: str) -> None:
        super().__init__(path)
        self.files = Files(path)
        self._set_members(self.files.ending(suffix))

    def _set_members(self, members: Sequence[str]) -> None:
        self._members = members
        names = [PurePosixPath(member) for member in members]
        self.names = [str(name.with_suffix('')) for name in names]

    def content(self, index: int) -> tuple[bytes, str]:
        """The content of a recording's file, and what messages call the file."""
        member = self._members[index]
        return self.files.read(member), self.files.where(member)


def check_unique(names: Sequence[str], place: Callable[[int], str]) -> None:
    """Refuses recordings of the same name; the message says where both are.

    Args:
        names (sequence of str): The names.
        place (callable): What messages call the recording of an index.
    """
    if len(set(names)) == len(names):
        return
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in seen:
            raise SkeletonDataError(
                f"Two recordings are called '{printable(name, 200)}': "
                f"'{place(seen[name])}' and '{place(index)}'. Give them names that "
                f'differ, or leave one out'
            )
        seen[name] = index
