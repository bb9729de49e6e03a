"""What a user's own recordings are: the arguments of several commands."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyg_msg3d.skeletons import Skeleton, read_skeleton, skeleton, skeleton_names


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what says how files are to be read, where they leave that open."""
    group = parser.add_argument_group('recordings')
    group.add_argument('--layout', help='dimensions of arrays, such as MTVC or CTVM')
    group.add_argument(
        '--coordinates',
        choices=('xy', 'xyz', 'xyc', 'xyzc'),
        help='numbers of a joint in arrays, c being a confidence',
    )
    group.add_argument(
        '--first-label', type=int, help='number of the first class, 0 or 1'
    )
    group.add_argument(
        '--skeleton',
        help='a name, or a file of your own (.json, or lines: shoulder - elbow); by '
        'default that of the format',
    )
    group.add_argument(
        '--bones', type=bones, help='of your own skeleton, such as 0-1,1-2'
    )


def reading(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments of :func:`pyg_msg3d.io.read` that were given."""
    names = ('layout', 'coordinates', 'first_label')
    given = {name: getattr(arguments, name, None) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def given_skeleton(arguments: argparse.Namespace) -> Skeleton | None:
    """The skeleton that ``--skeleton`` names, or ``--bones`` make.

    Raises:
        ValueError: If there is none of that name, neither a file.
    """
    own = getattr(arguments, 'bones', None)
    if own is not None:
        last = max(joint for bone in own for joint in bone)
        return Skeleton('own', [str(joint) for joint in range(last + 1)], own)
    text = arguments.skeleton
    if text is None:
        return None
    if text not in skeleton_names() and Path(text).is_file():
        return read_skeleton(text)
    return skeleton(text)


def bones(text: str) -> list[tuple[int, int]]:
    """Bones of the command line."""
    pairs = [part.split('-') for part in text.split(',')]
    return [(int(u), int(v)) for u, v in pairs]


def image_size(text: str) -> tuple[int, int]:
    """An image's size of the command line."""
    height, width = (int(part) for part in text.split(','))
    return height, width


def words(text: str) -> Sequence[str]:
    """A list of the command line."""
    return [word.strip() for word in text.split(',') if word.strip()]
