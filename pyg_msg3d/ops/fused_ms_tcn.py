"""An MS-TCN in training after its pointwise maps, by kernels for GPUs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_msg3d.ops import reference, trust
from pyg_msg3d.ops.operator import Operator, is_many
from pyg_msg3d.ops.policy import is_batched, most_channels, wants_definition
from pyg_msg3d.ops.window import every


def takes(x: Tensor, last: int, kernel_size: int) -> bool:
    """Whether there are kernels for branches of so many channels, of which the last
    has most, and so many frames under a convolution."""
    if wants_definition() or not is_batched(x) or x.numel() == 0:
        return False
    fits = last <= most_channels(x) and kernel_size == 3
    return fits and trust.has_kernels('ms_tcn', x)


def fused_ms_tcn(
    x: Tensor,
    maps: Sequence[Tensor],
    bias: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    gammas: Sequence[Tensor],
    betas: Sequence[Tensor],
    residual: Tensor | None,
    eps: Sequence[float],
    stride: int,
    dilations: Sequence[int],
    rectifies: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    r"""The equation is that of :func:`pyg_msg3d.ops.reference.ms_tcn` with its ``last``
    branch, a pointwise map too, the second of ``maps``, whose bias is the last of
    ``biases``; then with a residual and a ReLU,

    .. math::
        \mathbf{y} = \mathrm{ReLU}(\mathrm{MSTCN}(\mathbf{x}) + \mathbf{r}).

    Shapes:
        - **x:** :math:`(B, T, V, C_{in})`
        - **residual, output:** :math:`(B, T', V, C_{out})`
    """
    both = torch.cat(list(maps))
    if residual is x:
        y, residual = _MapAndPass.apply(x, both)
    else:
        y = F.linear(x, both)
    # Biases move the means that are subtracted: their gradients are zero, and nothing
    # else comes of them.
    nothing = biases[0].new_zeros(weights[0].size(0))
    shifts = torch.cat([*biases[:-1], nothing, biases[-1]])
    betas = [b + 0 * s for b, s in zip(betas, (bias, shifts), strict=True)]
    out, mean, variance, end_mean, end_variance, _ = _ms_tcn(
        y, residual, list(weights), list(gammas), betas, list(eps), stride,
        list(dilations), rectifies,
    )  # fmt: skip
    mean, end_mean = mean + bias.detach(), end_mean + shifts.detach()
    return out, mean, variance, end_mean, end_variance


class _MapAndPass(torch.autograd.Function):
    """Features, mapped, and as they are. The gradients of both are added up by the
    product that gives one of them, not after it."""

    @staticmethod
    def forward(x: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        return F.linear(x, maps), x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, to_y: Tensor, passed: Tensor
    ) -> tuple[Tensor, Tensor]:
        x, maps = ctx.saved_tensors
        if is_many(to_y):
            # Of many gradients at once, autograd knows more than is known here.
            again = torch.is_grad_enabled()
            with torch.enable_grad():
                given = [
                    one.view_as(one)
                    if one.requires_grad
                    else one.detach().requires_grad_()
                    for one in (x, maps)
                ]
                to_x, to_maps = torch.autograd.grad(
                    F.linear(*given), given, to_y, create_graph=again
                )
            return to_x + passed, to_maps
        rows, mine = to_y.flatten(0, -2), x.flatten(0, -2)
        # Autocast maps in another type than that of the features.
        kind = torch.promote_types(to_y.dtype, passed.dtype)
        to_x = torch.addmm(passed.flatten(0, -2).to(kind), rows.to(kind), maps.to(kind))
        to_maps = rows.t() @ mine.to(rows.dtype)
        return to_x.view_as(x).to(x.dtype), to_maps.to(maps.dtype)


class _Given(NamedTuple):
    y: Tensor
    residual: Tensor | None
    weights: list[Tensor]
    gammas: list[Tensor]
    betas: list[Tensor]
    eps: list[float]
    stride: int
    dilations: list[int]
    rectifies: bool

    @property
    def branches(self) -> Any:
        from pyg_msg3d.ops.kernels.triton_ms_tcn import Branches

        weights = torch.stack(self.weights).to(self.y.dtype)
        return Branches(self.y.contiguous(), weights, self.stride, self.dilations)


_Results = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def _forward(
    given: _Given,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    from pyg_msg3d.ops.kernels.triton_norm import Features

    _, residual, _, gammas, betas, eps, *_, rectifies = given
    branches = given.branches
    mapped = Features(branches.y[..., : branches.inner])
    affine, mean, variance = mapped.affine(None, gammas[0], betas[0], eps[0])
    z, parts = branches.results(affine)
    ended = Features(z)
    affine, end_mean, end_variance = ended.affine(
        None, gammas[1], betas[1], eps[1], parts=parts
    )
    residual = None if residual is None else residual.to(z.dtype).contiguous()
    out = ended.apply(affine, residual, rectifies)
    return out, mean, variance, end_mean, end_variance, z


def _backward(
    grad: Tensor, kept: list[Tensor], given: _Given, needed: list[bool]
) -> list[Tensor | None]:
    from pyg_msg3d.ops.kernels.triton_norm import Features

    out, mean, variance, end_mean, end_variance, z = kept
    _, residual, weights, gammas, betas, eps, *_, rectifies = given
    branches, ended = given.branches, Features(z)
    end_affine, *_ = ended.affine(
        None, gammas[1], betas[1], eps[1], end_mean, end_variance
    )
    grad, to_end_gamma, to_end_beta, end_line = ended.to_norm(
        grad, end_affine, out if rectifies else None
    )
    mapped = Features(branches.y[..., : branches.inner])
    affine, *_ = mapped.affine(None, gammas[0], betas[0], eps[0], mean, variance)
    to_y, parts, to_weights = branches.gradients(grad, z, end_affine, end_line, affine)
    to_gamma, to_beta, line = mapped.line(parts, affine)
    mapped.through(to_y[..., : branches.inner], affine, line)
    found = [to_gamma, to_end_gamma, to_beta, to_end_beta]
    leaves = [*gammas, *betas]
    return [
        to_y, None if residual is None else grad.to(residual.dtype),
        *(one.to(weights[0].dtype, copy=True) for one in to_weights),
        *(one.to(leaf.dtype) for one, leaf in zip(found, leaves, strict=True)),
    ]  # fmt: skip


def _by_definition(
    given: _Given,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    y, residual, weights, gammas, betas, eps, stride, dilations, rectifies = given
    mapped = y[..., : (len(weights) + 1) * weights[0].size(0)]
    last = every(y[..., mapped.size(-1) :], stride)
    z, mean, variance = reference.branches(
        mapped, weights, [None] * len(weights), last, gammas[0], betas[0], eps[0],
        stride, dilations,
    )  # fmt: skip
    out, end_mean, end_variance = reference.normalised(z, gammas[1], betas[1], eps[1])
    out = out if residual is None else out + residual
    out = out.relu() if rectifies else out
    return out, mean, variance, end_mean, end_variance, z


def _work(given: _Given) -> tuple[float, float]:
    num_outputs = (given.y.size(1) - 1) // given.stride + 1
    rows = given.y[:, 0, :, 0].numel() * num_outputs
    work = 2 * rows * sum(weight.numel() for weight in given.weights)
    return work, 2 * work


_ms_tcn = Operator(
    'fused_ms_tcn', _Given, _forward, _backward, _by_definition, _work,
    lowered=('y', 'residual', 'weights'), keeps=slice(0, None),
    passes=lambda given: None if given.rectifies else 1,
)  # fmt: skip
trust.register(
    'ms_tcn', _ms_tcn,
    lambda: (
        torch.randn(2, 7, 5, 20), torch.randn(2, 4, 5, 20),
        [torch.randn(6, 6, 3, 1) for _ in range(2)],
        [torch.rand(18) + 0.5, torch.rand(20) + 0.5],
        [torch.randn(18), torch.randn(20)], [1e-5, 1e-5], 2, [1, 2], True,
    ),
)  # fmt: skip
