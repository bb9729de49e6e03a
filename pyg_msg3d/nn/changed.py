"""Whether operators may compute with a module's parameters, or only the module itself
knows what it does."""

from typing import Any

from torch.nn import Module
from torch.nn.modules import module as _module
from torch.nn.modules.batchnorm import _BatchNorm


def is_changed(module: Module, *kinds: type) -> bool:
    """Whether a call of a module may do anything but what its class does: it was
    replaced by one of another class (parametrised, wrapped, converted), or somebody
    hooks in, as pruning does."""
    return (
        type(module) not in kinds
        or 'forward' in module.__dict__
        or bool(module._forward_hooks)
        or bool(module._forward_pre_hooks)
        or bool(module._backward_hooks)
        or bool(module._backward_pre_hooks)
        or _module._has_any_global_hook()
    )


def is_changed_norm(norm: Any, *kinds: type[_BatchNorm]) -> bool:
    """The same for a batch norm: an operator takes and counts statistics of this
    process alone, by a running average."""
    return (
        is_changed(norm, *kinds)
        or not norm.affine
        or not norm.track_running_stats
        or norm.running_mean is None
        or norm.momentum is None
    )
