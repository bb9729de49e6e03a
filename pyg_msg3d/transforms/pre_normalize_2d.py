import torch
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_pre_normalize_2d')
class PreNormalize2D(BaseTransform):
    r"""Pixels to :math:`[-1, 1]`, :math:`(x - w/2) / (w/2)` and
    :math:`(y - h/2) / (h/2)`, as MMAction2 and PYSKL do (functional name:
    :obj:`skeleton_pre_normalize_2d`).

    Args:
        image_size (tuple[int, int], optional): Height and width, in pixels, of clips
            that do not say theirs (``data.image_size``).
            (default: :obj:`(1080, 1920)`)
        threshold (float, optional): Joints with a score up to this become zero: PYSKL
            has :obj:`0.01`, MMAction2 none. (default: :obj:`None`)
        mode (str, optional): :obj:`"fix"`, or :obj:`"auto"`: PYSKL's bounding box of
            all joints (above the threshold) instead of the image, where it is larger
            than 10 pixels. (default: :obj:`"fix"`)
    """

    def __init__(
        self,
        image_size: tuple[int, int] = (1080, 1920),
        threshold: float | None = None,
        mode: str = 'fix',
    ) -> None:
        if mode not in ('fix', 'auto'):
            raise ValueError(f"'mode' must be 'fix' or 'auto' (got {mode!r})")
        self.image_size = image_size
        self.threshold = threshold
        self.mode = mode

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, normalised."""
        x = data.x
        score = data.get('score')
        seen = torch.ones(x.shape[:-1], dtype=torch.bool)
        if self.threshold is not None and score is not None:
            seen = score > self.threshold
        if self.mode == 'fix':
            height, width = data.get('image_size') or self.image_size
            half = x.new_tensor([width / 2, height / 2])
            x = (x - half) / half
        elif seen.any():
            low, high = x[seen].amin(0), x[seen].amax(0)
            if bool((high - low > 10).all()):
                x = (x - (high + low) / 2) / (high - low) * 2
        data.x = x * seen.unsqueeze(-1)
        return data

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}({self.image_size}, '
            f'threshold={self.threshold}, mode={self.mode!r})'
        )
