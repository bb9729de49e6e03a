"""MS-G3D as one would write it down from the paper: full adjacency matrices, a loop
over scales, windows gathered in memory, every branch by itself. It uses the weights of
one of our models, so that both give the same numbers."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module

from pyg_msg3d import MSG3D
from pyg_msg3d.nn import MSTCN, G3DBlock, MSGCNBlock, ScaleAdjacency


class Naive(Module):
    """The same function as a model of ours, slowly."""

    def __init__(self, model: MSG3D) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        n, m, t, v, c = x.shape
        model = self.model
        x = model.data_norm(x.transpose(1, 2).reshape(n, t, m * v * c))
        x = x.view(n, t, m, v, c).transpose(1, 2).reshape(n * m, t, v, c)
        for block in model.blocks:
            y = mstcn(block.tcn2, mstcn(block.tcn1, msgcn(block.gcn, x)))
            for pathway in block.g3d:
                y = y + g3d(pathway, x)
            x = mstcn(block.tcn3, y.relu())
        x = x.mean((1, 2)).view(n, m, -1).mean(1)
        return model.classifier(model.dropout(x))


def adjacency(module: ScaleAdjacency) -> Tensor:
    """One matrix per scale ``[K, S', S]``, residual included."""
    num_sources, num_targets, k = module.sizes
    matrix = module().full().weight
    return matrix.view(num_targets, num_sources, k).permute(2, 0, 1)


def expanded(factors: Tensor, tau: int) -> Tensor:
    """``[K, 2 V, V]`` in two factors to ``[K, tau V, tau V]``."""
    v = factors.size(-1)
    ones, own = factors.new_ones(tau, tau), torch.eye(tau).to(factors)
    return torch.stack(
        [torch.kron(ones, a[:v]) + torch.kron(own, a[v:]) for a in factors]
    )


def sum_over_scales(matrices: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    maps = weight.view(len(matrices), -1, x.size(-1))
    gathered = [torch.matmul(a, x) for a in matrices]
    return sum(F.linear(g, w) for g, w in zip(gathered, maps, strict=True))


def msgcn(block: MSGCNBlock, x: Tensor) -> Tensor:
    conv = block.conv
    y = sum_over_scales(adjacency(block.adjacency), conv.lin.weight, x) + conv.bias
    return block.norm(y).relu()


def g3d(block: G3DBlock, x: Tensor) -> Tensor:
    conv, tau = block.conv, block.conv.window.size
    matrices = adjacency(block.adjacency)
    if conv.factored:
        matrices = expanded(matrices, tau)
    windows = conv.window.unfold(x)
    y = sum_over_scales(matrices, conv.lin.weight, windows) + conv.bias
    y = conv.norm(y).relu().unflatten(-2, (tau, -1)).transpose(-3, -2).flatten(-2)
    return block.norm(conv.collapse(y))


def mstcn(module: MSTCN, x: Tensor) -> Tensor:
    lead, width = x.shape[:-3], module.width
    x = x.flatten(0, -4).permute(0, 3, 1, 2).contiguous()
    outs = []
    for i in range(len(module.dilations) + 1):
        part = slice(i * width, (i + 1) * width)
        y = F.conv2d(x, module.pointwise.weight[part], module.pointwise.bias[part])
        y = batch_norm(module.pointwise_norm, y, part).relu()
        last = i == len(module.dilations)
        outs.append(module.maximum(y) if last else module.temporal[i](y))
    x = x[:, :, :: module.stride]
    out = module.norm(torch.cat([*outs, module.shortcut(x)], 1))
    if module.residual is not None:
        out = out + module.residual(x)
    out = out.relu() if module.activation else out
    return out.permute(0, 2, 3, 1).unflatten(0, lead)


def batch_norm(norm: Module, x: Tensor, part: slice) -> Tensor:
    """A batch norm over some of its channels, running statistics left as they are."""
    if norm.training:
        mean, variance = None, None
    else:
        mean, variance = norm.running_mean[part], norm.running_var[part]
    return F.batch_norm(
        x, mean, variance, norm.weight[part], norm.bias[part], norm.training
    )
