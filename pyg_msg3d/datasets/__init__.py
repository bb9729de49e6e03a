from pyg_msg3d.datasets.in_memory import InMemorySkeletonDataset
from pyg_msg3d.datasets.nw_ucla import NWUCLA
from pyg_msg3d.datasets.synthetic import SyntheticActions

__all__ = ['InMemorySkeletonDataset', 'NWUCLA', 'SyntheticActions']
