"""Which format a file, or a folder of a file per frame, is of."""

import re
from pathlib import Path, PurePosixPath

from pyg_msg3d.data.errors import printable
from pyg_msg3d.io.arrays import open_npy, open_npz
from pyg_msg3d.io.batch import BatchReader
from pyg_msg3d.io.ctrgcn import CTRGCNReader
from pyg_msg3d.io.document import DocumentReader
from pyg_msg3d.io.documents import bodies_of_frame, frames_of_document
from pyg_msg3d.io.files import Files, read_bytes
from pyg_msg3d.io.frame_files import FrameFilesReader
from pyg_msg3d.io.jsons import parse_json
from pyg_msg3d.io.kinetics import KineticsReader
from pyg_msg3d.io.mmaction2 import MMAction2Reader
from pyg_msg3d.io.mp_data import MPDataReader, holds_frames
from pyg_msg3d.io.ntu import NTUReader
from pyg_msg3d.io.ntu_npy import NTUArrayReader
from pyg_msg3d.io.numbers_text import MSRAction3DReader, UTKinectReader, is_msr
from pyg_msg3d.io.nw_ucla import NWUCLAReader
from pyg_msg3d.io.object_array import holds_objects
from pyg_msg3d.io.official import OfficialReader, label_file
from pyg_msg3d.io.pose_file import PoseFileReader
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.recording import RecordingReader
from pyg_msg3d.io.table import TableReader
from pyg_msg3d.io.utd_mhad import UTDMHADReader

#: The endings of files that hold recordings; of text, names tell more.
ENDINGS = (
    '.npz', '.npy', '.json', '.skeleton', '.pkl', '.pickle', '.csv', '.tsv', '.mat',
    '.pose',
)  # fmt: skip
#: Of these, those that may hold several.
SEVERAL = ('.pkl', '.pickle', '.csv', '.tsv')
_UTKINECT = re.compile(r'joints_s\d{1,2}_e\d{1,2}', re.IGNORECASE)
# Documents of a folder that are opened to see what it holds.
_LOOKED_AT = 20


def recognise_file(path: Path) -> type[Reader] | None:
    """The reader of a file, or None if its format is not known."""
    suffix = path.suffix.lower()
    if suffix == '.json':
        content = read_bytes(path)
        return recognise_json(content, printable(path)) or RecordingReader
    if suffix == '.npy':
        if holds_objects(path):
            return NTUArrayReader
        if label_file(path).is_file() and path.name.endswith('_data_joint.npy'):
            return OfficialReader
        return BatchReader if open_npy(path).ndim == 5 else RecordingReader
    if suffix == '.npz':
        return CTRGCNReader if 'x_train' in open_npz(path) else RecordingReader
    if suffix == '.txt':
        if _UTKINECT.fullmatch(path.stem):
            return UTKinectReader
        return MSRAction3DReader if is_msr(path) else None
    kinds: dict[str, type[Reader]] = {
        '.skeleton': NTUReader,
        '.pkl': MMAction2Reader,
        '.pickle': MMAction2Reader,
        '.csv': TableReader,
        '.tsv': TableReader,
        '.mat': UTDMHADReader,
        '.pose': PoseFileReader,
    }
    return kinds.get(suffix)


def recognise_json(content: bytes, where: str) -> type[Reader] | None:
    """The reader of a document, or None if it is no known one; a user's own key points
    are none."""
    record = parse_json(content, where)
    if isinstance(record, dict):
        kinds: dict[str, type[Reader]] = {
            'data': KineticsReader,
            'skeletons': NWUCLAReader,
            'people': FrameFilesReader,
        }
        for key, kind in kinds.items():
            if key in record:
                return kind
        if isinstance(record.get('keypoints'), list):
            return None
    many = frames_of_document(record, where)
    if many is not None and record:
        return DocumentReader
    found = bodies_of_frame(record, where)
    return None if found is None or not record else FrameFilesReader


def recognise_frames(path: Path, files: Files) -> type[Reader] | None:
    """The reader of a folder or archive that has files of frames, or that of a data
    set's own layout, or None."""
    if files.ending('.skeleton'):
        return NTUReader
    if path.is_dir() and any(path.glob('*_data_joint.npy')):
        return OfficialReader
    if path.is_dir() and holds_frames(path, files):
        return MPDataReader
    texts = [PurePosixPath(name) for name in files.ending('.txt')]
    if any(_UTKINECT.fullmatch(name.stem) for name in texts):
        return UTKinectReader
    if any(is_msr(Path(name)) for name in texts):
        return MSRAction3DReader
    if any('_skeleton.mat' in name.lower() for name in files.ending('.mat')):
        return UTDMHADReader
    documents = files.ending('.json')
    if any(name.endswith('_label.json') for name in documents):
        return KineticsReader
    # The first that says what it is; others may lie beside them.
    for name in documents[:_LOOKED_AT]:
        kind = recognise_json(files.read(name), files.where(name))
        if kind in (KineticsReader, NWUCLAReader, FrameFilesReader):
            return kind
        if kind is not None:
            return None
    return None
