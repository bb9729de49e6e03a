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
    100 %, columns what they were taken for; of few classes with the counts.

    Args:
        confusion (ndarray): How many samples of each class (rows) were taken for each
            (columns).
        path (path): The file to write.
        classes (sequence of str, optional): The names of the classes.
    """
    plt = pyplot()
    number = len(confusion)
    counts = confusion.sum(1)
    names = [classes[i] if i < len(classes) else str(i) for i in range(number)]
    rows = [f'{name} ({n})' for name, n in zip(names, counts, strict=True)]
    share = 100 * confusion / np.maximum(1, confusion.sum(1, keepdims=True))
    side = min(24, max(4, (0.42 if number <= _MOST_NUMBERS else 0.28) * number))
    fig, ax = plt.subplots(figsize=(side + 2, side + 1), layout='constrained')
    image = ax.imshow(share, cmap='Blues', vmin=0, vmax=100)
    fig.colorbar(image, ax=ax, label='samples of the class [%]', shrink=0.7)
    size = 8 if number <= _MOST_NUMBERS else 6
    ax.set_xticks(range(number), names, rotation=90, fontsize=size)
    ax.set_yticks(range(number), rows, fontsize=size)
    ax.set_xlabel('taken for')
    ax.set_ylabel('class (samples)')
    if number <= _MOST_NUMBERS:
        for row, column in np.argwhere(confusion > 0):
            colour = 'white' if share[row, column] > 50 else 'black'
            ax.text(
                column,
                row,
                f'{share[row, column]:.0f} %\n{confusion[row, column]}',
                ha='center',
                va='center',
                color=colour,
                fontsize=7,
            )
    fig.savefig(path, dpi=110)
    plt.close(fig)
