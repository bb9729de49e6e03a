from typing import Any

import torch
from torch import Tensor
from torch.nn import BatchNorm1d, BatchNorm2d, Identity, Module
from torch_geometric.nn.norm import BatchNorm as _BatchNorm

from pyg_msg3d.nn.changed import is_changed, is_changed_norm
from pyg_msg3d.ops import wants_definition
from pyg_msg3d.ops.policy import is_batched


class BatchNorm(_BatchNorm):
    r"""Batch normalisation of the last dimension of :math:`(*, C)`, over all others:
    PyG's, which takes :math:`(N, C)`, on any number of leading dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalises each channel; the shape stays."""
        if self.training:
            check_count(x[..., 0].numel())
        elif wants_definition() and not is_changed_norm(self.module, BatchNorm1d):
            return affine(self.module, x)
        return super().forward(x.flatten(0, -2)).view(x.shape)


_OURS = BatchNorm, BatchNorm1d, BatchNorm2d, Identity


def affine(norm: Any, x: Tensor) -> Tensor:
    """What a batch norm of the last dimension is in evaluation mode, without a change
    of shape that exports could not follow."""
    y = (x - norm.running_mean) * (norm.running_var + norm.eps).rsqrt()
    return y if norm.weight is None else y * norm.weight + norm.bias


def normalise(norm: Module, x: Tensor) -> Tensor:
    """``norm(x)`` and a ReLU."""
    return finish(norm, norm(x))


def finish(
    norm: Module, out: Tensor, activation: bool = True, residual: Tensor | None = None
) -> Tensor:
    """Adds a residual to what a norm gave, and rectifies it, each if there is one: in
    place, but for where somebody may hold on to what the norm gave, or it is a view of
    that, whose gradient autograd would copy."""
    inner = norm.module if type(norm) is BatchNorm else norm
    held = is_changed(norm, *_OURS) or is_changed(inner, *_OURS) or is_batched(out)
    if residual is not None:
        out = residual + out if held else out.add_(residual)
        held = False
    if activation:
        out = out.relu() if held else out.relu_()
    return out


def check_count(count: int) -> None:
    """Refuses to take statistics of too few values.

    Raises:
        ValueError: If there are fewer than two of each channel.
    """
    if count < 2:
        raise ValueError(
            f'Expected at least one clip in training, and two values of each channel, '
            f'whose statistics normalise them (got {count})'
        )


@torch.no_grad()
def track(norm: Any, mean: Tensor, variance: Tensor, count: int) -> None:
    """Counts a batch in the running statistics of a norm, given those of the batch (the
    variance biased) and the number of values in each channel."""
    norm.num_batches_tracked.add_(1)
    unbiased = variance * (count / max(1, count - 1))
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
    norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), norm.momentum)
