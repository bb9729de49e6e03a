"""Kernels whose constants are picked by trying a few on the GPU at hand, the first time
that they meet certain sizes there."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import triton
from torch import Tensor

IS_INTERPRETED = os.environ.get('TRITON_INTERPRET') == '1'

Constants = dict[str, Any]


class Tuned:
    """A kernel with such choices.

    Args:
        kernel: The kernel.
        choices (sequence of dict): Its constants; the first where nothing is tried.
        key (sequence of str): The arguments whose values decide.
        restored (sequence of str, optional): The arguments that it overwrites though it
            reads them, and that trying must leave as they were.
    """

    def __init__(
        self,
        kernel: Any,
        choices: Sequence[Constants],
        key: Sequence[str],
        restored: Sequence[str] = (),
    ) -> None:
        self.kernel, self.choices = kernel, list(choices)
        if not IS_INTERPRETED:
            configs = [
                triton.Config(
                    {k: v for k, v in choice.items() if k != 'num_warps'},
                    num_warps=choice['num_warps'],
                )
                for choice in choices
            ]
            wrap = triton.autotune(configs, list(key), restore_value=list(restored))
            self.tuner = wrap(kernel)

    def __call__(
        self, grid: Callable[[Constants], tuple[int, ...]], *args: Any, **constants: Any
    ) -> None:
        """Launches it on a grid, given its constants."""
        on_none = any(isinstance(arg, Tensor) and arg.is_meta for arg in args)
        if IS_INTERPRETED or on_none:
            first = self.choices[0]
            self.kernel[grid(first)](*args, **constants, **first)
        else:
            self.tuner[grid](*args, **constants)
