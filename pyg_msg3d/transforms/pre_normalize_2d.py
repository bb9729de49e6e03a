import torch
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData
from pyg_msg3d.transforms.units import are_shares


@functional_transform('skeleton_pre_normalize_2d')
class PreNormalize2D(BaseTransform):
    r"""Pixels to :math:`[-1, 1]`, :math:`(x - w/2) / (w/2)` and
    :math:`(y - h/2) / (h/2)`, as MMAction2 and PYSKL do (functional name:
    :obj:`skeleton_pre_normalize_2d`). Shares of the image, in :math:`[0, 1]`, become
    the same, :math:`2 x - 1`.

    Args:
        image_size (tuple[int, int], optional): Height and width, in pixels, of clips
            that do not say theirs (``data.image_size``). (default: :obj:`None`)
        keep_zeros (bool, optional): Leave joints of zeros, which were not seen, where
            they are; MMAction2 moves them, too, to :math:`(-1, -1)`.
            (default: :obj:`True`)
        threshold (float, optional): Joints with a score up to this become zero: PYSKL
            has :obj:`0.01`, MMAction2 none. (default: :obj:`None`)
        mode (str, optional): :obj:`"fix"`, or :obj:`"auto"`: PYSKL's bounding box of
            all joints (above the threshold) instead of the image, where it is larger
            than 10 pixels. (default: :obj:`"fix"`)

    Raises:
        SkeletonDataError: If a clip is in pixels, and nobody says how large its image
            is; or neither in pixels nor in shares.
    """

    def __init__(
        self,
        image_size: tuple[int, int] | None = None,
        threshold: float | None = None,
        mode: str = 'fix',
        keep_zeros: bool = True,
    ) -> None:
        if mode not in ('fix', 'auto'):
            raise ValueError(f"'mode' must be 'fix' or 'auto' (got {mode!r})")
        self.image_size = image_size
        self.threshold = threshold
        self.mode = mode
        self.keep_zeros = keep_zeros

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, normalised."""
        x = data.x
        score = data.get('score')
        seen = torch.ones(x.shape[:-1], dtype=torch.bool)
        if self.keep_zeros:
            seen = data.seen
        if self.threshold is not None and score is not None:
            seen = seen & (score > self.threshold)
        if self.mode == 'fix':
            height, width = self._size(data)
            half = x.new_tensor([width / 2, height / 2])
            x = (x - half) / half
        elif seen.any():
            low, high = x[seen].amin(0), x[seen].amax(0)
            if bool((high - low > 10).all()):
                x = (x - (high + low) / 2) / (high - low) * 2
        data.x = x * seen.unsqueeze(-1)
        return data

    def _size(self, data: SkeletonData) -> tuple[float, float]:
        """Height and width, in the clip's own units."""
        size = data.get('image_size') or self.image_size
        if are_shares(data, size is not None):
            return 1, 1
        assert size is not None
        return size

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}({self.image_size}, '
            f'threshold={self.threshold}, mode={self.mode!r}, '
            f'keep_zeros={self.keep_zeros})'
        )
