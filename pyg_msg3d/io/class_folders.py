"""What the names of folders tell: classes and splits."""

from collections.abc import Collection, Mapping, Sequence
from os import PathLike

from pyg_msg3d.data.errors import printable, say_assumed

_TRAIN, _TEST = ('train', 'training'), ('test', 'testing')
_VALIDATION = ('val', 'valid', 'validation')
_SHOWN = 10


def splits_of(folders: Collection[str]) -> dict[str, str]:
    """The splits that folders are, or none where one of them is no split. Validation is
    the test where there is no other."""
    if not folders or not set(folders) <= {*_TRAIN, *_TEST, *_VALIDATION}:
        return {}
    has_test = any(name in folders for name in _TEST)
    names = {**dict.fromkeys(_TRAIN, 'train'), **dict.fromkeys(_TEST, 'test')}
    names |= dict.fromkeys(_VALIDATION, 'val' if has_test else 'test')
    return {name: names[name] for name in folders}


def say_classes(
    path: str | PathLike, classes: Sequence[str], splits: Mapping[str, str]
) -> None:
    """Says which folders are taken for classes, and which for splits."""
    shown = ', '.join(printable(name, 40) for name in classes[:_SHOWN])
    more = f', ... ({len(classes)})' if len(classes) > _SHOWN else ''
    of = ', '.join(f'{name} as {split!r}' for name, split in sorted(splits.items()))
    say_assumed(
        f"The folders in '{printable(path)}' are taken for classes: {shown}{more}; "
        + (f'for splits: {of}; ' if of else '')
        + 'labels.csv there (file, label, split) if they are not'
    )
