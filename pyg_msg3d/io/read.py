"""Finding out what a path holds."""

from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.batch import BatchReader
from pyg_msg3d.io.files import Files
from pyg_msg3d.io.folder import FolderReader
from pyg_msg3d.io.frame_files import FrameFilesReader
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.recognise import recognise_file, recognise_frames
from pyg_msg3d.io.recording import RecordingReader
from pyg_msg3d.skeletons import Skeleton
from pyg_msg3d.skeletons import skeleton as look_up

_KNOWN = """\
    .skeleton and .skeleton.npy files of NTU RGB+D, a folder or the zip archive of them
    .pkl of MMAction2 and PYSKL
    .npy with _label.pkl beside it, of the authors of MS-G3D
    .npz of CTR-GCN (x_train, y_train, x_test, y_test)
    kinetics_train and kinetics_val with their _label.json, or one clip of them
    all_sqe.zip or the unpacked folder of NW-UCLA, or one sequence of it
    a folder of JSON files, one per frame: OpenPose, Pose2Sim, EasyMocap, MMPose, ...
    .json of AlphaPose, COCO results, MMPose, ultralytics, MediaPipe
    MP_Data: class/sequence/frame.npy, MediaPipe's landmarks as rows of numbers
    .csv of key points by name or number: MediaPipe, Kinect v2
    UTD-MHAD (.mat), MSR Action3D and UTKinect (.txt), .pose
    .npy, .npz or .json of key points or of MediaPipe's landmarks, of one clip or many
    a folder with labels.csv (columns file, label, split), or with a folder per class"""


def read(
    path: str | PathLike,
    layout: str | None = None,
    coordinates: str | None = None,
    first_label: int | None = None,
    skeleton: str | Skeleton | None = None,
) -> Reader:
    r"""Recognises what a file, archive or folder holds and gives its recordings.

    What a file does not tell is asked for, or assumed and said once
    (:class:`~pyg_msg3d.data.SkeletonDataWarning`); these arguments settle it.

    Args:
        path (str or path): A file, an archive or a folder, of any format below.
        layout (str, optional): What the dimensions of a user's own arrays are, a letter
            each: ``'MTVC'`` for persons, frames, joints and coordinates, ``'TVC'``
            without persons, ``'CTVM'`` as ST-GCN has them.
        coordinates (str, optional): What the numbers of a joint are in a user's own
            arrays: ``'xy'``, ``'xyz'``, or with a confidence ``'xyc'``, ``'xyzc'``.
        first_label (int, optional): The number of the first class in the files,
            :obj:`0` or :obj:`1`.
        skeleton (str or Skeleton, optional): Whose joints are wanted, where files hold
            more than are taken: ``'openpose-67'`` of OpenPose with hands, say. Files
            that hold no joints of such names are given as they are.

    Returns:
        A sequence of :class:`SkeletonSequence`, each read when it is asked for, with
        their :obj:`names` and, where the format has them, :obj:`splits` and
        :obj:`classes`. A file of one recording is looked through at once.

    Raises:
        FileNotFoundError: If there is nothing.
        SkeletonDataError: If it is of no known format, or damaged, or may be read in
            several ways; the message names them.
        ValueError: If the format leaves open nothing that an argument settles.
    """
    path = Path(path)
    where = printable(path)
    if not _exists(path):
        raise FileNotFoundError(f"There is no '{where}'")
    if path.is_dir() or path.suffix.lower() == '.zip':
        kind = _recognise_many(path)
    else:
        kind = recognise_file(path)
    many = layout is not None and layout.startswith('N')
    if many and kind is RecordingReader and path.suffix.lower() == '.npy':
        kind = BatchReader
    if kind is None:
        raise SkeletonDataError(
            f"'{where}' is of no known format. Known are:\n{_KNOWN}"
        )
    given: dict[str, Any] = {
        'layout': layout,
        'coordinates': coordinates,
        'first_label': first_label,
    }
    given = {name: value for name, value in given.items() if value is not None}
    useless = [name for name in given if name not in kind.options]
    if useless:
        raise ValueError(
            f"'{where}' is {kind.format}, which leaves nothing open for "
            f'{", ".join(useless)}'
        )
    reader: Reader = kind(path, **given)
    if skeleton is not None:
        reader.choose(look_up(skeleton))
    if len(reader) == 1 and path.is_file() and path.suffix.lower() != '.zip':
        reader.read(0)  # So that what is wrong with it comes out here.
    return reader


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # Such as a name that is too long.
        raise SkeletonDataError(
            f"'{printable(path)}' cannot be read ({error.strerror})"
        ) from error


def _recognise_many(path: Path) -> type[Reader] | None:
    if (path / 'labels.csv').is_file():
        return FolderReader
    files = Files(path)
    kind = recognise_frames(path, files)
    if kind is FrameFilesReader and path.is_dir() and _in_classes(files):
        return FolderReader
    if kind is None and path.is_dir() and FolderReader.fits(path):
        return FolderReader
    return kind


def _in_classes(files: Files) -> bool:
    """Whether frames lie in a folder for each recording, and these in a folder for each
    class."""
    places = [PurePosixPath(name).parts for name in files.ending('.json')]
    return all(len(parts) > 2 for parts in places) and (
        len({parts[0] for parts in places}) > 1
    )
