"""Reading and writing the files that skeletons come in."""

from pyg_msg3d.io.batch import BatchReader
from pyg_msg3d.io.ctrgcn import CTRGCNReader
from pyg_msg3d.io.document import DocumentReader
from pyg_msg3d.io.folder import FolderReader, write_folder
from pyg_msg3d.io.frame_files import FrameFilesReader
from pyg_msg3d.io.joined import JoinedReader
from pyg_msg3d.io.kinetics import KineticsReader
from pyg_msg3d.io.mediapipe import from_landmarks
from pyg_msg3d.io.mmaction2 import MMAction2Reader
from pyg_msg3d.io.mp_data import MPDataReader
from pyg_msg3d.io.ntu import NTUReader, SampleName, parse_skeleton, write_skeleton
from pyg_msg3d.io.ntu_npy import NTUArrayReader
from pyg_msg3d.io.numbers_text import MSRAction3DReader, UTKinectReader
from pyg_msg3d.io.nw_ucla import NWUCLAReader
from pyg_msg3d.io.official import OfficialReader
from pyg_msg3d.io.pose_file import PoseFileReader
from pyg_msg3d.io.read import read
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.recording import RecordingReader
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.io.table import TableReader
from pyg_msg3d.io.unpickle import unpickle
from pyg_msg3d.io.utd_mhad import UTDMHADReader

__all__ = [
    'UTDMHADReader',
    'TableReader',
    'PoseFileReader',
    'NTUArrayReader',
    'UTKinectReader',
    'MSRAction3DReader',
    'MPDataReader',
    'FrameFilesReader',
    'DocumentReader',
    'BatchReader',
    'CTRGCNReader',
    'FolderReader',
    'JoinedReader',
    'KineticsReader',
    'MMAction2Reader',
    'NTUReader',
    'NWUCLAReader',
    'OfficialReader',
    'Reader',
    'RecordingReader',
    'SampleName',
    'SkeletonSequence',
    'from_landmarks',
    'parse_skeleton',
    'read',
    'unpickle',
    'write_folder',
    'write_skeleton',
]
