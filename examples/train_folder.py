"""Trains MS-G3D on recordings of your own.

    python examples/train_folder.py ...

is the command pyg-msg3d train; --help lists its arguments.
"""

import sys

from pyg_msg3d.cli import main

if __name__ == '__main__':
    main(['train', *sys.argv[1:]])
