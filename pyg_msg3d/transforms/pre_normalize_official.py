from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform, Compose

from pyg_msg3d.data import SkeletonData
from pyg_msg3d.transforms.align import Align
from pyg_msg3d.transforms.centre import Centre
from pyg_msg3d.transforms.replay import DropNullFrames, Replay


@functional_transform('skeleton_pre_normalize_official')
class PreNormalizeOfficial(BaseTransform):
    r"""The normalisation of MS-G3D's authors for NTU RGB+D, in one piece (functional
    name: :obj:`skeleton_pre_normalize_official`): :class:`DropNullFrames`,
    :class:`Align`, :class:`Replay`, and :class:`Centre` in every frame.

    What is replayed is centred on where the first person is by then, so only the
    first two can be done once and for all; the recipe ``'official'`` does so.

    Args:
        num_frames (int, optional): The number of frames. (default: :obj:`300`)
    """

    def __init__(self, num_frames: int = 300) -> None:
        steps = [DropNullFrames(), Align(), Replay(num_frames)]
        self.steps = Compose([*steps, Centre(1, per_frame=True)])
        self.num_frames = num_frames

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, normalised."""
        return self.steps(data)

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.num_frames})'
