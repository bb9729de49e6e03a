"""The command ``pyg-msg3d``."""

import argparse
import importlib
import sys
from collections.abc import Sequence

_DESCRIPTION = """\
MS-G3D for skeleton-based action recognition. From files to an answer:

    pyg-msg3d inspect my_data
    pyg-msg3d train my_data
    pyg-msg3d predict clip.npy --checkpoint runs/mine/best.pt

my_data is a folder with a folder of recordings for each class, or anything else that
the library reads: MediaPipe, OpenPose, AlphaPose, MMPose, Kinect, NTU RGB+D, ...
"""
# Each is a module of this package with HELP, add(parser) and run(arguments).
COMMANDS = ('inspect', 'train', 'test', 'predict', 'ensemble', 'export', 'convert')


def main(words: Sequence[str] | None = None) -> None:
    """Runs a command of words; by default those that the program was called with."""
    from pyg_msg3d import __version__

    words = sys.argv[1:] if words is None else [str(word) for word in words]
    parser = argparse.ArgumentParser(
        'pyg-msg3d',
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=__version__)
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    chosen = next((word for word in words if word in COMMANDS), None)
    for name in COMMANDS:
        module = importlib.import_module(f'pyg_msg3d.cli.{name}_command')
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            module.add(command)
            command.set_defaults(run=module.run)
    arguments = parser.parse_args(words)
    from pyg_msg3d.training.command_line import plain_errors

    with plain_errors():
        arguments.run(arguments)
