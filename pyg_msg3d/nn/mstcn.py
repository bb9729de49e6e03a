from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn import (
    BatchNorm2d,
    Conv2d,
    Identity,
    MaxPool2d,
    Module,
    ModuleList,
    Sequential,
)

from pyg_msg3d.nn.batch_norm import check_count, finish, normalise, track
from pyg_msg3d.nn.changed import is_changed, is_changed_norm
from pyg_msg3d.nn.leading import joined, parted
from pyg_msg3d.nn.pointwise import Pointwise
from pyg_msg3d.ops import Window, every, is_exported, ms_tcn
from pyg_msg3d.ops.fused_ms_tcn import fused_ms_tcn
from pyg_msg3d.ops.fused_ms_tcn import takes as takes_all


class MSTCN(Module):
    r"""The multi-scale temporal convolution (MS-TCN) of the `"Disentangling and
    Unifying Graph Convolutions for Skeleton-Based Action Recognition"
    <https://arxiv.org/abs/2003.14111>`_ paper, figure 3(c).

    Branches share the output channels between them: for each dilation a pointwise
    map, batch normalisation, ReLU and a dilated temporal convolution; the same with a
    temporal maximum over three frames; and a strided pointwise map. They are
    concatenated, normalised and added to the input, itself mapped and normalised
    where its shape changes.

    The pointwise maps of the first branches are one convolution here, and the
    normalisations at the ends of all branches are one, since both work channel by
    channel: the same function with a sixth of the modules.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the result; what does not divide by the
            number of branches goes to the last one.
        stride (int, optional): Temporal stride. (default: :obj:`1`)
        dilations (sequence of int, optional): The dilation of each dilated branch.
            (default: :obj:`(1, 2, 3, 4)`)
        kernel_size (int, optional): Frames under a dilated convolution, odd.
            (default: :obj:`3`)
        residual (bool, optional): Add the input. (default: :obj:`True`)
        activation (bool, optional): End with a ReLU. (default: :obj:`True`)

    Shapes:
        - **input:** :math:`(*, T, V, C_{in})`
        - **output:** :math:`(*, \lceil T / s \rceil, V, C_{out})` for stride
          :math:`s`

    Raises:
        ValueError: If there are fewer output channels than branches, or the kernel
            size is even.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        dilations: Sequence[int] = (1, 2, 3, 4),
        kernel_size: int = 3,
        residual: bool = True,
        activation: bool = True,
    ) -> None:
        super().__init__()
        branches = len(dilations) + 2
        width = out_channels // branches
        if width < 1:
            raise ValueError(
                f"'out_channels' must be at least {branches}, one per branch "
                f'({len(dilations)} dilated, a maximum and a pointwise one; got '
                f'{out_channels})'
            )
        if kernel_size % 2 == 0:
            raise ValueError(f"'kernel_size' must be odd (got {kernel_size})")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.stride = stride
        self.dilations = tuple(dilations)
        self.kernel_size = kernel_size
        self.activation = activation
        self.width = width

        self.pointwise = Pointwise(in_channels, (branches - 1) * width)
        self.pointwise_norm = BatchNorm2d((branches - 1) * width)
        self.temporal = ModuleList(
            Conv2d(
                width,
                width,
                (kernel_size, 1),
                stride=(stride, 1),
                padding=(dilation * (kernel_size - 1) // 2, 0),
                dilation=(dilation, 1),
            )
            for dilation in self.dilations
        )
        self.maximum = MaxPool2d((3, 1), stride=(stride, 1), padding=(1, 0))
        last = out_channels - (branches - 1) * width
        self.shortcut = Pointwise(in_channels, last)
        self.norm = BatchNorm2d(out_channels)

        self.residual: Module | None = None
        if residual and in_channels == out_channels and stride == 1:
            self.residual = Identity()
        elif residual:
            self.residual = Sequential(
                Pointwise(in_channels, out_channels),
                BatchNorm2d(out_channels),
            )

    def reset_parameters(self) -> None:
        """Draws all learned parameters anew."""
        for module in self.modules():
            if isinstance(module, Conv2d | BatchNorm2d):
                module.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Runs the block; shapes as above."""
        if x.dim() < 3 or x.size(-1) != self.in_channels:
            raise ValueError(
                f'Expected features of shape [*, frames, joints, {self.in_channels}] '
                f'(got {list(x.shape)})'
            )
        if x.size(-3) == 0:
            raise ValueError(
                f'Expected features of at least one frame (got {list(x.shape)})'
            )
        if self.training:
            check_count(x[..., 0].numel())
        x, lead = joined(x, 3)
        if self._is_fused(x):
            return parted(self._at_once(x), lead)
        # A pointwise map of every s-th frame. Not a convolution with that stride: on
        # CPUs its backward pass writes beyond its memory where channels are few. Made
        # contiguous once for all that takes it.
        left = Window(1, self.stride).slices(x)[0].contiguous()
        last = self.shortcut(as_image(left))
        # Before the branches: then their backward pass, which needs most memory, comes
        # before that of the residual.
        residual = None if self.residual is None else self.residual(as_image(left))
        if plain := self._is_plain():
            out = self._in_training(x, last)
            # What is changed in place is a result, not a view of it, whose gradient
            # autograd would copy.
            residual = None if residual is None else residual.permute(0, 2, 3, 1)
        else:
            out = self.norm(self._branches(as_image(x), last))
        out = finish(self.norm, out, self.activation, residual)
        out = out if plain else out.permute(0, 2, 3, 1)
        return parted(out, lead)

    def _is_plain(self) -> bool:
        """Whether the branches are normalised by the statistics of the batch, and no
        module is anything but what it was made as."""
        norms = self.pointwise_norm, self.norm
        return (
            all(n.training and not is_changed_norm(n, BatchNorm2d) for n in norms)
            and not is_changed(self.pointwise, Pointwise)
            and not is_changed(self.maximum, MaxPool2d)
            and not is_changed(self.temporal, ModuleList)
            and not any(is_changed(conv, Conv2d) for conv in self.temporal)
        )

    def _is_fused(self, x: Tensor) -> bool:
        """Whether all of it is one operator for GPUs."""
        last = self.out_channels - (len(self.dilations) + 1) * self.width
        return (
            takes_all(x, last, self.kernel_size)
            and self._is_plain()
            and not is_changed(self.shortcut, Pointwise)
        )

    def _at_once(self, x: Tensor) -> Tensor:
        """The block, with its residual and its activation."""
        residual: Tensor | None = x
        if self.residual is None:
            residual = None
        elif is_changed(self.residual, Identity):
            left = every(x, self.stride).contiguous()
            residual = self.residual(as_image(left)).permute(0, 2, 3, 1)
        norms: Any = (self.pointwise_norm, self.norm)
        pointwise: Any = (self.pointwise, self.shortcut)
        convs: list[Any] = list(self.temporal)
        biases = [conv.bias for conv in (*convs, self.shortcut)]
        out, mean, variance, end_mean, end_variance = fused_ms_tcn(
            x, [conv.weight.flatten(1) for conv in pointwise], pointwise[0].bias,
            [conv.weight for conv in convs], biases, [norm.weight for norm in norms],
            [norm.bias for norm in norms], residual, [norm.eps for norm in norms],
            self.stride, self.dilations, self.activation,
        )  # fmt: skip
        track(norms[0], mean, variance, x[..., 0].numel())
        track(norms[1], end_mean, end_variance, out[..., 0].numel())
        return out

    def _in_training(self, x: Tensor, last: Tensor) -> Tensor:
        """All branches, normalised, as one operator that keeps little."""
        pointwise: Any = self.pointwise
        norms: Any = (self.pointwise_norm, self.norm)
        convs: list[Any] = list(self.temporal)
        out, mean, variance, end_mean, end_variance = ms_tcn(
            x, pointwise.weight.flatten(1), pointwise.bias,
            [conv.weight for conv in convs], [conv.bias for conv in convs],
            last.permute(0, 2, 3, 1), [norm.weight for norm in norms],
            [norm.bias for norm in norms], [norm.eps for norm in norms], self.stride,
            self.dilations,
        )  # fmt: skip
        track(norms[0], mean, variance, x[..., 0].numel())
        track(norms[1], end_mean, end_variance, out[..., 0].numel())
        return out

    def _branches(self, x: Tensor, last: Tensor) -> Tensor:
        """All branches side by side, of which the last is done."""
        out = normalise(self.pointwise_norm, self.pointwise(x))
        *dilated, highest = out.split(self.width, 1)
        outs = [
            strided(conv, branch)
            for conv, branch in zip(self.temporal, dilated, strict=True)
        ]
        return torch.cat([*outs, strided(self.maximum, highest), last], dim=1)

    def __repr__(self) -> str:
        return (
            f'{self.__class__.__name__}({self.in_channels}, {self.out_channels}, '
            f'stride={self.stride}, dilations={self.dilations})'
        )


def strided(module: Any, x: Tensor) -> Tensor:
    """What a convolution or a maximum makes of ``[B, C, T, V]``. In exports, it is
    taken in all frames, of which those between are left out then: that these are as
    many as where features are left out at once, they cannot tell otherwise."""
    stride = getattr(module, 'stride', (1, 1))[0]
    if stride == 1 or not is_exported():
        return module(x)
    everywhere = copy(module)
    everywhere.stride = (1, 1)
    return as_image(every(everywhere(x).permute(0, 2, 3, 1), stride))


def as_image(x: Tensor) -> Tensor:
    """``[B, T, V, C]`` seen as channels-last ``[B, C, T, V]``: no copy."""
    return x.permute(0, 3, 1, 2)
