"""Which dimension of an array is which, and what the numbers of a joint are."""

from collections.abc import Sequence

import numpy as np

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import say_assumed

_LETTERS = {
    'N': 'clips',
    'M': 'persons',
    'T': 'frames',
    'V': 'joints',
    'C': 'coordinates',
}
COORDINATES = ('xy', 'xyz', 'xyc', 'xyzc')
# More persons than this at a time are more likely frames.
_CROWD = 10
_FEW = 6
# Beyond this, coordinates are pixels, or millimetres.
_PIXELS = 10
# The joints of detectors in 2D, which write a confidence beside x and y.
_DETECTORS = (17, 18, 25, 26, 133, 136)


def to_mtvc(x: np.ndarray, layout: str | None, where: str) -> np.ndarray:
    r"""An array of key points as :math:`(M, T, V, C)`.

    Args:
        x (ndarray): The array.
        layout (str, optional): Its dimensions, a letter each: persons M, frames T,
            joints V, coordinates C. Without it, :obj:`'MTVC'` and :obj:`'TVC'` are
            taken, if the shape may not as well be another.
        where (str): What messages call it.

    Raises:
        SkeletonDataError: If the shape does not tell, or fits nothing.
    """
    if layout is None:
        layout = _recognise(x.shape, where)
    elif sorted(layout) not in (sorted('MTVC'), sorted('TVC')):
        raise SkeletonDataError(
            f"'{where}': 'layout' must name the dimensions M (persons), T (frames), V "
            f"(joints) and C (coordinates) once each, such as 'MTVC' or 'TVC' (got "
            f'{layout[:40]!r})'
        )
    elif len(layout) != x.ndim:
        raise SkeletonDataError(
            f"'{where}': expected {len(layout)} dimensions, as layout={layout!r} says "
            f'(got {list(x.shape)})'
        )
    x = x.transpose([layout.index(letter) for letter in 'MTVC' if letter in layout])
    x = x if x.ndim == 4 else x[None]
    if min(x.shape[1:]) < 1:
        raise SkeletonDataError(
            f"'{where}': expected at least one frame, joint and coordinate (got "
            f'{list(x.shape)})'
        )
    return x


def _recognise(shape: Sequence[int], where: str) -> str:
    shown = list(shape)
    if len(shape) == 3:
        if 1 <= shape[2] <= 5:
            return 'TVC'
        if shape[0] in (2, 3):
            _refuse(shown, ['CTV', 'CVT'], where)
    if len(shape) == 4:
        persons, frames, _, last = shape
        if 2 <= last <= 5:
            if persons == 3 and last == 2:
                _refuse(shown, ['MTVC', 'CTVM'], where)
            if persons > _CROWD and frames <= _FEW:
                _refuse(shown, ['MTVC', 'TMVC', 'NTVC'], where)
            if persons > _CROWD:
                _refuse(shown, ['NTVC', 'MTVC'], where)
            if persons == last:
                say_assumed(
                    f'Arrays {[*shown[:1], "frames", *shown[2:]]} are taken for '
                    f"{shown[0]} persons in {last} coordinates; layout='CTVM' if they "
                    f'are {shown[0]} coordinates of {last} persons'
                )
            return 'MTVC'
        if persons in (2, 3) and last == 1:
            say_assumed(
                f'Arrays {[*shown[:1], "frames", *shown[2:]]} are taken for '
                f"{persons} coordinates of one person, layout='CTVM'"
            )
            return 'CTVM'
        if persons in (2, 3):
            _refuse(shown, ['CTVM', 'CMTV', 'CTMV'], where)
    raise SkeletonDataError(
        f"'{where}': expected key points of shape [frames, joints, coordinates] or "
        f'[persons, frames, joints, coordinates] (got {shown}). Another order can be '
        f"given, such as layout='CTVM'"
    )


def _refuse(shape: list[int], layouts: list[str], where: str) -> None:
    said = ', or '.join(
        ' x '.join(f'{n} {_LETTERS[c]}' for n, c in zip(shape, layout, strict=True))
        + f' (layout={layout!r})'
        for layout in layouts
    )
    raise SkeletonDataError(
        f"'{where}': an array {shape} may be {said}; say which with layout=..."
    )


def split_score(
    x: np.ndarray, coordinates: str | None, where: str
) -> tuple[np.ndarray, np.ndarray | None]:
    r"""Coordinates and, where they stand beside them, scores, of an array
    :math:`(M, T, V, C)` that comes without scores of its own.

    Args:
        x (ndarray): The array.
        coordinates (str, optional): ``'xy'``, ``'xyz'``, or with a confidence ``'xyc'``
            or ``'xyzc'``. Without it, the numbers tell: a third one in [0, 1] beside
            pixels is a confidence.
        where (str): What messages call it.
    """
    if coordinates is None:
        coordinates = _what_numbers_are(x, where)
    elif coordinates not in COORDINATES:
        raise SkeletonDataError(
            f"'{where}': 'coordinates' must be one of {', '.join(COORDINATES)} (got "
            f'{coordinates[:40]!r})'
        )
    elif len(coordinates) != x.shape[-1]:
        raise SkeletonDataError(
            f"'{where}': expected {len(coordinates)} numbers a joint, as "
            f'coordinates={coordinates!r} says (got {list(x.shape)})'
        )
    if coordinates.endswith('c'):
        return np.ascontiguousarray(x[..., :-1]), x[..., -1].copy()
    return np.ascontiguousarray(x), None


def _what_numbers_are(x: np.ndarray, where: str) -> str:
    if x.shape[-1] not in (2, 3):
        raise SkeletonDataError(
            f"'{where}': expected 2 or 3 coordinates (got {list(x.shape)}); a score "
            f"belongs under 'score', or is named by coordinates='xyzc'"
        )
    if x.shape[-1] == 2:
        return 'xy'
    third = x[..., 2]
    third = third[~np.isnan(third)]
    if not third.any() or third.min() < 0 or third.max() > 1:
        return 'xyz'
    plane = x[..., :2]
    plane = plane[~np.isnan(plane)]
    if np.abs(plane).max(initial=0) > _PIXELS:
        say_assumed(
            f'Of {x.shape[2]} joints in pixels, the third number, in [0, 1], is taken '
            f"for a confidence; coordinates='xyz' if it is a coordinate"
        )
        return 'xyc'
    if (
        x.shape[2] in _DETECTORS
        and plane.min(initial=0) >= 0
        and plane.max(initial=0) <= 1
    ):
        say_assumed(
            f'Of {x.shape[2]} joints, all numbers are in [0, 1], and the third is '
            f"taken for a coordinate; coordinates='xyc' if it is a confidence"
        )
    return 'xyz'
