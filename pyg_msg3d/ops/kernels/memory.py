"""Where operators write their results."""

from math import prod

from torch import Tensor


def empty(like: Tensor, *shape: int) -> Tensor:
    """An uninitialised tensor of that shape, with a little room behind it in memory.

    The features of a model are mostly of one size, and glibc before 2.38 cannot put an
    aligned block where another of the same size was: without room, a training step
    leaves holes of a tenth of its memory.
    """
    return unviewed(like.new_empty(prod(shape) + _ROOM)[: prod(shape)].view(shape))


# Elements, at least what the alignment needs.
_ROOM = 128


def unviewed(x: Tensor) -> Tensor:
    """The same memory, as a tensor that is no view: autograd does not let views that
    were made within an operator be changed in place."""
    room, first = x.untyped_storage(), x.storage_offset()
    return x.new_empty(0).set_(room, first, x.shape, x.stride())  # type: ignore[call-overload]
