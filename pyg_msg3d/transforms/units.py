"""Whether coordinates of a 2D clip are pixels or shares of the image."""

from pyg_msg3d.data import SkeletonData, SkeletonDataError
from pyg_msg3d.data.errors import printable

# Pixels are tens and hundreds; who walks out of the image leaves [0, 1] a little.
_PIXELS = 2
_INSIDE, _MOSTLY = (-0.1, 1.1), 0.9


def are_shares(data: SkeletonData, size_known: bool) -> bool:
    r"""Whether the coordinates of a clip are shares of the image, :math:`[0, 1]`, and
    not pixels.

    Args:
        data (SkeletonData): The clip.
        size_known (bool): Whether somebody says how large the image is, and so that
            coordinates may be pixels.

    Raises:
        SkeletonDataError: If they are pixels, and the image's size is not known, or if
            they are neither.
    """
    seen = data.x[..., :2][data.seen]
    if not len(seen):
        return True
    if seen.abs().median() > _PIXELS:
        if not size_known:
            raise SkeletonDataError(
                f"'{printable(data.name)}' has coordinates in pixels, up to "
                f"{float(seen.max()):.0f}, but not the image's size. Say it with "
                f'image_size=(height, width), in the file or as an argument '
                f'(--image-size)'
            )
        return False
    low, high = _INSIDE
    inside = ((seen >= low) & (seen <= high)).double().mean()
    if inside < _MOSTLY and not size_known:
        raise SkeletonDataError(
            f"'{printable(data.name)}' has coordinates from {float(seen.min()):.3g} to "
            f'{float(seen.max()):.3g}: neither pixels nor shares of the image. Are '
            f"they normalised already? If they are pixels, say the image's size with "
            f'image_size=(height, width)'
        )
    return bool(inside >= _MOSTLY)
