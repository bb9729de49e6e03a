"""A user's own skeleton in a small file."""

import json
from os import PathLike
from pathlib import Path
from typing import Any

from pyg_msg3d.data.errors import SkeletonDataError, printable
from pyg_msg3d.skeletons.skeleton import Joint, Skeleton

_LARGEST = 1 << 20
_KEYS = {'name', 'joints', 'bones', 'parents', 'centre', 'pairs', 'allow_disconnected'}


def read_skeleton(path: str | PathLike) -> Skeleton:
    r"""Reads a skeleton from a file: JSON with the arguments of :class:`Skeleton`, or
    lines of text::

        joints: shoulder, elbow, wrist
        shoulder - elbow
        elbow - wrist
        centre: shoulder

    Bones are joints by name or by number, from 0; without ``joints``, joints are
    numbered. ``pairs: left hand - right hand, ...`` tells left and right. Lines after
    ``#`` are passed over.

    Args:
        path (str or path): The file, ``.json`` or any other.

    Raises:
        FileNotFoundError: If there is none.
        SkeletonDataError: If it is no skeleton; the message names the line.
    """
    path, where = Path(path), printable(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no '{where}'")
    if path.stat().st_size > _LARGEST:
        raise SkeletonDataError(f"'{where}' is too large for the file of a skeleton")
    try:
        text = path.read_text(encoding='utf-8')
        if path.suffix.lower() == '.json':
            record = json.loads(text)
            if not isinstance(record, dict) or not record.keys() <= _KEYS:
                raise ValueError(f'expected an object of {", ".join(sorted(_KEYS))}')
            return Skeleton(**{'name': path.stem, **record})
        return _of_text(text, path.stem)
    except SkeletonDataError:
        raise
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise SkeletonDataError(f"'{where}' is no skeleton: {error}") from error


def _of_text(text: str, name: str) -> Skeleton:
    given: dict[str, Any] = {}
    bones: list[tuple[Joint, Joint]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition('#')[0].strip()
        key, colon, rest = words.partition(':')
        if not words:
            continue
        if colon and key in ('joints', 'pairs', 'centre', 'name'):
            given[key] = rest.strip()
        else:
            bones.append(_pair(words, number))
    joints = [joint.strip() for joint in given.pop('joints', '').split(',') if joint]
    if not joints:
        numbers = [joint for bone in bones for joint in bone]
        if not all(isinstance(joint, int) for joint in numbers):
            raise ValueError("bones name joints, but no line 'joints: ...' lists them")
        count = 1 + max((j for j in numbers if isinstance(j, int)), default=0)
        joints = [str(joint) for joint in range(count)]
    else:
        bones = [(_known(u, joints), _known(v, joints)) for u, v in bones]
    pairs = [_pair(part, 0) for part in given.pop('pairs', '').split(',') if part]
    if 'centre' in given:
        given['centre'] = _joint(given['centre'])
    return Skeleton(**{'name': name, **given}, joints=joints, bones=bones, pairs=pairs)


def _pair(words: str, line: int) -> tuple[Joint, Joint]:
    for mark in (' - ', ',', '-', None):
        parts = words.split(mark)
        if len(parts) == 2:
            return _joint(parts[0]), _joint(parts[1])
    raise ValueError(
        f'line {line}: expected a bone, two joints with a hyphen between them, or '
        f"'joints: ...' (got {words[:60]!r})"
    )


def _joint(word: str) -> Joint:
    word = word.strip()
    return int(word) if word.isdecimal() else word


def _known(joint: Joint, joints: list[str]) -> Joint:
    """A joint whose name is a number, or one that is meant by its number."""
    return str(joint) if str(joint) in joints else joint
