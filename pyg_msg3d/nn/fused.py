"""Blocks for inference alone: batch norms folded into the maps around them, graphs
computed once."""

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Buffer, Identity, Module, Parameter, Sequential
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pyg_msg3d.nn.blocks import STGCBlock
from pyg_msg3d.nn.leading import joined, parted
from pyg_msg3d.nn.mstcn import MSTCN, as_image, strided
from pyg_msg3d.nn.pointwise import Pointwise
from pyg_msg3d.ops import Window


def fuse(block: Any) -> STGCBlock:
    """Makes a block one that gives what it gave in evaluation mode, faster. It cannot
    be trained any more."""
    block.eval().requires_grad_(False)
    _fuse_gcn(block.gcn)
    for g3d in block.g3d:
        _fuse_g3d(g3d)
    for name in ('tcn1', 'tcn2', 'tcn3'):
        setattr(block, name, FusedMSTCN(getattr(block, name)))
    return block


def _fuse_gcn(block: Any) -> None:
    scale, shift = _affine(block.norm)
    conv = block.conv
    conv.lin.weight = _frozen(conv.lin.weight * scale.repeat(conv.num_scales)[:, None])
    conv.bias = _frozen(conv.bias * scale + shift)
    block.norm = Identity()
    block.adjacency.freeze(block.conv.backend)


def _fuse_g3d(block: Any) -> None:
    # The norm inside the convolution is one step with the ReLU there already.
    scale, shift = _affine(block.norm)
    collapse = block.conv.collapse
    collapse.weight = _frozen(collapse.weight * scale[:, None])
    collapse.bias = _frozen(collapse.bias * scale + shift)
    block.norm = Identity()
    block.adjacency.freeze(block.conv.backend)


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Scale and shift of a batch norm in evaluation mode."""
    norm = getattr(norm, 'module', norm)
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def _frozen(x: Tensor) -> Parameter:
    return Parameter(x.detach().clone(), requires_grad=False)


class FusedMSTCN(Module):
    """An :class:`MSTCN` in evaluation mode. All pointwise maps of the same frames are
    one product, the norms are part of the convolutions; only the branch of the maximum
    keeps its own, since a maximum does not commute with a change of sign."""

    def __init__(self, mstcn: MSTCN) -> None:
        super().__init__()
        self.stride, self.width = mstcn.stride, mstcn.width
        self.out_channels = mstcn.out_channels
        self.activation, self.maximum = mstcn.activation, mstcn.maximum
        width, num_dilated = mstcn.width, len(mstcn.dilations)
        scale, shift = _affine(mstcn.norm)
        sizes = [width] * (num_dilated + 1)
        sizes.append(mstcn.out_channels - sum(sizes))
        scales, shifts = scale.split(sizes), shift.split(sizes)

        self.temporal = deepcopy(mstcn.temporal)
        for conv, s, b in zip(self.temporal, scales, shifts, strict=False):
            _scale(conv, s, b)
        self.maximum_scale = Buffer(scales[-2].detach()[:, None, None].clone())
        self.maximum_shift = Buffer(shifts[-2].detach()[:, None, None].clone())
        shortcut = deepcopy(mstcn.shortcut)
        _scale(shortcut, scales[-1], shifts[-1])

        # Maps of all frames, and of those that the stride leaves.
        first: list[Any] = [fuse_conv_bn_eval(mstcn.pointwise, mstcn.pointwise_norm)]
        second: list[Any] = [shortcut]
        self.identity = isinstance(mstcn.residual, Identity)
        self.residual = mstcn.residual is not None
        if isinstance(mstcn.residual, Sequential):
            second.append(fuse_conv_bn_eval(*mstcn.residual))
        if self.stride == 1:
            first, second = first + second, []
        self.first = _side_by_side(first)
        self.second = _side_by_side(second) if second else None

    def forward(self, x: Tensor) -> Tensor:
        """Runs the block; shapes are those of :class:`MSTCN`."""
        x, lead = joined(x, 3)
        left = as_image(Window(1, self.stride).slices(x)[0])
        x = as_image(x)
        mapped = self.first(x)
        inner = (len(self.temporal) + 1) * self.width
        branches = F.relu_(mapped[:, :inner]).split(self.width, 1)
        mapped = mapped[:, inner:] if self.second is None else self.second(left)
        outs = [
            strided(conv, branch)
            for conv, branch in zip(self.temporal, branches, strict=False)
        ]
        highest = strided(self.maximum, branches[-1])
        outs.append(torch.addcmul(self.maximum_shift, highest, self.maximum_scale))
        done = sum(out.size(1) for out in outs)
        outs.append(mapped[:, : self.out_channels - done])
        out = torch.cat(outs, dim=1)
        if self.identity:
            out += x
        elif self.residual:
            out += mapped[:, self.out_channels - done :]
        if self.activation:
            out = out.relu_()
        return parted(out.permute(0, 2, 3, 1), lead)


def _scale(conv: Any, scale: Tensor, shift: Tensor) -> None:
    conv.weight = _frozen(conv.weight * scale[:, None, None, None])
    conv.bias = _frozen(conv.bias * scale + shift)


def _side_by_side(convs: list[Any]) -> Pointwise:
    """Several pointwise maps of one input as one."""
    out = sum(conv.out_channels for conv in convs)
    conv = Pointwise(convs[0].in_channels, out)
    conv.weight = _frozen(torch.cat([conv.weight for conv in convs]))
    conv.bias = _frozen(torch.cat([conv.bias for conv in convs]))
    return conv
