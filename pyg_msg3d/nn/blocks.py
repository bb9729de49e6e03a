"""The blocks of MS-G3D: operators with their graph, residual, norm and activation."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import BatchNorm1d, Module, ModuleList

from pyg_msg3d.graph import disentangle, factored_window, window_graph
from pyg_msg3d.nn.adjacency import ScaleAdjacency
from pyg_msg3d.nn.batch_norm import BatchNorm, check_count, normalise, track
from pyg_msg3d.nn.changed import is_changed, is_changed_norm
from pyg_msg3d.nn.g3d_conv import G3DConv
from pyg_msg3d.nn.msgcn_conv import MSGCNConv
from pyg_msg3d.nn.mstcn import MSTCN
from pyg_msg3d.ops.fused_norm import fused_norm, takes

RESIDUALS = ('dense', 'tied', None)


class MSGCNBlock(Module):
    r"""ReLU(BN(:class:`MSGCNConv`)) on one skeleton graph:
    :math:`(*, V, C_{in})` to :math:`(*, V, C_{out})`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        edge_index: Tensor,
        num_nodes: int,
        num_scales: int,
        normalization: str = 'sym',
        residual: str | None = 'dense',
        backend: str = 'auto',
    ) -> None:
        super().__init__()
        _check_residual(residual)
        with torch.device(edge_index.device):
            graph = disentangle(edge_index, num_nodes, num_scales, normalization)
        self.adjacency = ScaleAdjacency(
            *graph, num_nodes, num_nodes, num_scales, residual is not None
        )
        self.conv = MSGCNConv(in_channels, out_channels, num_scales, backend=backend)
        self.norm = BatchNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Runs the block; shapes as above."""
        graph = self.adjacency()
        if self._is_fused(x):
            conv, norm = self.conv, self.norm.module
            conv.check_features(x, conv.in_channels)
            check_count(x[..., 0].numel())
            graph = conv.graph_of(x, graph, None, None, x.size(-2))
            # The bias is a part of the mean that is subtracted.
            h = conv.propagate(graph, x=x)
            given = conv.bias, norm.weight, norm.bias, norm.eps
            out, mean, variance = fused_norm(h, *given)
            track(norm, mean, variance, out[..., 0].numel())
            return out
        return normalise(self.norm, self.conv(x, graph))

    def _is_fused(self, x: Tensor) -> bool:
        """Whether the norm and its ReLU are one operator for GPUs."""
        return (
            self.training
            and x.dim() > 2
            and takes(x)
            and not is_changed(self.conv, MSGCNConv)
            and not is_changed(self.norm, BatchNorm)
            and not is_changed_norm(self.norm.module, BatchNorm1d)
        )


class G3DBlock(Module):
    r"""BN(:class:`G3DConv`) on the window graph of one skeleton:
    :math:`(*, T, V, C_{in})` to :math:`(*, T', V, C_{out})`. Further arguments are
    those of :class:`G3DConv`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        edge_index: Tensor,
        num_nodes: int,
        num_scales: int,
        window_size: int,
        stride: int = 1,
        dilation: int = 1,
        normalization: str = 'sym',
        residual: str | None = 'dense',
        **kwargs: Any,
    ) -> None:
        super().__init__()
        _check_residual(residual)
        # What is learned for every pair of frames alike, or not at all, leaves the
        # window's graph in its two factors.
        factored = residual != 'dense'
        num_targets = (2 if factored else window_size) * num_nodes
        sizes = num_nodes if factored else num_targets, num_targets
        with torch.device(edge_index.device):
            if factored:
                graph = factored_window(
                    edge_index,
                    num_nodes,
                    window_size=window_size,
                    num_scales=num_scales,
                    normalization=normalization,
                )
            else:
                window = window_graph(edge_index, num_nodes, window_size)
                graph = disentangle(window, num_targets, num_scales, normalization)
        self.adjacency = ScaleAdjacency(
            *graph, *sizes, num_scales, residual is not None
        )
        self.conv = G3DConv(
            in_channels,
            out_channels,
            num_scales,
            window_size,
            stride,
            dilation,
            factored=factored,
            **kwargs,
        )
        self.norm = BatchNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Runs the block; shapes as above."""
        return self.norm(self.conv(x, self.adjacency()))


class STGCBlock(Module):
    r"""A spatial-temporal graph convolutional block, figure 3(b) of the paper: the
    factorised pathway (MS-GCN, then two MS-TCNs) and one G3D pathway per window are
    added up, and a further MS-TCN follows:

    .. math::
        \mathbf{y} &= \mathrm{ReLU} \Big( \mathrm{TCN}_2(\mathrm{TCN}_1(
        \mathrm{GCN}(\mathbf{x}))) + \sum_{\tau} \mathrm{G3D}_{\tau}(\mathbf{x}) \Big),
        \\
        \mathbf{x}^{\prime} &= \mathrm{TCN}_3(\mathbf{y}).

    Further arguments are those that :class:`MSGCNBlock` and :class:`G3DBlock` share:
    ``normalization``, ``residual`` and ``backend``.

    Shapes:
        - **input:** :math:`(*, T, V, C_{in})`
        - **output:** :math:`(*, \lceil T / s \rceil, V, C_{out})` for stride
          :math:`s`
    """

    def __init__(
        self,
        in_channels: int,
        gcn_channels: int,
        out_channels: int,
        edge_index: Tensor,
        num_nodes: int,
        gcn_scales: int,
        g3d_scales: int,
        window_sizes: Sequence[int] = (3, 5),
        window_dilations: Sequence[int] = (1, 1),
        stride: int = 1,
        hidden_channels: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        graph = edge_index, num_nodes
        self.gcn = MSGCNBlock(in_channels, gcn_channels, *graph, gcn_scales, **kwargs)
        self.tcn1 = MSTCN(gcn_channels, out_channels, stride)
        self.tcn2 = MSTCN(out_channels, out_channels, activation=False)
        self.g3d = ModuleList(
            G3DBlock(
                in_channels,
                out_channels,
                *graph,
                g3d_scales,
                window_size,
                stride,
                dilation,
                hidden_channels=hidden_channels,
                **kwargs,
            )
            for window_size, dilation in zip(
                window_sizes, window_dilations, strict=True
            )
        )
        self.tcn3 = MSTCN(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Runs the block; shapes as above."""
        out = self.tcn2(self.tcn1(self.gcn(x)))
        for i, g3d in enumerate(self.g3d):
            # The first sum is a new tensor, which no hook has seen.
            out = out.add_(g3d(x)) if i else out + g3d(x)
        return self.tcn3(out.relu_() if self.g3d else out.relu())


def _check_residual(residual: str | None) -> None:
    if residual not in RESIDUALS:
        raise ValueError(
            f"'residual' must be 'dense', 'tied' or None (got {residual!r})"
        )
