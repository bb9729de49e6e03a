"""Converts weights, or recordings.

    pyg-msg3d convert runs/mine/best.pt model.safetensors
    pyg-msg3d convert runs/mine/best.pt theirs.pt --to mmaction2
    pyg-msg3d convert UTD-MHAD/Skeleton my_folder

Weights: of anybody, to a .safetensors file with all that a checkpoint tells, or, with
--to, as the code of MS-G3D's authors, of MMAction2 or PYSKL loads them. Recordings, of
any format that is known: to a folder of .npz files with labels.csv.
"""

import argparse
from pathlib import Path

from pyg_msg3d.cli.data_arguments import add_data_arguments, given_skeleton, reading

HELP = 'convert weights or recordings'
_WEIGHTS = ('.pt', '.pth', '.safetensors')


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument('source', type=Path, help='weights, or recordings')
    parser.add_argument('target', type=Path, help='the file or folder to write')
    parser.add_argument(
        '--to',
        choices=('safetensors', 'official', 'mmaction2', 'pyskl'),
        default='safetensors',
        help='layout of weights (default: safetensors)',
    )
    add_data_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    if arguments.source.suffix.lower() in _WEIGHTS:
        _convert_weights(arguments)
    else:
        _convert_recordings(arguments)


def _convert_weights(arguments: argparse.Namespace) -> None:
    import io

    import torch

    from pyg_msg3d import MSG3D
    from pyg_msg3d.data.atomic import write_atomically

    given = given_skeleton(arguments)
    model = MSG3D.from_checkpoint(arguments.source, given)
    if arguments.to == 'safetensors':
        if arguments.target.suffix.lower() != '.safetensors':
            raise ValueError(
                f"Expected a file that ends in .safetensors (got '{arguments.target}')"
            )
        model.save(arguments.target)
    else:
        content = io.BytesIO()
        torch.save({'state_dict': model.to_checkpoint(arguments.to)}, content)
        with write_atomically(arguments.target) as file:
            file.write(content.getbuffer())
    print(f'Weights as {arguments.to}: {arguments.target}')


def _convert_recordings(arguments: argparse.Namespace) -> None:
    from collections.abc import Iterator

    from pyg_msg3d.data import SkeletonDataError
    from pyg_msg3d.io import SkeletonSequence, read, write_folder

    reader = read(
        arguments.source, skeleton=given_skeleton(arguments), **reading(arguments)
    )
    split_of = {name: split for split, names in reader.splits.items() for name in names}
    skipped: list[str] = []

    def recordings() -> Iterator[tuple[SkeletonSequence, str | None, str | None]]:
        for index, name in enumerate(reader.names):
            try:
                sequence = reader[index]
            except SkeletonDataError as error:
                skipped.append(str(error))
                continue
            label = sequence.label
            named = reader.classes[label] if label is not None and reader.classes else (
                None if label is None else str(label)
            )  # fmt: skip
            yield sequence, named, split_of.get(name)

    write_folder(arguments.target, recordings())
    done = len(reader) - len(skipped)
    joints = f', joints of {reader.skeleton!r}' if reader.skeleton else ''
    print(f'{done:,} recordings{joints}: {arguments.target}')
    for problem in skipped:
        print(f'Left out: {problem}')
