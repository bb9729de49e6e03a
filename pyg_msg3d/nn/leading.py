"""Any number of leading dimensions, as one."""

from collections.abc import Sequence

from torch import Tensor


def joined(x: Tensor, inner: int) -> tuple[Tensor, Sequence[int]]:
    """``x`` with all but ``inner`` dimensions as one, and what they were."""
    lead = x.shape[:-inner]
    return (x.flatten(0, -inner - 1) if lead else x.unsqueeze(0)), lead


def parted(x: Tensor, lead: Sequence[int]) -> Tensor:
    """The way back."""
    if len(lead) == 1:
        return x
    return x.unflatten(0, lead) if lead else x.squeeze(0)
