"""How an operator with hand-written kernels is made known to torch: once for all."""

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils.flop_counter import register_flop_formula

from pyg_msg3d.ops.policy import is_batched, is_known, is_transformed, wants_definition

#: What operators, and their backward passes, call: for whoever counts that.
IMPLEMENTATIONS: dict[str, Callable[..., Any]] = {}

_LIBRARY = torch.library.Library('pyg_msg3d', 'FRAGMENT')


class Operator:
    """A function of tensors with a fast forward and backward pass, and its definition
    in plain torch. Whatever the fast passes do not know is done by the definition:
    forward-mode and higher derivatives, transforms of :mod:`torch.func`, exports,
    devices without kernels, and tensors without elements.

    Args:
        name (str): What profilers and graphs call it.
        given (type): The arguments, a named tuple of tensors, lists of tensors and
            plain values.
        forward (callable): The fast forward pass, given these. Its results, one tensor
            or several as annotated, are contiguous and none is an argument; the first
            alone has a gradient.
        backward (callable): ``backward(grad, kept, given, needed)`` gives the gradients
            to the tensors of the arguments, those in lists one by one, in order;
            ``needed`` says which of them must have one. Tensors left out at the end
            have none.
        reference (callable): The definition, given the arguments.
        work (callable): How many floating-point operations ``forward`` takes, and how
            many ``backward``, given the arguments.
        lowered (sequence of str): The arguments that autocast lowers.
        keeps (slice): The results that ``backward`` gets as ``kept``.
        passes (callable, optional): Of the tensors, the one to which the gradient is
            that to the result itself, as a number, if there is one; given the plain
            arguments.
        keeps_layout (bool): The gradient to the first argument lies in memory as it
            does, dense in any order; all others are contiguous.
        batched (callable, optional): The same for a whole batch at once, in operators
            of torch, see :mod:`~pyg_msg3d.ops.batched`.
    """

    def __init__(
        self,
        name: str,
        given: type,
        forward: Callable[[Any], Any],
        backward: Callable[..., Sequence[Tensor | None]],
        reference: Callable[[Any], Any],
        work: Callable[[Any], tuple[float, float]],
        lowered: Sequence[str],
        keeps: slice = slice(0),
        passes: Callable[[Any], int | None] = lambda given: None,
        keeps_layout: bool = False,
        batched: Callable[[Any], Any] | None = None,
    ) -> None:
        self.given, self.forward, self.backward = given, forward, backward
        self.reference, self.batched = reference, batched
        self.lowered, self.keeps, self.keeps_layout = lowered, keeps, keeps_layout
        self.passes = passes
        arguments, returns = _schema(given, forward)
        self.is_single = not returns.startswith('(')
        #: For each argument 1 where it is a tensor, 2 where it is a list of them.
        self.kinds = [
            {'Tensor': 1, 'Tensor?': 1, 'Tensor[]': 2}.get(argument.split()[0], 0)
            for argument in arguments.split(', ')
        ]
        schemas = (
            f'({arguments}) -> {returns}',
            f'(Tensor grad, Tensor[] kept, {arguments}, bool[] needed) -> Tensor[]',
        )
        op, back = (
            torch.library.custom_op(f'pyg_msg3d::{n}', run, mutates_args=(), schema=s)
            for n, run, s in zip(
                (name, f'{name}_backward'), (self._run, self._run_backward), schemas,
                strict=True,
            )
        )  # fmt: skip
        op.register_fake(self._fake)
        op.register_autograd(self._differentiate, setup_context=self._save)
        back.register_fake(self._fake_backward)
        IMPLEMENTATIONS[f'pyg_msg3d::{name}'] = self._run
        IMPLEMENTATIONS[f'pyg_msg3d::{name}_backward'] = self._run_backward
        self.op, self.backward_op = (
            getattr(torch.ops.pyg_msg3d, n) for n in (name, f'{name}_backward')
        )
        for device in ('CPU', 'CUDA'):
            _LIBRARY.impl(name, self._autocast(device.lower()), f'Autocast{device}')
        register_flop_formula(self.op, get_raw=True)(
            lambda *args, out_val=None: round(work(given(*args))[0])
        )
        register_flop_formula(self.backward_op, get_raw=True)(
            lambda grad, kept, *args, out_val=None: round(work(given(*args[:-1]))[1])
        )

    def __call__(self, *args: Any) -> Any:
        """Computes it in the way that fits."""
        first = args[0]
        if wants_definition() or not is_known(first.device) or first.numel() == 0:
            return self.define(*args)
        if self.batched is not None and is_batched(first):
            return self.batched(self.given(*args))
        return self.op(*args)

    def define(self, *args: Any) -> Any:
        """Computes it by its definition."""
        return self.reference(self.given(*args))

    def _run(self, *args: Any) -> Any:
        if forward_ad._current_level >= 0:
            # Which torch would answer by a tangent of zero.
            raise NotImplementedError(
                f'{self.op} knows no forward-mode differentiation; call it through '
                f'pyg_msg3d.ops, which takes the definition then'
            )
        return self.forward(self.given(*args))

    # Shapes and types -------------------------------------------------------------

    def _fake(self, *args: Any) -> Any:
        out = self.reference(self.given(*args))
        return _new(out) if self.is_single else tuple(_new(part) for part in out)

    def _fake_backward(self, grad: Tensor, kept: list, *rest: Any) -> list[Tensor]:
        *args, needed = rest
        found = [
            _new(leaf) if leaf is not None and need else grad.new_empty(0)
            for leaf, need in zip(self._leaves(args), needed, strict=True)
        ]
        if self.keeps_layout and needed[0]:
            found[0] = torch.empty_like(args[0])
        return found

    # Autograd ---------------------------------------------------------------------

    def _save(self, ctx: Any, inputs: tuple, output: Any) -> None:
        results = (output,) if self.is_single else output
        kept = results[self.keeps]
        ctx.num_kept = len(kept)
        ctx.save_for_backward(*kept, *self._leaves(inputs))
        # Of lists of tensors the length, of tensors nothing.
        ctx.args = [
            (arg, None, [None] * len(arg) if kind == 2 else None)[kind]
            for arg, kind in zip(inputs, self.kinds, strict=True)
        ]
        ctx.mark_non_differentiable(*results[1:])
        ctx.set_materialize_grads(False)

    def _differentiate(self, ctx: Any, grad: Tensor | None, *_: Any) -> tuple:
        saved = list(ctx.saved_tensors)  # Once: some are computed again for it.
        kept, leaves = saved[: ctx.num_kept], saved[ctx.num_kept :]
        needed = self._leaves(ctx.needs_input_grad)
        if grad is None:
            found: list[Tensor | None] = [None] * len(needed)
        elif torch.is_grad_enabled() or is_transformed() or is_many(grad):
            found = self._by_reference(grad, ctx.args, leaves, needed)
        else:
            args, grad = self._filled(ctx.args, leaves), grad.contiguous()
            passed = self.passes(self.given(*ctx.args))
            wanted = [need and i != passed for i, need in enumerate(needed)]
            found = self.backward_op(grad, kept, *args, wanted)
            if passed is not None:
                found[passed] = grad
        found = [g if need else None for g, need in zip(found, needed, strict=True)]
        plain = [
            arg if kind else None
            for arg, kind in zip(ctx.args, self.kinds, strict=True)
        ]
        return tuple(self._filled(plain, found))

    def _by_reference(
        self, grad: Tensor, args: list, leaves: list, needed: list[bool]
    ) -> list[Tensor | None]:
        """Gradients that can be differentiated again."""
        create_graph = torch.is_grad_enabled()
        with torch.enable_grad():
            # As views, since one tensor may be two arguments, each with a gradient.
            mine = [
                leaf.view_as(leaf) if need else leaf
                for leaf, need in zip(leaves, needed, strict=True)
            ]
            out = self.reference(self.given(*self._filled(args, mine)))
            found = torch.autograd.grad(
                out if self.is_single else out[0],
                [leaf for leaf, need in zip(mine, needed, strict=True) if need],
                grad, create_graph=create_graph, allow_unused=True,
            )  # fmt: skip
        left = iter(found)
        return [next(left) if need else None for need in needed]

    def _run_backward(self, grad: Tensor, kept: list, *rest: Any) -> list[Tensor]:
        *args, needed = rest
        found = list(self.backward(grad, kept, self.given(*args), needed))
        found += [None] * (len(needed) - len(found))
        return [
            grad.new_empty(0) if to_leaf is None or not need
            else to_leaf if i == 0 and self.keeps_layout
            else to_leaf.contiguous()
            for i, (to_leaf, need) in enumerate(zip(found, needed, strict=True))
        ]  # fmt: skip

    # Autocast ---------------------------------------------------------------------

    def _autocast(self, device: str) -> Callable[..., Any]:
        def lower(*args: Any) -> Any:
            dtype = torch.get_autocast_dtype(device)
            given = self.given(*args)
            changed = {}
            for name in self.lowered:
                arg = getattr(given, name)
                one = [_lowered(part, dtype) for part in _listed(arg)]
                changed[name] = one if isinstance(arg, list | tuple) else one[0]
            with torch.autocast(device, enabled=False):
                return self.op(*given._replace(**changed))

        return lower

    # Tensors among the arguments --------------------------------------------------

    def _leaves(self, values: Sequence[Any]) -> list[Any]:
        """What belongs to the tensors, those of lists one by one."""
        leaves: list[Any] = []
        for value, kind in zip(values, self.kinds, strict=True):
            leaves += ([], [value], value)[kind]
        return leaves

    def _filled(self, args: Sequence[Any], leaves: Sequence[Any]) -> list[Any]:
        """Arguments with other tensors."""
        left = iter(leaves)
        return [
            arg if kind == 0 else next(left) if kind == 1 else [next(left) for _ in arg]
            for arg, kind in zip(args, self.kinds, strict=True)
        ]


def _schema(given: Any, forward: Callable[[Any], Any]) -> tuple[str, str]:
    """Arguments and results, as torch writes them."""

    def prototype() -> None: ...

    prototype.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)
            for name, annotation in given.__annotations__.items()
        ],
        return_annotation=forward.__annotations__['return'],
    )
    schema = torch.library.infer_schema(prototype, mutates_args=())
    arguments, returns = schema[1:].rsplit(') -> ', 1)
    return arguments, returns


def _listed(arg: Any) -> Sequence[Any]:
    return arg if isinstance(arg, list | tuple) else [arg]


def _lowered(x: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """What autocast makes of an argument."""
    if x is None or not x.is_floating_point() or x.dtype == torch.float64:
        return x
    return x.to(dtype)


def is_many(grad: Tensor) -> bool:
    """Whether it is many gradients at once, as ``is_grads_batched=True`` makes them."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._dispatch_keys(grad).has('Batched')


def _new(like: Tensor) -> Tensor:
    return torch.empty_like(like, memory_format=torch.contiguous_format)
