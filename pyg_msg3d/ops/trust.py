"""Whether kernels for GPUs may be used: each is compared with its definition the first
time that it would run on a device in a process."""

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map_only

from pyg_msg3d.ops.kernels.packages import why_not
from pyg_msg3d.ops.operator import Operator
from pyg_msg3d.ops.policy import lowered

#: What ``PYG_MSG3D_KERNELS`` in the environment may be: never use them, use them
#: unseen, or compare them once, the default.
MODES = ('off', 'on', 'check')

# Relative errors, as norms, that rounding explains.
_TOLERANCES = {torch.float32: 1e-4, torch.float16: 3e-2, torch.bfloat16: 5e-2}

_EXAMPLES: dict[str, tuple[Operator, Callable[[], tuple[Any, ...]]]] = {}
_FOUND: dict[tuple[str, torch.device, torch.dtype], bool] = {}


def register(
    name: str, operator: Operator, example: Callable[[], tuple[Any, ...]]
) -> None:
    """Gives an operator with kernels small arguments to be tried with, tensors of them
    in float32 on the CPU."""
    _EXAMPLES[name] = operator, example


def names() -> list[str]:
    """The operators with kernels."""
    return list(_EXAMPLES)


def has_kernels(name: str, x: Tensor) -> bool:
    """Whether there are kernels of an operator for these features."""
    dtype = lowered(x)
    known = dtype in _TOLERANCES and why_not('triton', x) is None
    return known and is_trusted(name, x.device, dtype)


# Looked at once, when code is compiled.
@torch.compiler.assume_constant_result
def is_trusted(name: str, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernels of an operator give what they should on a device. If not,
    or if they cannot be built, that is said once.

    Raises:
        ValueError: If the environment asks for what there is not.
    """
    mode = os.environ.get('PYG_MSG3D_KERNELS', 'check')
    if mode not in MODES:
        raise ValueError(
            f"Expected PYG_MSG3D_KERNELS as one of {', '.join(MODES)} (got '{mode}')"
        )
    if mode != 'check' or device.type == 'meta':
        return mode != 'off'
    key = name, device, dtype
    if key not in _FOUND:
        with _disable_current_modes():
            reason = difference(name, device, dtype)
        _FOUND[key] = reason is None
        if reason is not None:
            warnings.warn(
                f"The kernels '{name}' are not used on {device} in {dtype}, where "
                f'{reason}; operators of torch take their place. Please report this',
                stacklevel=2,
            )
    return _FOUND[key]


def difference(name: str, device: torch.device, dtype: torch.dtype) -> str | None:
    """How results or gradients differ from the definition, or what went wrong."""
    operator, example = _EXAMPLES[name]
    try:
        with (
            torch.random.fork_rng(devices=[]),
            torch.autocast(device.type, enabled=False),
        ):
            torch.manual_seed(0)
            given = _each(
                example(),
                lambda x: x.to(device, dtype if x.is_floating_point() else x.dtype),
            )
            found = []
            for function in (operator.op, operator.define):
                mine = _each(given, _leaf)
                with torch.enable_grad():
                    out = function(*mine)
                    out = out if isinstance(out, Tensor) else out[0]
                    leaves = [arg for arg in tree_leaves(mine) if _is_leaf(arg)]
                    grads = torch.autograd.grad(out.float().square().mean(), leaves)
                found.append((out, *grads))
            for a, b in zip(*found, strict=True):
                error = (a.double() - b.double()).norm() / b.double().norm()
                if not error <= _TOLERANCES[dtype]:
                    return f'they differ from the definition by {error.item():.1e}'
    except Exception as error:  # Whatever a compiler or a driver may raise.
        return f'they failed ({type(error).__name__}: {error})'
    return None


def _each(args: Sequence[Any], change: Callable[[Tensor], Tensor]) -> list[Any]:
    """Arguments with other tensors, in lists, too."""
    return tree_map_only(Tensor, change, list(args))


def _leaf(x: Tensor) -> Tensor:
    return x.detach().requires_grad_(x.is_floating_point())


def _is_leaf(arg: Any) -> bool:
    return isinstance(arg, Tensor) and arg.requires_grad
