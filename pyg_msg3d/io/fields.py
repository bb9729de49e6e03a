"""What several formats hold alike, checked."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable

# Far more than any data set has, and few enough to make tables of.
_MOST_CLASSES = 100_000
_LONGEST_NAME = 1000
_DEEPEST = 8


def as_whole(value: Any, where: str) -> int | None:
    """A whole number from 0, or None where there is none."""
    if value is None:
        return None
    value = _plain(value)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | np.integer)
        or not 0 <= value < 2**31
    ):
        raise SkeletonDataError(
            f"'{where}': expected a whole number from 0 (got {_show(value)})"
        )
    return int(value)


def as_label(value: Any, where: str, first_label: int | None = None) -> int | None:
    """A class, counted from 0, or None where it is not known: absent, empty or
    negative. The file counts from ``first_label``."""
    value = _plain(value)
    if value is None or (isinstance(value, str) and value.strip() in ('', '-1')):
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise SkeletonDataError(
            f"'{where}': expected a class, a whole number from 0, or -1 where it is "
            f'not known (got {_show(value)})'
        )
    if value < 0:
        return None
    label = int(value) - (first_label or 0)
    if not 0 <= label < _MOST_CLASSES:
        raise SkeletonDataError(
            f"'{where}': expected a class from {first_label or 0} to "
            f'{_MOST_CLASSES + (first_label or 0) - 1} (got {_show(value)})'
        )
    return label


def check_first_label(
    labels: Sequence[int | None], first_label: int | None, where: str
) -> None:
    """Refuses labels that may be counted from 1 or from 0: all of 1 to K, and none 0.

    Args:
        labels (sequence): As the file has them, with nothing subtracted.
        first_label (int, optional): What settles it.
        where (str): What messages call the file.
    """
    known = {label for label in labels if label is not None}
    if first_label is None and len(known) > 1 and known == {*range(1, len(known) + 1)}:
        raise SkeletonDataError(
            f"'{where}': the labels are 1 to {len(known)}, and none is 0. Do they "
            f'count from 1, or has class 0 no recording? Say which with '
            f'first_label=1 or first_label=0'
        )


def as_name(value: Any, where: str) -> str:
    """What identifies a recording."""
    if not isinstance(value, str) or not value:
        raise SkeletonDataError(
            f"'{where}': expected a name, a string that identifies the recording (got "
            f'{_show(value)})'
        )
    if len(value) > _LONGEST_NAME:
        raise SkeletonDataError(
            f"'{where}': a name has {len(value):,} characters, more than "
            f'{_LONGEST_NAME:,} ({value[:40]!r}...)'
        )
    return str(value)


def as_image_size(value: Any, where: str) -> tuple[int, int] | None:
    """Height and width in pixels, or None where they are not known."""
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(
            isinstance(n, int | np.integer)
            and not isinstance(n, bool)
            and 0 < n < 2**31
            for n in value
        )
    ):
        raise SkeletonDataError(
            f"'{where}': expected the image's height and width in pixels (got "
            f'{_show(value)})'
        )
    return int(value[0]), int(value[1])


def as_floats(value: Any, where: str, group: int = 0) -> np.ndarray:
    r"""A float32 array of numbers that nested lists, or an array, hold.

    In lists, :obj:`None` (null) stands for what was not seen, wherever a number, a
    joint, a body or a whole frame should be, and becomes zero.

    Args:
        value (list or ndarray): The numbers.
        where (str): What messages call it.
        group (int, optional): In flat lists, how many numbers are one joint, which is
            null as a whole or not at all; by default the innermost list is one.
    """
    try:
        if isinstance(value, np.ndarray):
            if value.dtype.kind not in 'fiu':
                raise TypeError(f'got an array of {value.dtype}')
        elif not isinstance(value, list):
            raise TypeError(f'got {_show(value)}')
        elif _has_null(value):
            return _without_null(value, group)
        # Asked for any type, numpy would make long strings of numbers beside a string.
        with np.errstate(over='ignore'):  # Infinities are refused later.
            return np.array(value, dtype=np.float32)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SkeletonDataError(
            f"'{where}': expected an array of numbers ({printable(error, 120)})"
        ) from error


def _has_null(value: list, depth: int = 0) -> bool:
    if depth > _DEEPEST:
        raise ValueError('lists in lists in lists without end')
    # Lists of numbers are looked through at the speed of C.
    return None in value or any(
        _has_null(part, depth + 1) for part in value if isinstance(part, list)
    )


def _without_null(value: list, group: int) -> np.ndarray:
    """Nested lists as an array, with zeros where null was."""
    shape = _shape(value)
    if math.prod(shape) > 8 * _entries(value) + (1 << 20):
        raise ValueError(f'next to all of {shape} is null')
    filled = np.zeros(shape, np.float32)
    _fill(filled, value, group)
    return filled


def _shape(value: list) -> list[int]:
    """The lengths of nested lists, where they are not null."""
    parts = [part for part in value if isinstance(part, list)]
    return [len(value), *max(map(_shape, parts), key=len, default=[])]


def _entries(value: list) -> int:
    parts = [part for part in value if isinstance(part, list)]
    return len(value) + sum(map(_entries, parts))


def _fill(out: np.ndarray, value: Any, group: int) -> None:
    if value is None:
        return
    if not isinstance(value, list) or len(value) != len(out):
        raise ValueError(f'expected {len(out)} numbers or lists (got {_show(value)})')
    if out.ndim > 1:
        for part, place in zip(value, out, strict=False):
            _fill(place, part, group)
        return
    size = group or len(value)
    for begin in range(0, len(value), size):
        joint = value[begin : begin + size]
        if None not in joint:
            out[begin : begin + size] = joint
        elif any(number is not None for number in joint):
            raise ValueError(f'a joint that is null in part: {joint[:5]}')


def _plain(value: Any) -> Any:
    """What an array or scalar of numpy's with one element holds."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return value.item() if isinstance(value, np.generic) else value


def _show(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        # Python refuses to print numbers of thousands of digits.
        if abs(value) >= 10**20:
            return f'a number of {math.ceil(value.bit_length() * 0.30103)} digits'
        return str(value)
    if isinstance(value, float | str | bool | None):
        return printable(repr(value), 60)
    if isinstance(value, list | tuple):
        return f'a {type(value).__name__} of {len(value)}'
    return type(value).__name__
