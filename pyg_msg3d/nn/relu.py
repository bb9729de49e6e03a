import torch
from torch import Tensor


def relu(x: Tensor) -> Tensor:
    """ReLU of a tensor that nobody else reads: in place, but for where gradients are
    wanted, since hooks of users may hold on to it there."""
    return x.relu() if torch.is_grad_enabled() else x.relu_()
