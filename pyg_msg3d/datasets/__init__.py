from pyg_msg3d.datasets.classes import match_classes
from pyg_msg3d.datasets.folder import SkeletonFolder
from pyg_msg3d.datasets.in_memory import InMemorySkeletonDataset
from pyg_msg3d.datasets.kinetics import KineticsSkeleton
from pyg_msg3d.datasets.ntu import NTU60, NTU120
from pyg_msg3d.datasets.nw_ucla import NWUCLA
from pyg_msg3d.datasets.persons import select_persons
from pyg_msg3d.datasets.preprocessing import Preprocessing, metadata_of
from pyg_msg3d.datasets.stored import StoredSkeletonDataset, skeleton_of
from pyg_msg3d.datasets.synthetic import SyntheticActions

__all__ = [
    'NTU60',
    'NTU120',
    'NWUCLA',
    'InMemorySkeletonDataset',
    'KineticsSkeleton',
    'Preprocessing',
    'SkeletonFolder',
    'StoredSkeletonDataset',
    'SyntheticActions',
    'match_classes',
    'metadata_of',
    'select_persons',
    'skeleton_of',
]
