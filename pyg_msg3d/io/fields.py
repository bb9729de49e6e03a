"""What several formats hold alike, checked."""

from typing import Any

import numpy as np

from pyg_msg3d.data import SkeletonDataError


def as_whole(value: Any, where: str) -> int | None:
    """A class, or another whole number from 0, or None where there is none."""
    if value is None:
        return None
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if (
        isinstance(value, bool)
        or not isinstance(value, int | np.integer)
        or not 0 <= value < 2**31
    ):
        raise SkeletonDataError(
            f"'{where}': expected a whole number from 0 (got {_show(value)})"
        )
    return int(value)


def as_image_size(value: Any, where: str) -> tuple[int, int] | None:
    """Height and width in pixels, or None where they are not known."""
    if value is None:
        return None
    if not (
        isinstance(value, list | tuple | np.ndarray)
        and len(value) == 2
        and all(isinstance(n, int | np.integer) and 0 < n < 2**31 for n in value)
    ):
        raise SkeletonDataError(
            f"'{where}': expected the image's height and width in pixels (got "
            f'{_show(value)})'
        )
    return int(value[0]), int(value[1])


def as_floats(value: Any, where: str) -> np.ndarray:
    """A float32 array of numbers that nested lists, or an array, hold."""
    try:
        if not isinstance(value, list | np.ndarray):
            raise TypeError(f'got {_show(value)}')
        if isinstance(value, np.ndarray) and value.dtype.kind not in 'fiu':
            raise TypeError(f'got an array of {value.dtype}')
        # Asked for any type, numpy would make long strings of numbers beside a string.
        with np.errstate(over='ignore'):  # Infinities are refused later.
            return np.array(value, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise SkeletonDataError(
            f"'{where}': expected an array of numbers ({str(error)[:120]})"
        ) from error


def _show(value: Any) -> str:
    if isinstance(value, int | float | str | None):
        return repr(value)[:60]
    return type(value).__name__
