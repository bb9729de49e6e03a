"""Whether joints can be those of a skeleton: bones keep their lengths."""

import numpy as np

from pyg_msg3d.data.errors import say_assumed
from pyg_msg3d.skeletons import Skeleton

#: Beyond this, joints are likely to be in another order: depth cameras' bones vary by
#: about 5 % in their right order, and by 14 % and more in a wrong one.
most_variation = 0.10
_FEWEST_FRAMES = 5


def bone_variation(x: np.ndarray, skeleton: Skeleton) -> float | None:
    r"""How much bones change their lengths over time: of each body and bone the
    standard deviation of its length by its mean, and of these the median.

    Args:
        x (ndarray): Key points :math:`(M, T, V, 3)`, zero where not seen.
        skeleton (Skeleton): Whose bones they are to be.

    Returns:
        The variation, or :obj:`None` where too little was seen to tell.
    """
    seen = (x != 0).any(-1)
    found = []
    for u, v in skeleton.bones:
        length = np.linalg.norm(x[:, :, u] - x[:, :, v], axis=-1)
        both = seen[:, :, u] & seen[:, :, v]
        for body, there in zip(length, both, strict=True):
            known = body[there]
            if len(known) >= _FEWEST_FRAMES and known.mean() > 0:
                found.append(known.std() / known.mean())
    return float(np.median(found)) if found else None


def warn_of_bones(clips: list[np.ndarray], skeleton: Skeleton) -> None:
    """Says so if the bones of a skeleton that was guessed change their lengths by more
    than bones can."""
    found = [v for x in clips if (v := bone_variation(x, skeleton)) is not None]
    if found and (median := float(np.median(found))) > most_variation:
        say_assumed(
            f'The joints are taken for those of {skeleton.name!r}, but its bones would '
            f'vary by {median:.0%} in length over time, where {most_variation:.0%} is '
            f'much. Are they in another order? skeleton=... says whose they are'
        )
