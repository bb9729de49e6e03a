"""Trading time for memory: activations that are computed twice."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

from torch import Tensor
from torch.nn import Module
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from pyg_msg3d.models import MSG3D
from pyg_msg3d.nn import MSTCN, G3DBlock, MSGCNBlock


def checkpoint_activations(model: MSG3D) -> None:
    """Lets each layer of the blocks keep its input alone in training, and compute the
    rest again in the backward pass. The numbers stay the same, running statistics
    included."""
    for module in model.modules():
        if isinstance(module, MSTCN | G3DBlock | MSGCNBlock):
            _checkpoint(module)


def _checkpoint(module: Module) -> None:
    forward = module.forward
    norms = [
        m
        for m in module.modules()
        if isinstance(m, _BatchNorm) and m.track_running_stats
    ]

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), _frozen(norms)

    def run(x: Tensor) -> Tensor:
        if not module.training:
            return forward(x)
        return checkpoint(forward, x, use_reentrant=False, context_fn=contexts)

    module.forward = run  # type: ignore[method-assign]


@contextmanager
def _frozen(norms: list[_BatchNorm]) -> Iterator[None]:
    """Keeps the second pass from counting the batch in running statistics again."""
    momenta = [norm.momentum for norm in norms]
    counts = [cast(Tensor, norm.num_batches_tracked).clone() for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            cast(Tensor, norm.num_batches_tracked).copy_(count)
