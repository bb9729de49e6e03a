"""How much reading may take: a small file must not become a large array."""

import math
from collections.abc import Sequence

from pyg_msg3d.data import SkeletonDataError

# What reading promises is 20 times the file and 16 MB more; arrays get what parsers
# leave of it.
_TIMES, _MORE = 8, 8 << 20
_EXPANSION, _EXPANSION_MORE = 16, 8 << 20
# Of arrays without an element, which take no memory but whose sizes are looped over.
_LARGEST_EMPTY = 1 << 24


def check_array(
    shape: tuple[int, ...], itemsize: int, num_bytes: int, name: str
) -> None:
    """Refuses an array that is out of all proportion to the file of that many bytes.
    Frames without anybody count as if somebody were there."""
    needed = math.prod(max(1, n) for n in shape) * itemsize
    if needed > _TIMES * num_bytes + _MORE:
        raise SkeletonDataError(
            f"'{name}': its {num_bytes} bytes unfold to {list(shape)}, {needed} bytes "
            f'that are nearly all empty. Look for a wrong frame number or count'
        )


def check_empty(shape: Sequence[int], name: str) -> None:
    """Refuses an array without any element whose other sizes are beyond measure."""
    if 0 in shape and math.prod(max(1, n) for n in shape) > _LARGEST_EMPTY:
        raise SkeletonDataError(
            f"'{name}': expected key points (got none, in an array {list(shape)})"
        )


def check_expansion(expanded: int, packed: int, name: str) -> None:
    """Refuses compressed content that grows out of all proportion."""
    if expanded > _EXPANSION * packed + _EXPANSION_MORE:
        raise SkeletonDataError(
            f"'{name}': {packed} compressed bytes would unfold to {expanded}. If you "
            f'trust the file, unpack it yourself and read that'
        )
