"""Where operators write their results."""

from math import prod

from torch import Tensor


def empty(like: Tensor, *shape: int) -> Tensor:
    """An uninitialised tensor of that shape, with a little room behind it in memory.

    The features of a model are mostly of one size, and glibc before 2.38 cannot put an
    aligned block where another of the same size was: without room, a training step
    leaves holes of a tenth of its memory.
    """
    room = like.new_empty(prod(shape) + _ROOM).untyped_storage()
    # Not a view, which autograd would not let be changed in place.
    return like.new_empty(0).set_(room, 0, shape)  # type: ignore[call-overload]


# Elements, at least what the alignment needs.
_ROOM = 128
