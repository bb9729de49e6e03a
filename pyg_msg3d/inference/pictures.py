"""Pictures of predictions. Needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pyg_msg3d.inference.prediction import Predictions
from pyg_msg3d.inference.predictor import Predictor
from pyg_msg3d.visualize import animate, picture_file

_MOST_FRAMES = 60


def draw_predictions(
    predictor: Predictor,
    sources: Sequence[Any],
    predictions: Predictions,
    folder: Path,
    **options: Any,
) -> list[Path]:
    """Saves an animation of each recording, window or person, with the class, its
    probability, and the joints that mattered for it drawn large.

    Args:
        predictor (Predictor): What has predicted.
        sources (sequence): What was predicted.
        predictions (Predictions): What came of it.
        folder (path): Where to.
        **options (optional): With which arguments.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prepared = predictor.prepared(sources, **options)
    taken: set[Path] = set()
    for made, one in zip(prepared, predictions, strict=True):
        stream = predictor.streams[0]
        label = stream.classes.index(one.label)
        weights = stream.joints_that_mattered(made.clips[0], label)
        x = torch.from_numpy(made.sequence.keypoints)
        step = -(-x.size(1) // _MOST_FRAMES)
        path = picture_file(folder, one.where, taken)
        title = f'{one.label} {one.confidence:.0%}'
        animate(
            x[:, ::step], predictor.skeleton, path, title, weights=weights, step=step
        )
    return sorted(taken)
