"""Reading and writing the files that skeletons come in."""

from pyg_msg3d.io.ctrgcn import CTRGCNReader
from pyg_msg3d.io.folder import FolderReader, write_folder
from pyg_msg3d.io.joined import JoinedReader
from pyg_msg3d.io.kinetics import KineticsReader
from pyg_msg3d.io.mediapipe import from_landmarks
from pyg_msg3d.io.mmaction2 import MMAction2Reader
from pyg_msg3d.io.ntu import NTUReader, SampleName, parse_skeleton, write_skeleton
from pyg_msg3d.io.nw_ucla import NWUCLAReader
from pyg_msg3d.io.official import OfficialReader
from pyg_msg3d.io.openpose import OpenPoseReader
from pyg_msg3d.io.read import read
from pyg_msg3d.io.reader import Reader
from pyg_msg3d.io.recording import RecordingReader
from pyg_msg3d.io.sequence import SkeletonSequence
from pyg_msg3d.io.unpickle import unpickle

__all__ = [
    'CTRGCNReader',
    'FolderReader',
    'JoinedReader',
    'KineticsReader',
    'MMAction2Reader',
    'NTUReader',
    'NWUCLAReader',
    'OfficialReader',
    'OpenPoseReader',
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
