"""Exports a model for programs that do not know this package.

    python examples/export.py ...

is the command pyg-msg3d export; --help lists its arguments.
"""

import sys

from pyg_msg3d.cli import main

if __name__ == '__main__':
    main(['export', *sys.argv[1:]])
