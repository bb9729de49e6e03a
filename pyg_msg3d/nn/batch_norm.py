import torch
from torch import Tensor
from torch.nn import BatchNorm1d
from torch_geometric.nn.norm import BatchNorm as _BatchNorm


class BatchNorm(_BatchNorm):
    r"""Batch normalisation of the last dimension of :math:`(*, C)`, over all others:
    PyG's, which takes :math:`(N, C)`, on any number of leading dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalises each channel; the shape stays."""
        return super().forward(x.flatten(0, -2)).view(x.shape)

    @property
    def is_local(self) -> bool:
        """Whether its statistics are those of this process alone."""
        return type(self.module) is BatchNorm1d

    @torch.no_grad()
    def track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Counts a batch in the running statistics, given those of the batch (the
        variance biased) and the number of values in each channel."""
        norm = self.module
        norm.num_batches_tracked.add_(1)
        unbiased = variance * (count / max(1, count - 1))
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
        norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), norm.momentum)
