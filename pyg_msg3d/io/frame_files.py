"""Folders of a file per frame: JSON documents that list the bodies in an image."""

import re
from os import PathLike
from pathlib import PurePosixPath

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.bodies_reader import BodiesReader
from pyg_msg3d.io.documents import Bodies, bodies_of_frame
from pyg_msg3d.io.files import Files
from pyg_msg3d.io.jsons import parse_json
from pyg_msg3d.io.numbering import split_name
from pyg_msg3d.io.reader import check_unique
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.io.tracks import Tracks

# Without a mark before it, a number is one of frames where it is this long, or where
# the word before it says so.
_LONG = 4
_WORDS = re.compile(r'(.*[_.\- ])?(frame|frm|img|image|f)', re.IGNORECASE)
# Pose2Sim's folders are called by the video and this.
_FOLDER_ENDING = '_json'


class FrameFilesReader(BodiesReader):
    r"""Folders of a JSON document per frame, ``<video>_<frame>_keypoints.json``, say,
    as OpenPose's ``--write_json`` leaves them, or with frames numbered in another way
    (``frame0001.json``, ``video-0001.json``): of OpenPose and Pose2Sim, EasyMocap's
    ``keypoints3d`` and ``annots``, MMPose, ultralytics and MediaPipe. Files of a folder
    that differ in the number alone are one video, called by the folder and what stands
    before the number.

    OpenPose's BODY_25 and COCO models are both given as the 18 joints of
    ``'openpose-18'``, in pixels, with scores; ``skeleton='openpose-25'`` takes all of a
    body, ``'openpose-67'`` both hands as well.

    A frame whose file is missing has nobody in it. Who is who is followed by
    :class:`~pyg_msg3d.io.tracks.Tracks`, unless the format tells it.

    Args:
        path (str or path): The folder, a zip archive of it, or the file of one frame.

    Raises:
        SkeletonDataError: If it is not what it should be, if a frame has two files, or
            if files may be videos of a frame each as well as frames of one.
    """

    format = 'JSON per frame'

    def __init__(self, path: str | PathLike) -> None:
        super().__init__(path)
        self.files = Files(path)
        videos: dict[tuple[str, str, str], dict[int, str]] = {}
        for member in self.files.ending('.json'):
            folder = str(PurePosixPath(member).parent)
            video, mark, frame = split_name(_stem(member))
            frames = videos.setdefault((folder, video, mark), {})
            if frame in frames:
                raise SkeletonDataError(
                    f"'{self.files.where(frames[frame])}' and "
                    f"'{self.files.where(member)}' are both frame {frame} of one video"
                )
            frames[frame] = member
        self.names: list[str] = []
        #: The files of each video's frames, by their numbers.
        self._frames: list[list[tuple[int, str]]] = []
        for folder, video, mark in sorted(videos):
            files = sorted(videos[folder, video, mark].items())
            if not mark and not _numbers_frames(video, files[0][1]):
                if len(files) > 1:
                    first, second = (self.files.where(files[i][1]) for i in (0, 1))
                    raise SkeletonDataError(
                        f"Are '{first}' and '{second}' two videos of one frame, or two "
                        f'frames of one video? Put videos into folders of their own, '
                        f'or number frames like {printable(video)}_0001.json'
                    )
                video = _stem(files[0][1])
            self.names.append(self._name(folder, video))
            self._frames.append(files)
        check_unique(self.names, lambda i: self.files.where(self._frames[i][0][1]))
        self._take_joints(
            self._read_frame(member)[0]
            for frames in self._frames
            for _, member in frames
        )

    def _name(self, folder: str, video: str) -> str:
        # Pose2Sim: cam01_json/cam01_000000.json.
        short = folder.removesuffix(_FOLDER_ENDING)
        if short != folder and short.rpartition('/')[2] == video:
            return short
        if folder == '.':
            own = self.path.name if self.path.is_dir() else self.path.stem
            return video or own
        return f'{folder}/{video}' if video else folder

    def _where(self, index: int) -> str:
        return printable(f'{self.path}: {self.names[index]}')

    def _read_frame(self, member: str) -> tuple[Bodies, int]:
        content, where = self.files.read(member), self.files.where(member)
        found = bodies_of_frame(parse_json(content, where), where)
        if found is None:
            raise SkeletonDataError(
                f"'{where}' is no frame of OpenPose, EasyMocap, MMPose, ultralytics or "
                f"MediaPipe: expected an object with 'people', or a list of bodies"
            )
        return found, len(content)

    def read(self, index: int) -> SkeletonSequence:
        """Reads one video."""
        frames = self._frames[index]
        first = frames[0][0]
        where = self._where(index)
        tracks, num_bytes, dims, size = Tracks(where), 0, 2, None
        for frame, member in frames:
            found, length = self._read_frame(member)
            num_bytes += length
            dims, size = found.dims or dims, found.image_size or size
            self._add(tracks, frame - first, found, self.files.where(member))
        joints = len(self._order) or len(self.holds) or 18
        x, score, ids = tracks.arrays(
            frames[-1][0] - first + 1, joints, dims, num_bytes
        )
        return SkeletonSequence(
            x, self.names[index], score, image_size=size, body_ids=ids, path=where
        )


def _stem(member: str) -> str:
    return PurePosixPath(member).stem.removesuffix('_keypoints')


def _numbers_frames(video: str, member: str) -> bool:
    """Whether a number right behind a video's name plainly counts frames."""
    digits = len(_stem(member)) - len(video)
    return not video or digits >= _LONG or _WORDS.fullmatch(video) is not None
