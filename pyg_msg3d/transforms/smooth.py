import torch
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_msg3d.data import SkeletonData


@functional_transform('skeleton_smooth')
class Smooth(BaseTransform):
    r"""Smooths the tracks of joints over time by a normal distribution's weights, of
    the frames in which a joint was seen alone (functional name:
    :obj:`skeleton_smooth`):

    .. math::
        x'_t = \frac{\sum_s s_{t+s} w_s x_{t+s}}{\sum_s s_{t+s} w_s}, \quad
        w_s = \exp(-s^2 / 2 \sigma^2)

    Joints that were not seen stay zero.

    Args:
        sigma (float, optional): The standard deviation, in frames.
            (default: :obj:`1.0`)
    """

    def __init__(self, sigma: float = 1.0) -> None:
        if not sigma > 0:
            raise ValueError(f"'sigma' must be above 0 (got {sigma})")
        self.sigma = sigma

    def forward(self, data: SkeletonData) -> SkeletonData:
        """Returns the clip, smoothed."""
        data.check_one_clip()
        seen = data.seen.unsqueeze(-1).to(data.x.dtype)
        reach = min(max(1, round(3 * self.sigma)), data.x.size(1) - 1)
        total, weight = data.x * seen, seen.clone()
        frames = data.x.size(1)
        for step in range(1, reach + 1):
            share = torch.exp(torch.tensor(-(step**2) / (2 * self.sigma**2)))
            for here, there in (
                (slice(0, frames - step), slice(step, frames)),
                (slice(step, frames), slice(0, frames - step)),
            ):
                total[:, here] += share * (data.x * seen)[:, there]
                weight[:, here] += share * seen[:, there]
        data.x = total / weight.clamp(min=1e-12) * seen
        return data

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}({self.sigma})'
