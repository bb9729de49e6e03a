"""Shows what a data set holds, before anything is trained on it.

    pyg-msg3d inspect path/to/recordings

The path may be anything that pyg_msg3d reads: .skeleton files or the zip archive of
them, pickles of MMAction2 and PYSKL, arrays of the authors or of CTR-GCN,
Kinetics-skeleton, NW-UCLA, OpenPose's frames, or a folder of your own with labels.csv.

Prints counts per class and split, lengths, persons, missing joints and broken files;
draws them, and animates a sample of some classes. What files leave open is asked for,
or assumed and said; --layout, --coordinates, --first-label and --skeleton settle it.
Without a known skeleton, joints are drawn without bones.
"""

import argparse
import random
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from pyg_msg3d.cli.data_arguments import add_data_arguments, given_skeleton, reading
from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import printable
from pyg_msg3d.datasets.bone_lengths import warn_of_bones
from pyg_msg3d.io import Reader, read
from pyg_msg3d.skeletons import Skeleton, guess_skeleton, skeleton
from pyg_msg3d.visualize import animate, picture_file, pyplot

_MOST_NAMED, _MOST_MEASURED = 10, 20
HELP = 'show what recordings hold, before anything is trained on them'


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument('path', type=Path, help='the recordings')
    parser.add_argument('--limit', type=int, help='look at so many, chosen at random')
    parser.add_argument(
        '--samples', type=int, default=3, help='how many to animate (default: 3)'
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of what is chosen (default: 0)'
    )
    parser.add_argument(
        '--run-dir', type=Path, default=Path('runs/inspect'),
        help='folder of the pictures (default: runs/inspect)',
    )  # fmt: skip
    add_data_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Looks at recordings, prints and draws what they hold."""
    known = given_skeleton(args)
    reader = read(args.path, skeleton=known, **reading(args))
    print(f'{printable(args.path)}: {reader.format}, {len(reader):,} recordings')
    order = random.Random(args.seed).sample(range(len(reader)), len(reader))
    if reader.splits:
        sizes = (f'{split} {len(names):,}' for split, names in reader.splits.items())
        print(f'Splits: {", ".join(sizes)}')
    found = Findings(reader, known)
    for index in tqdm(sorted(order[: args.limit]), unit='recordings', disable=None):
        found.look_at(index)
    found.print()
    if not found.frames:
        return
    args.run_dir.mkdir(parents=True, exist_ok=True)
    found.draw(args.run_dir / 'dataset.png')
    print(f'\nPictures: {args.run_dir}/dataset.png')
    # As many classes as there are samples to show.
    taken: set[Path] = set()
    examples = {found.labels[index]: index for index in order if index in found.labels}
    for index in list(examples.values())[: args.samples]:
        sequence = reader[index]
        path = picture_file(args.run_dir, sequence.name, taken)
        bones = found.skeleton(*sequence.keypoints.shape[2:])
        title = found.class_name(sequence.label)
        step = -(-sequence.num_frames // 60)  # No more than 60 frames.
        x = torch.from_numpy(sequence.keypoints)
        animate(x[:, ::step], bones, path, title, step=step)
        print(f'          {path}, {title}')


class Findings:
    """What a data set holds."""

    def __init__(self, reader: Reader, known: Skeleton | None) -> None:
        self.reader = reader
        self.known = known
        self.split_of = {
            name: split for split, names in reader.splits.items() for name in names
        }
        self.overlapping = len(self.split_of) < sum(map(len, reader.splits.values()))
        self.frames: list[int] = []
        self.persons: list[int] = []
        self.shapes: Counter[tuple[int, int]] = Counter()
        self.labels: dict[int, int | None] = {}
        self.empty: list[str] = []
        self.broken: list[str] = []
        # Of the most frequent number of joints: in how many frames a body lacks each.
        self.missing: dict[int, np.ndarray] = {}
        self.bodies: Counter[int] = Counter()
        self.some: list[np.ndarray] = []

    def look_at(self, index: int) -> None:
        """Reads a recording and takes note of it."""
        try:
            sequence = self.reader[index]
        except SkeletonDataError as error:
            self.broken.append(str(error))
            return
        there = sequence.present
        if not there.any():
            self.empty.append(sequence.path or sequence.name)
            return
        joints, dims = sequence.keypoints.shape[2:]
        self.labels[index] = sequence.label
        self.frames.append(sequence.num_frames)
        self.persons.append(int(there.sum(0).max()))
        self.shapes[joints, dims] += 1
        bodies = sequence.keypoints[there]
        lacking = (bodies == 0).all(-1).sum(0)
        self.missing[joints] = self.missing.get(joints, 0) + lacking
        self.bodies[joints] += len(bodies)
        if len(self.some) < _MOST_MEASURED:
            self.some.append(sequence.keypoints)

    def skeleton(self, joints: int, dims: int) -> Skeleton | None:
        """That of recordings of so many joints, if anybody can tell."""
        for candidate in (self.known, self.reader.skeleton):
            if candidate is not None and skeleton(candidate).num_joints == joints:
                return skeleton(candidate)
        try:
            return guess_skeleton(joints, dims)
        except SkeletonDataError:
            return None

    def class_name(self, label: int | None) -> str:
        """What messages call a class."""
        if label is None:
            return 'no label'
        names = self.reader.classes
        return printable(names[label]) if label < len(names) else f'class {label}'

    def counts(self) -> tuple[list[str], list[str], np.ndarray]:
        """Classes, splits, and the numbers of recordings [classes, splits]."""
        # Where splits overlap, as those of several protocols do, they say nothing.
        splits = [] if self.overlapping else list(self.reader.splits)
        columns = splits or ['all']
        labels = sorted(set(self.labels.values()), key=lambda v: (v is None, v))
        table = np.zeros((len(labels), len(columns)), int)
        for index, label in self.labels.items():
            split = self.split_of.get(self.reader.names[index], 'all')
            if split not in columns:
                split = columns[0]
            table[labels.index(label), columns.index(split)] += 1
        return [self.class_name(label) for label in labels], columns, table

    def print(self) -> None:
        """Prints it as tables."""
        print(
            f'{len(self.frames):,} readable, {len(self.empty):,} without any body, '
            f'{len(self.broken):,} broken'
        )
        for reason in self.broken[:_MOST_NAMED]:
            print(f'    {reason}')
        if len(self.broken) > _MOST_NAMED:
            print(f'    ... and {len(self.broken) - _MOST_NAMED:,} more')
        for path in self.empty[:_MOST_NAMED]:
            print(f'    nobody in {printable(path)}')
        if not self.frames:
            return
        for (joints, dims), count in self.shapes.most_common():
            print(f'{count:,} with {joints} joints in {dims} dimensions')

        joints, dims = self.shapes.most_common(1)[0][0]
        bones = self.skeleton(joints, dims)
        if bones is not None:
            some = [x for x in self.some if x.shape[2:] == (joints, dims)]
            print(f'Taken for joints of {bones.name!r}')
            warn_of_bones(some, bones)

        print(f'\n{"":10}{"min":>8}{"25 %":>8}{"median":>8}{"75 %":>8}{"max":>8}')
        for name, values in (('frames', self.frames), ('persons', self.persons)):
            quantiles = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
            print(f'{name:10}' + ''.join(f'{value:8.0f}' for value in quantiles))

        names, columns, table = self.counts()
        width = max(map(len, names))
        print(f'\n{"class":{width}}' + ''.join(f'{column:>8}' for column in columns))
        for name, row in zip(names, table, strict=True):
            print(f'{name:{width}}' + ''.join(f'{count:8,}' for count in row))
        print(f'{"sum":{width}}' + ''.join(f'{count:8,}' for count in table.sum(0)))

        names, missing, bodies = self.missing_joints()
        if missing.any():
            print('\nJoints missing (zero) where their body is there, the worst:')
            for joint in np.argsort(-missing)[:5]:
                if missing[joint]:
                    print(f'    {names[joint]:16} {missing[joint]:,} of {bodies:,}')
        else:
            print('\nNo joint is missing where its body is there.')

    def missing_joints(self) -> tuple[list[str], np.ndarray, int]:
        """Joints, how many bodies lack each, and how many bodies there are."""
        joints, dims = self.shapes.most_common(1)[0][0]
        known = self.skeleton(joints, dims)
        names = [*known.joints] if known else [str(joint) for joint in range(joints)]
        return names, self.missing[joints], self.bodies[joints]

    def draw(self, path: Path) -> None:
        """Saves it as a picture."""
        plt = pyplot()
        names, columns, table = self.counts()
        joints, missing, bodies = self.missing_joints()
        height = max(5, 0.16 * max(len(names), len(joints)))
        fig, axes = plt.subplots(1, 4, figsize=(15, height), layout='constrained')
        left = np.zeros(len(names))
        for column, counts in zip(columns, table.T, strict=True):
            axes[0].barh(names, counts, left=left, label=column)
            left += counts
        axes[0].set_title('recordings per class')
        if len(columns) > 1:
            fig.legend(loc='outside lower left', ncols=len(columns))
        low, high = min(self.frames), max(self.frames)
        width = -(-(high - low + 1) // 40)  # Whole frames, at most 40 bars.
        axes[1].hist(self.frames, bins=np.arange(low, high + width + 1, width))
        axes[1].set_title('frames of a recording')
        number = Counter(self.persons)
        axes[2].bar(
            [str(n) for n in sorted(number)], [number[n] for n in sorted(number)]
        )
        axes[2].set_title('bodies at a time, at most')
        axes[3].barh(joints, 100 * missing / bodies)
        axes[3].set_xlim(0, max(1, 110 * (missing / bodies).max()))
        axes[3].set_title('bodies that lack a joint [%]')
        for ax in (axes[0], axes[3]):
            ax.invert_yaxis()
            ax.tick_params(axis='y', labelsize=7)
        fig.savefig(path, dpi=100)
        plt.close(fig)
