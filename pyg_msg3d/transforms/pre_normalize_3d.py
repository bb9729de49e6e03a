from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData
from pyg_msg3d.transforms.align import Align


@functional_transform('skeleton_pre_normalize_3d')
class PreNormalize3D(BaseTransform):
    r"""MMAction2's and PYSKL's normalisation of NTU RGB+D's 3D skeletons (functional
    name: :obj:`skeleton_pre_normalize_3d`):

    - the person who is there in more frames than the others comes first,
    - frames without that person are dropped,
    - its joint :obj:`centre` in its first frame becomes the origin, so that the way it
      goes is kept,
    - the clip is turned, see :class:`Align`.

    A clip in which nobody is stays as it is.

    Args:
        centre (int, optional): The joint that becomes the origin. (default: :obj:`1`)
        align_spine (bool, optional): Turn the spine to :math:`z`.
            (default: :obj:`True`)
        align_shoulder (bool, optional): Turn the shoulders to :math:`x`.
            (default: :obj:`True`)
    """

    def __init__(
        self, centre: int = 1, align_spine: bool = True, align_shoulder: bool = True
    ) -> None:
        self.centre = centre
        self.align_spine = align_spine
        self.align_shoulder = align_shoulder

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, normalised."""
        data.check_one_clip()
        there = (data.x.abs() > 1e-8).flatten(2).any(-1)  # [persons, frames]
        if not there.any():
            return data
        leader = int(there.sum(1).argmax())
        persons = [leader, *(m for m in range(len(there)) if m != leader)]
        data.at_joints(lambda value, _: value[persons][:, there[leader]])
        # Of the frames that are left, the first, whether the joint was seen or not.
        moved = data.x - data.x[:1, :1, self.centre : self.centre + 1]
        data.x = moved * (data.x != 0).any(-1, keepdim=True)
        align = Align(
            z_bone=(0, 1) if self.align_spine else None,
            x_bone=(8, 4) if self.align_shoulder else None,
        )
        return align(data)

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}(centre={self.centre}, '
            f'align_spine={self.align_spine}, align_shoulder={self.align_shoulder})'
        )
