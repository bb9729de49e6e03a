from torch_geometric.transforms import Compose

from pyg_msg3d.transforms.centre import Centre
from pyg_msg3d.transforms.min_max_scale import MinMaxScale
from pyg_msg3d.transforms.random_rotation import RandomRotation
from pyg_msg3d.transforms.sample_frames import SampleFrames

__all__ = ['Centre', 'Compose', 'MinMaxScale', 'RandomRotation', 'SampleFrames']
