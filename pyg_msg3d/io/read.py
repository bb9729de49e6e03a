"""Finding out what a path holds."""

from os import PathLike
from pathlib import Path

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.io.arrays import open_npz
from pyg_msg3d.io.ctrgcn import CTRGCNReader
from pyg_msg3d.io.files import Files
from pyg_msg3d.io.folder import FolderReader
from pyg_msg3d.io.jsons import parse_json
from pyg_msg3d.io.kinetics import KineticsReader
from pyg_msg3d.io.mmaction2 import MMAction2Reader
from pyg_msg3d.io.ntu import NTUReader
from pyg_msg3d.io.nw_ucla import NWUCLAReader
from pyg_msg3d.io.official import OfficialReader, label_file
from pyg_msg3d.io.openpose import OpenPoseReader
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.recording import RecordingReader

_KNOWN = """\
    .skeleton files of NTU RGB+D, a folder or the zip archive of them
    .pkl of MMAction2 and PYSKL
    .npy with _label.pkl beside it, of the authors of MS-G3D
    .npz of CTR-GCN (x_train, y_train, x_test, y_test)
    kinetics_train and kinetics_val with their _label.json, or one clip of them
    all_sqe.zip or the unpacked folder of NW-UCLA, or one sequence of it
    a folder of OpenPose's JSON files, one per frame
    .npy, .npz or .json of key points or of MediaPipe's landmarks
    a folder with labels.csv (columns file, label, split)"""


def read(path: str | PathLike) -> Reader:
    r"""Recognises what a file, archive or folder holds and gives its recordings.

    Args:
        path (str or path): A file, an archive or a folder, of any format below.

    Returns:
        A sequence of :class:`SkeletonSequence`, each read when it is asked for, with
        their :obj:`names` and, where the format has them, :obj:`splits` and
        :obj:`classes`.

    Raises:
        FileNotFoundError: If there is nothing.
        SkeletonDataError: If it is of no known format, or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no '{path}'")
    if path.is_dir() or path.suffix.lower() == '.zip':
        kind = _recognise_many(path)
    else:
        kind = _recognise_file(path)
    if kind is None:
        raise SkeletonDataError(f"'{path}' is of no known format. Known are:\n{_KNOWN}")
    return kind(path)


def _recognise_many(path: Path) -> type[Reader] | None:
    if (path / 'labels.csv').is_file():
        return FolderReader
    files = Files(path)
    if files.ending('.skeleton'):
        return NTUReader
    if path.is_dir() and any(path.glob('*_data_joint.npy')):
        return OfficialReader
    documents = files.ending('.json')
    if any(name.endswith('_label.json') for name in documents):
        return KineticsReader
    if documents:
        first = documents[0]
        return _recognise_json(files.read(first), files.where(first))
    return None


def _recognise_file(path: Path) -> type[Reader] | None:
    suffix = path.suffix.lower()
    if suffix == '.json':
        return _recognise_json(path.read_bytes(), str(path)) or RecordingReader
    if suffix == '.npy':
        return OfficialReader if label_file(path).is_file() else RecordingReader
    if suffix == '.npz':
        return CTRGCNReader if 'x_train' in open_npz(path) else RecordingReader
    return {
        '.skeleton': NTUReader,
        '.pkl': MMAction2Reader,
        '.pickle': MMAction2Reader,
    }.get(suffix)


def _recognise_json(content: bytes, where: str) -> type[Reader] | None:
    record = parse_json(content, where)
    kinds = {
        'data': KineticsReader,
        'skeletons': NWUCLAReader,
        'people': OpenPoseReader,
    }
    if not isinstance(record, dict):
        return None
    return next((kind for key, kind in kinds.items() if key in record), None)
