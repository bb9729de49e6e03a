from torch_geometric.transforms import Compose

from pyg_msg3d.transforms.add_bones import AddBones
from pyg_msg3d.transforms.align import Align
from pyg_msg3d.transforms.append_motion import AppendMotion
from pyg_msg3d.transforms.augment import (
    JointDropout,
    RandomMirror,
    RandomNoise,
    RandomScale,
    RandomShear,
)
from pyg_msg3d.transforms.centre import Centre
from pyg_msg3d.transforms.channel_dropout import ChannelDropout
from pyg_msg3d.transforms.declared import build, declare
from pyg_msg3d.transforms.disentangle import Disentangle
from pyg_msg3d.transforms.fill_gaps import FillGaps
from pyg_msg3d.transforms.min_max_scale import MinMaxScale
from pyg_msg3d.transforms.pad_frames import PadFrames
from pyg_msg3d.transforms.persons import PadPersons, RandomPersonOrder
from pyg_msg3d.transforms.pre_normalize_2d import PreNormalize2D
from pyg_msg3d.transforms.pre_normalize_3d import PreNormalize3D
from pyg_msg3d.transforms.pre_normalize_kinetics import PreNormalizeKinetics
from pyg_msg3d.transforms.pre_normalize_official import PreNormalizeOfficial
from pyg_msg3d.transforms.random_rotation import RandomRotation
from pyg_msg3d.transforms.recipe import STREAMS, Recipe, recipe
from pyg_msg3d.transforms.replay import DropNullFrames, Replay
from pyg_msg3d.transforms.sample_frames import SampleFrames
from pyg_msg3d.transforms.score_channel import ScoreChannel
from pyg_msg3d.transforms.smooth import Smooth
from pyg_msg3d.transforms.streams import JointToBone, ToMotion
from pyg_msg3d.transforms.uniform_sample_frames import UniformSampleFrames
from pyg_msg3d.transforms.unit_scale import UnitScale

__all__ = [
    'UnitScale',
    'Smooth',
    'FillGaps',
    'STREAMS',
    'AddBones',
    'AppendMotion',
    'Align',
    'Centre',
    'ChannelDropout',
    'Compose',
    'Disentangle',
    'DropNullFrames',
    'JointDropout',
    'JointToBone',
    'MinMaxScale',
    'PadFrames',
    'PadPersons',
    'PreNormalize2D',
    'PreNormalize3D',
    'PreNormalizeKinetics',
    'PreNormalizeOfficial',
    'RandomMirror',
    'RandomNoise',
    'RandomPersonOrder',
    'RandomRotation',
    'RandomScale',
    'RandomShear',
    'Recipe',
    'Replay',
    'SampleFrames',
    'ScoreChannel',
    'ToMotion',
    'UniformSampleFrames',
    'build',
    'declare',
    'recipe',
]
