"""Fuses the scores of several streams: their weighted sum, sample by sample.

    python examples/ensemble.py ...

is the command pyg-msg3d ensemble; --help lists its arguments.
"""

import sys

from pyg_msg3d.cli import main

if __name__ == '__main__':
    main(['ensemble', *sys.argv[1:]])
