"""Training and testing MS-G3D, on one process or many."""

from pyg_msg3d.training.checkpoints import CheckpointError, read_notes
from pyg_msg3d.training.checks import check_fit
from pyg_msg3d.training.command_line import (
    add_arguments,
    collect,
    peek,
    plain_errors,
    recipe_argument,
)
from pyg_msg3d.training.predict import predict
from pyg_msg3d.training.record import Epoch, plot_history
from pyg_msg3d.training.run import Run, record_result, train_and_test
from pyg_msg3d.training.settings import RECIPES, Settings
from pyg_msg3d.training.trainer import Interrupted, Trainer
from pyg_msg3d.training.world import World, join

__all__ = [
    'RECIPES',
    'CheckpointError',
    'Epoch',
    'Interrupted',
    'Run',
    'Settings',
    'Trainer',
    'World',
    'add_arguments',
    'check_fit',
    'collect',
    'join',
    'plain_errors',
    'plot_history',
    'peek',
    'predict',
    'read_notes',
    'recipe_argument',
    'record_result',
    'train_and_test',
]
