"""Trains MS-G3D on recordings of your own.

    python examples/train_folder.py ...

is the command pyg-msg3d train; --help lists its arguments.
"""

import sys

from pyg_msg3d.cli import main
from pyg_msg3d.cli.train_command import load  # noqa: F401  Its clips, for scripts.

if __name__ == '__main__':
    # Before there was the command, the data had an option.
    main(['train', *(word for word in sys.argv[1:] if word != '--data')])
