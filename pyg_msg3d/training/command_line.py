"""Settings as arguments of a command."""

import argparse
import copy
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import Field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pyg_msg3d.data import SkeletonDataError
from pyg_msg3d.data.errors import plain_warnings
from pyg_msg3d.training.checkpoints import CheckpointError
from pyg_msg3d.training.settings import Settings
from pyg_msg3d.training.trainer import Interrupted

T = TypeVar('T')
_PATIENCE = 5.0  # Seconds.


def recipe_argument(
    parser: argparse.ArgumentParser, recipes: Mapping[str, Settings]
) -> Settings:
    """Adds ``--recipe`` with the first as default, and returns the settings that the
    command line chooses: the defaults of all other arguments."""
    names = list(recipes)
    options: dict[str, Any] = {'choices': names, 'default': names[0]}
    parser.add_argument('--recipe', **options, help=f'(default: {names[0]})')
    return recipes[peek(parser).recipe]


def peek(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What the command line gives for the arguments so far, whose values may decide on
    the defaults of others."""
    early = copy.deepcopy(parser)
    for action in early._actions:
        action.required = False
    asks_no_help = [word for word in sys.argv[1:] if word not in ('-h', '--help')]
    return early.parse_known_args(asks_no_help)[0]


def add_arguments(
    parser: argparse.ArgumentParser, defaults: Any, leave_out: Sequence[str] = ()
) -> None:
    """Adds an argument for each field of a dataclass, ``--batch-size`` for
    :obj:`batch_size`, with the values of an instance as defaults."""
    group = parser.add_argument_group(type(defaults).__name__.lower())
    hints = get_type_hints(type(defaults))
    for entry in fields(defaults):
        if entry.name not in leave_out:
            _add(group, entry, hints[entry.name], getattr(defaults, entry.name))


def collect(arguments: argparse.Namespace, kind: type[T], **more: Any) -> T:
    """The dataclass that the arguments of :func:`add_arguments` describe.

    Raises:
        ValueError: If its values do not fit each other.
    """
    given = {
        entry.name: getattr(arguments, entry.name)
        for entry in fields(kind)  # type: ignore[arg-type]
        if hasattr(arguments, entry.name)
    }
    return kind(**{**given, **more})


@contextmanager
def plain_errors() -> Iterator[None]:
    """Ends a command with a message alone where arguments or data are wrong, or it was
    asked to stop: where a traceback would not help. Of several processes that find the
    same wrong, one says so. What was assumed is a line of its own."""
    try:
        with plain_warnings():
            yield
    except Interrupted:  # It has said so.
        pass
    except (
        CheckpointError, FloatingPointError, OSError, SkeletonDataError, ValueError,
    ) as error:  # fmt: skip
        if os.environ.get('RANK', '0') != '0':
            # If the first process has found it, too, the launcher ends this one now.
            time.sleep(_PATIENCE)
        print(f'{type(error).__name__}: {error}', file=sys.stderr, flush=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        if os.environ.get('RANK', '0') == '0':
            print('Interrupted', file=sys.stderr, flush=True)
        raise SystemExit(128 + signal.SIGINT) from None


def _add(group: Any, entry: 'Field[Any]', hint: Any, default: Any) -> None:
    flag = f'--{entry.name.replace("_", "-")}'
    text = entry.metadata.get('help', '').replace('%', '%%')
    shown = ','.join(map(str, default)) if isinstance(default, tuple) else default
    if default is not None and default != ():
        text += f' (default: {shown})'
    options: dict[str, Any] = {'default': default, 'help': text}
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    if hint is bool:
        options['action'] = argparse.BooleanOptionalAction
    elif get_origin(hint) is Literal:
        options['choices'] = get_args(hint)
    elif get_origin(hint) is tuple:
        options.update(type=_list_of(kinds[0]), metavar='N,N,...')
    elif NoneType in get_args(hint):
        options['type'] = _or_none(kinds[0])
        options['metavar'] = kinds[0].__name__.upper()
    else:
        options.update(
            type=hint, metavar='PATH' if hint is Path else hint.__name__.upper()
        )
    group.add_argument(flag, **options)


def _list_of(kind: Callable[[str], Any]) -> Callable[[str], tuple]:
    def read(text: str) -> tuple:
        return tuple(kind(part) for part in text.split(',') if part)

    read.__name__ = f'list of {getattr(kind, "__name__", "value")}'
    return read


def _or_none(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        return None if text == 'none' else kind(text)

    read.__name__ = getattr(kind, '__name__', 'value')
    return read
