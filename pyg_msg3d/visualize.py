"""Pictures of skeletons, still and moving. Needs matplotlib."""

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from pyg_msg3d.skeletons import Skeleton

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ('tab:blue', 'tab:orange', 'tab:green', 'tab:red')


def animate(
    x: Tensor,
    skeleton: Skeleton | None,
    path: str | PathLike,
    title: str = '',
    fps: int = 15,
) -> None:
    """Saves a clip as an animated GIF, each person in a colour of their own.

    Args:
        x (Tensor): The joints ``[persons, frames, joints, channels]``, the first two
            channels to the side and up; a third is depth. Zero joints, which were not
            seen, are left out.
        skeleton (Skeleton or None): The skeleton; without one, joints alone are drawn.
        path (path): The file to write, ending in ``.gif``.
        title (str, optional): A line above the picture.
        fps (int, optional): Frames per second.
    """
    plt = pyplot()
    from matplotlib.animation import FuncAnimation, PillowWriter

    fig, ax = plt.subplots(figsize=(3, 3), dpi=80)
    limits = _limits(x)

    def draw(frame: int) -> list[Any]:
        ax.clear()
        draw_frame(ax, x[:, frame], skeleton, limits)
        ax.set_title(title, fontsize=10)
        return []

    animation = FuncAnimation(fig, draw, frames=x.size(1))
    animation.save(str(path), writer=PillowWriter(fps=fps))
    plt.close(fig)


def contact_sheet(
    clips: Sequence[tuple[str, Tensor]],
    skeleton: Skeleton,
    path: str | PathLike,
    frames: int = 8,
) -> None:
    """Saves one row per clip, some of its frames side by side, as a still picture.

    Args:
        clips (sequence): The title and the joints of each clip, as in
            :func:`animate`.
        skeleton (Skeleton): The skeleton.
        path (path): The file to write.
        frames (int, optional): How many frames of each clip.
    """
    plt = pyplot()
    fig, axes = plt.subplots(
        len(clips),
        frames,
        figsize=(1.3 * frames, 1.4 * len(clips)),
        squeeze=False,
    )
    for row, (title, x) in zip(axes, clips, strict=True):
        limits = _limits(x)
        shown = np.linspace(0, x.size(1) - 1, frames).round().astype(int)
        for ax, frame in zip(row, shown, strict=True):
            draw_frame(ax, x[:, frame], skeleton, limits)
        row[0].set_title(title, fontsize=9, loc='left')
    fig.tight_layout(pad=0.3)
    fig.savefig(path, dpi=100)
    plt.close(fig)


def draw_frame(
    ax: 'Axes',
    joints: Tensor,
    skeleton: Skeleton | None,
    limits: tuple[np.ndarray, np.ndarray],
) -> None:
    """Draws the persons of one frame, ``[persons, joints, channels]``."""
    for person, colour in zip(joints.numpy(), _COLOURS, strict=False):
        seen = (person != 0).any(-1)
        for u, v in skeleton.bones if skeleton is not None else ():
            if seen[u] and seen[v]:
                ax.plot(*person[[u, v], :2].T, color=colour, linewidth=1.5)
        ax.scatter(person[seen, 0], person[seen, 1], color=colour, s=4)
    low, high = limits
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_aspect('equal')
    ax.set_axis_off()


def _limits(x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """A frame around all that is seen of a clip."""
    seen = x[(x != 0).any(-1)][:, :2].numpy()
    if len(seen) == 0:
        return np.zeros(2) - 1, np.zeros(2) + 1
    margin = 0.05 * np.ptp(seen, axis=0).max() + 1e-3
    return seen.min(0) - margin, seen.max(0) + margin


def pyplot() -> Any:
    """Matplotlib's module, drawing to files."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            'Pictures need matplotlib: pip install pyg_msg3d[examples]'
        ) from error
    matplotlib.use('Agg')  # Files only; works without a screen.
    import matplotlib.pyplot as plt

    return plt
