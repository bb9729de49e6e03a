"""Whether operators may compute with a module's parameters, or only the module itself
knows what it does."""

from typing import Any

from torch.nn import Module
from torch.nn.modules import module as _module
from torch.nn.modules.batchnorm import _BatchNorm

_HOOKS = [
    f'{direction}_{hooks}'
    for direction in ('forward', 'backward')
    for hooks in ('hooks', 'pre_hooks')
]


def is_changed(module: Module, *kinds: type) -> bool:
    """Whether a call of a module may do anything but what its class does: it was
    replaced by one of another class (parametrised, wrapped, converted), or somebody
    hooks in, as pruning does, or into all modules."""
    return is_changed_itself(module, *kinds) or any(
        # Torch's own, which count and draw, change nothing.
        getattr(hook, '__module__', None) != 'torch.utils.module_tracker'
        for hooks in _HOOKS
        for hook in getattr(_module, f'_global_{hooks}').values()
    )


def is_changed_itself(module: Module, *kinds: type) -> bool:
    """The same, hooks into all modules aside."""
    return (
        type(module) not in kinds
        or 'forward' in module.__dict__
        or any(getattr(module, f'_{hooks}') for hooks in _HOOKS)
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
