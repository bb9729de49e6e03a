"""CUDA graphs: a forward and backward pass, captured once and then replayed, so that a
GPU does not wait for Python to launch each of its kernels."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import Module

# Passes before the capture, in which libraries choose their algorithms and kernels are
# compiled and compared with their definitions.
_WARM_UPS = 3


class CapturedPass:
    """A forward and backward pass of a model in training, of inputs of one shape.

    Gradients lie in memory of the graph: each replay writes them anew, so that they
    must stay where they are between two.

    Args:
        run (callable): The pass: takes tensors, writes gradients, returns tensors.
        model (Module): What is trained.
        *inputs (Tensor): The first inputs.
    """

    def __init__(
        self,
        run: Callable[..., tuple[Tensor, ...]],
        model: Module,
        *inputs: Tensor,
    ) -> None:
        self.inputs = [x.clone() for x in inputs]
        # What passes before the capture count must not count.
        kept = [buffer.clone() for buffer in model.buffers()]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                model.zero_grad(set_to_none=True)
                run(*self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        for buffer, value in zip(model.buffers(), kept, strict=True):
            buffer.copy_(value)
        model.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.outputs = run(*self.inputs)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The pass of other inputs of the same shapes. Its results are overwritten by
        the next.

        Raises:
            ValueError: If shapes differ.
        """
        shapes = [list(x.shape) for x in self.inputs]
        if [list(x.shape) for x in inputs] != shapes:
            raise ValueError(
                f'Expected inputs of shapes {shapes}, those of the pass that was '
                f'captured (got {[list(x.shape) for x in inputs]}). Train without '
                f'cuda_graphs where they differ'
            )
        for mine, x in zip(self.inputs, inputs, strict=True):
            mine.copy_(x, non_blocking=True)
        self.graph.replay()
        return self.outputs
