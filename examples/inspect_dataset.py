"""Shows what a data set holds, before anything is trained on it.

    python examples/inspect_dataset.py ...

is the command pyg-msg3d inspect; --help lists its arguments.
"""

import sys

from pyg_msg3d.cli import main

if __name__ == '__main__':
    main(['inspect', *sys.argv[1:]])
