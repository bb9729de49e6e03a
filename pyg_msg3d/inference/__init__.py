"""From a recording to an answer."""

from pyg_msg3d.inference.prediction import Prediction, Predictions
from pyg_msg3d.inference.predictor import Predictor

__all__ = ['Prediction', 'Predictions', 'Predictor']
