from torch import Tensor
from torch_geometric.nn.norm import BatchNorm as _BatchNorm


class BatchNorm(_BatchNorm):
    r"""Batch normalisation of the last dimension of :math:`(*, C)`, over all others:
    PyG's, which takes :math:`(N, C)`, on any number of leading dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalises each channel; the shape stays."""
        return super().forward(x.flatten(0, -2)).view(x.shape)
