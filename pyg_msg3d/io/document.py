from os import PathLike
from typing import Any

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.bodies_reader import BodiesReader
from pyg_msg3d.io.documents import Bodies, bodies_of_frame, frames_of_document
from pyg_msg3d.io.files import read_bytes
from pyg_msg3d.io.jsons import parse_json
from pyg_msg3d.io.reader import check_unique
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.io.tracks import Tracks


class DocumentReader(BodiesReader):
    r"""A JSON document of many frames, as AlphaPose, COCO's tools, MMPose, ultralytics
    and MediaPipe's users write it; see :mod:`pyg_msg3d.io.documents`. Images whose
    names differ in the number alone are the frames of one video.

    Args:
        path (str or path): The file.

    Raises:
        SkeletonDataError: If it is not what it should be.
    """

    format = 'frames as JSON'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path)
        where = printable(path)
        content = read_bytes(path)
        self._num_bytes = len(content)
        found = frames_of_document(parse_json(content, where), where)
        if found is None:
            raise SkeletonDataError(f"'{where}' holds no frames of key points")
        self._videos: list[dict[int, Any]] = []
        names = []
        for video in sorted(found):
            names.append(video.strip('_.- ') if len(found) > 1 else self.path.stem)
            self._videos.append(found[video])
        self.names = [name or self.path.stem for name in names]
        if len(set(self.names)) < len(names):
            self.names = [video or self.path.stem for video in sorted(found)]
        check_unique(self.names, lambda index: where)
        self._take_joints(
            self._bodies(frames[number], f'{where}: frame {number}')
            for frames in self._videos
            for number in sorted(frames)
        )

    def _bodies(self, frame: Any, where: str) -> Bodies:
        found = bodies_of_frame([] if frame is None else frame, where)
        if found is None:
            raise SkeletonDataError(f"'{where}' is no frame of key points")
        return found

    def read(self, index: int) -> SkeletonSequence:
        """Reads one video."""
        where = printable(f'{self.path}: {self.names[index]}')
        frames = self._videos[index]
        first, tracks, dims = min(frames), Tracks(where), 2
        for number in sorted(frames):
            place = f'{printable(self.path)}: frame {number}'
            found = self._bodies(frames[number], place)
            dims = found.dims or dims
            self._add(tracks, number - first, found, place)
        joints = len(self._order) or len(self.holds)
        if not joints:
            raise SkeletonDataError(f"'{where}': there is nobody in any of its frames")
        x, score, ids = tracks.arrays(
            max(frames) - first + 1, joints, dims, self._num_bytes
        )
        return SkeletonSequence(x, self.names[index], score, body_ids=ids, path=where)
