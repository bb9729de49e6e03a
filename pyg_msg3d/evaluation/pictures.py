"""Pictures of how well a model does. Needs matplotlib."""

from collections.abc import Sequence
from os import PathLike

import numpy as np

from pyg_msg3d.visualize import pyplot

_MOST_NUMBERS = 15


def plot_confusion(
    confusion: np.ndarray, path: str | PathLike, classes: Sequence[str] = ()
) -> None:
    """Saves a confusion matrix as a picture: rows are classes, each adding up to
    100 %, columns what they were taken for.

    Args:
        confusion (ndarray): How many samples of each class (rows) were taken for each
            (columns).
        path (path): The file to write.
        classes (sequence of str, optional): The names of the classes.
    """
    plt = pyplot()
    number = len(confusion)
    names = [classes[i] if i < len(classes) else str(i) for i in range(number)]
    share = 100 * confusion / np.maximum(1, confusion.sum(1, keepdims=True))
    side = min(24, max(4, 0.28 * number))
    fig, ax = plt.subplots(figsize=(side + 2, side + 1), layout='constrained')
    image = ax.imshow(share, cmap='Blues', vmin=0, vmax=100)
    fig.colorbar(image, ax=ax, label='samples of the class [%]', shrink=0.7)
    size = 8 if number <= _MOST_NUMBERS else 6
    ax.set_xticks(range(number), names, rotation=90, fontsize=size)
    ax.set_yticks(range(number), names, fontsize=size)
    ax.set_xlabel('taken for')
    ax.set_ylabel('class')
    if number <= _MOST_NUMBERS:
        for row, column in np.argwhere(confusion > 0):
            colour = 'white' if share[row, column] > 50 else 'black'
            ax.text(
                column,
                row,
                f'{share[row, column]:.0f}',
                ha='center',
                va='center',
                color=colour,
                fontsize=8,
            )
    fig.savefig(path, dpi=110)
    plt.close(fig)
