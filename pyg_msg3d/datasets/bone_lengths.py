"""Whether joints can be those of a skeleton: bones tie joints that are near."""

from collections.abc import Sequence

import numpy as np

from pyg_msg3d.data.errors import say_assumed
from pyg_msg3d.skeletons import Skeleton

#: Bones of this many times the length that they need have are likely to tie other
#: joints than are meant. Measured in real files: the joints of NW-UCLA, MSR Action3D
#: and UTKinect in their right order 1.1 to 1.3, COCO's in 2D 1.4, in another 1.5 to 3.
MOST_STRETCHED = 1.5


def stretched(x: np.ndarray, skeleton: Skeleton) -> float | None:
    r"""How long a skeleton's bones are by the shortest tree that could tie the joints,

    .. math::
        \frac{\sum_{(u, v) \in \mathrm{bones}} d_{uv} / |\mathrm{bones}|}
        {\sum_{(u, v) \in \mathrm{tree}} d_{uv} / (V - 1)}

    with :math:`d_{uv}` the mean distance of two joints over time. Of joints in another
    order than the skeleton's, bones run all over the body.

    Args:
        x (ndarray): Key points :math:`(M, T, V, C)`, zero where not seen.
        skeleton (Skeleton): Whose bones they are to be.

    Returns:
        The ratio, or :obj:`None` where too little was seen to tell.
    """
    found = []
    for body in x:
        seen = (body != 0).any(-1)
        whole = body[seen.all(1)]
        if len(whole) and skeleton.bones:
            away = np.linalg.norm(whole[:, :, None] - whole[:, None], axis=-1).mean(0)
            tree = _shortest_tree(away)
            if tree > 0:
                u, v = np.array(skeleton.bones).T
                found.append(away[u, v].mean() / tree)
    return float(np.median(found)) if found else None


def warn_of_bones(clips: Sequence[np.ndarray], skeleton: Skeleton) -> None:
    """Says so if the bones of a skeleton that was guessed are far longer than bones of
    these joints need be."""
    found = [ratio for x in clips if (ratio := stretched(x, skeleton)) is not None]
    if found and (median := float(np.median(found))) > MOST_STRETCHED:
        say_assumed(
            f'The joints are taken for those of {skeleton.name!r}, but its bones would '
            f'be {median:.1f} times as long as bones of these joints need be, where '
            f'{MOST_STRETCHED} is much. Are they in another order? skeleton=... says '
            f'whose they are'
        )


def _shortest_tree(away: np.ndarray) -> float:
    """The mean length of an edge of the minimum spanning tree (Prim)."""
    nearest, total = away[0].copy(), 0.0
    outside = np.arange(len(away)) > 0
    while outside.any():
        joint = int(np.where(outside, nearest, np.inf).argmin())
        total += nearest[joint]
        outside[joint] = False
        nearest = np.minimum(nearest, away[joint])
    return total / max(1, len(away) - 1)
