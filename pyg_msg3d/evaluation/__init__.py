"""What a model's scores are worth, and what several models' scores are together."""

from pyg_msg3d.evaluation.fuse import fuse
from pyg_msg3d.evaluation.metrics import Metrics, measure
from pyg_msg3d.evaluation.pictures import plot_confusion
from pyg_msg3d.evaluation.read_scores import read_labels, read_scores
from pyg_msg3d.evaluation.scores import Scores

__all__ = [
    'Metrics',
    'Scores',
    'fuse',
    'measure',
    'plot_confusion',
    'read_labels',
    'read_scores',
]
