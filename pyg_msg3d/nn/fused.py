"""Blocks for inference alone: batch norms folded into the maps before them, graphs
computed once."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Buffer, Identity, MaxPool2d, Parameter, Sequential
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pyg_msg3d.nn.blocks import STGCBlock


def fuse(block: Any) -> STGCBlock:
    """Makes a block one that gives what it gave in evaluation mode, faster. It cannot
    be trained any more."""
    block.eval().requires_grad_(False)
    _fuse_gcn(block.gcn)
    for g3d in block.g3d:
        _fuse_g3d(g3d)
    for tcn in (block.tcn1, block.tcn2, block.tcn3):
        _fuse_tcn(tcn)
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


def _fuse_tcn(tcn: Any) -> None:
    tcn.pointwise = fuse_conv_bn_eval(tcn.pointwise, tcn.pointwise_norm)
    if isinstance(tcn.residual, Sequential):
        tcn.residual = fuse_conv_bn_eval(*tcn.residual)
    # The norm of all branches, branch by branch.
    branches = [*tcn.temporal, tcn.maximum, tcn.shortcut]
    widths = [tcn.width] * (len(branches) - 1)
    widths.append(tcn.out_channels - sum(widths))
    scales, shifts = (part.split(widths) for part in _affine(tcn.norm))
    tcn.maximum = _ScaledMaximum(tcn.maximum, scales[-2], shifts[-2])
    for branch, scale, shift in zip(branches, scales, shifts, strict=True):
        if branch is not branches[-2]:
            branch.weight = _frozen(branch.weight * scale[:, None, None, None])
            branch.bias = _frozen(branch.bias * scale + shift)
    tcn.pointwise_norm, tcn.norm = Identity(), Identity()


class _ScaledMaximum(MaxPool2d):
    """A maximum whose norm comes after it: it does not commute with a change of
    sign."""

    def __init__(self, maximum: MaxPool2d, scale: Tensor, shift: Tensor) -> None:
        super().__init__(maximum.kernel_size, maximum.stride, maximum.padding)
        self.scale = Buffer(scale.detach()[:, None, None].clone())
        self.shift = Buffer(shift.detach()[:, None, None].clone())

    def forward(self, x: Tensor) -> Tensor:
        out = torch.addcmul(self.shift, super().forward(x), self.scale)
        # Of the type of the other branches, which autocast may have chosen.
        return out.to(x.dtype)
