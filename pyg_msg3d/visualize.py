"""Pictures of skeletons, still and moving. Needs matplotlib."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from pyg_msg3d.data.errors import printable
from pyg_msg3d.skeletons import Skeleton

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Left, right and the middle; of further persons, lighter ones.
_LEFT, _RIGHT, _MIDDLE = 'tab:blue', 'tab:orange', 'dimgray'
_SHADES = (1.0, 0.55, 0.4, 0.3)
_PERSON_COLOURS = ('tab:blue', 'tab:orange', 'tab:green', 'tab:red')
# What is high and low on a body, by the names of joints.
_HIGH = ('head', 'nose', 'neck', 'shoulder')
_LOW = ('foot', 'ankle', 'toe', 'knee', 'hip', 'pelvis', 'spine base')


def animate(
    x: Tensor,
    skeleton: Skeleton | None,
    path: str | PathLike,
    title: str = '',
    fps: int = 15,
    weights: Sequence[float] | Tensor | None = None,
    step: int = 1,
) -> None:
    """Saves a clip as an animated GIF: left limbs blue, right ones orange, the body
    upright, whatever axis is up; each with the number of the frame.

    Args:
        x (Tensor): The joints ``[persons, frames, joints, channels]``. Zero joints,
            which were not seen, are left out.
        skeleton (Skeleton or None): The skeleton; without one, joints alone are drawn,
            each person in a colour.
        path (path): The file to write, ending in ``.gif``.
        title (str, optional): A line above the picture.
        fps (int, optional): Frames per second.
        weights (sequence of float, optional): How much each joint counts, in [0, 1]:
            the more, the larger it is drawn.
        step (int, optional): How many frames of the recording one here stands for.
    """
    plt = pyplot()
    from matplotlib.animation import FuncAnimation, PillowWriter

    fig, ax = plt.subplots(figsize=(3, 3.2), dpi=80)
    plane = upright(x, skeleton)
    limits = _limits(plane)
    frames = x.size(1)

    def draw(frame: int) -> list[Any]:
        ax.clear()
        draw_frame(ax, plane[:, frame], skeleton, limits, weights)
        ax.set_title(printable(title, 60), fontsize=9)
        shown = f'frame {frame * step + 1} of {(frames - 1) * step + 1}'
        ax.text(0.5, 0, shown, transform=ax.transAxes, ha='center', fontsize=7)
        return []

    animation = FuncAnimation(fig, draw, frames=frames)
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
        plane = upright(x, skeleton)
        limits = _limits(plane)
        shown = np.linspace(0, x.size(1) - 1, frames).round().astype(int)
        for ax, frame in zip(row, shown, strict=True):
            draw_frame(ax, plane[:, frame], skeleton, limits)
        row[0].set_title(printable(title, 60), fontsize=9, loc='left')
    fig.tight_layout(pad=0.3)
    fig.savefig(path, dpi=100)
    plt.close(fig)


def draw_frame(
    ax: 'Axes',
    joints: np.ndarray,
    skeleton: Skeleton | None,
    limits: tuple[np.ndarray, np.ndarray],
    weights: Sequence[float] | Tensor | None = None,
) -> None:
    """Draws the persons of one frame, ``[persons, joints, 2]``, to the side and up."""
    sizes: Any = 4
    if weights is not None:
        sizes = 4 + 60 * np.asarray(weights)
    sides = _sides(skeleton)
    for number, person in enumerate(joints[: len(_SHADES)]):
        seen = (person != 0).any(-1)
        shade = _SHADES[number]
        if skeleton is None:
            colours: Any = [_PERSON_COLOURS[number]] * len(person)
        else:
            colours = [{-1: _RIGHT, 0: _MIDDLE, 1: _LEFT}[side] for side in sides]
            for u, v in skeleton.bones:
                if seen[u] and seen[v]:
                    colour = colours[u] if sides[u] == sides[v] else _MIDDLE
                    colour = colours[v] if sides[u] == 0 else colour
                    colour = colours[u] if sides[v] == 0 else colour
                    ax.plot(*person[[u, v]].T, color=colour, linewidth=1.5, alpha=shade)
        ax.scatter(
            person[seen, 0],
            person[seen, 1],
            color=[c for c, there in zip(colours, seen, strict=True) if there],
            s=sizes if weights is None else sizes[seen],
            alpha=shade,
        )
    low, high = limits
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_aspect('equal')
    ax.set_axis_off()


def upright(x: Tensor, skeleton: Skeleton | None) -> np.ndarray:
    """A clip seen from the front, ``[persons, frames, joints, 2]``: to the side, and
    up, as heads and feet tell it; images, in which y points down, without those."""
    array = x.numpy()
    seen = (array != 0).any(-1)
    axis, sign = (1, -1 if array.shape[-1] == 2 else 1)
    if skeleton is not None:
        high, low = (
            [v for v, name in enumerate(skeleton.joints) if _has(name, words)]
            for words in (_HIGH, _LOW)
        )
        there = seen[:, :, high].any(-1) & seen[:, :, low].any(-1)
        if high and low and there.any():
            top = _mean(array[:, :, high][there], seen[:, :, high][there])
            bottom = _mean(array[:, :, low][there], seen[:, :, low][there])
            up = np.median(top - bottom, axis=0)
            axis = int(np.abs(up[1:]).argmax()) + 1
            sign = 1 if up[axis] >= 0 else -1
    plane = np.stack([array[..., 0], sign * array[..., axis]], axis=-1)
    return np.where(seen[..., None], plane, 0)


def picture_file(folder: Path, name: str, taken: set[Path]) -> Path:
    """The file of a recording's animation in a folder: of another name than those that
    are taken, of which it then is one."""
    plain = printable(name, 100).replace('/', '_').replace('\\', '_')
    path, number = folder / f'{plain}.gif', 1
    while path in taken:
        number += 1
        path = folder / f'{plain}-{number}.gif'
    taken.add(path)
    return path


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


def _sides(skeleton: Skeleton | None) -> list[int]:
    """Of each joint whether it is left (1), right (-1) or in the middle (0)."""
    if skeleton is None:
        return []
    sides = [0] * skeleton.num_joints
    for left, right in skeleton.pairs:
        sides[left], sides[right] = 1, -1
    return sides


def _has(name: str, words: Sequence[str]) -> bool:
    return any(word in name for word in words) and 'hand' not in name


def _mean(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The middle of the points that were seen ``[bodies, C]``."""
    count = np.maximum(1, seen.sum(-1, keepdims=True))
    return (points * seen[..., None]).sum(-2) / count


def _limits(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A frame around all that is seen of a clip."""
    seen = x[(x != 0).any(-1)]
    if len(seen) == 0:
        return np.zeros(2) - 1, np.zeros(2) + 1
    margin = 0.05 * np.ptp(seen, axis=0).max() + 1e-3
    return seen.min(0) - margin, seen.max(0) + margin
