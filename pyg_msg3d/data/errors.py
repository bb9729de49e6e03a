import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _PrintableError(ValueError):
    """An error whose message can be printed: names come from strangers, and what
    terminals would obey is shown instead."""

    def __init__(self, message: str) -> None:
        lines = str(message).replace('\t', '    ').split('\n')
        super().__init__('\n'.join(printable(line, most=10_000) for line in lines))


class SkeletonDataError(_PrintableError):
    """A sample, a file or an archive that is not what it should be; the message
    names it."""


class CheckpointError(_PrintableError):
    """A checkpoint that cannot be used; the message says which and why."""


class SkeletonDataWarning(UserWarning):
    """Something that files do not tell was assumed; the message says what, and which
    argument settles it."""


def printable(text: object, most: int = 1000) -> str:
    """Text for messages: control characters and lone surrogates escaped, and not
    longer than some lines."""
    text = str(text)
    if len(text) > most:
        text = f'{text[:most]}... ({len(text):,} characters)'
    if text.isprintable():
        return text
    return ''.join(
        c if c.isprintable() else c.encode('unicode_escape').decode() for c in text
    )


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Shows what was assumed as a line of its own, once, for commands: where a
    warning's place in the code would not help."""
    show: Any = warnings.showwarning
    said: set[str] = set()

    def show_plainly(message: Any, category: type[Warning], *rest: Any) -> None:
        if not issubclass(category, SkeletonDataWarning):
            show(message, category, *rest)
        elif str(message) not in said:
            said.add(str(message))
            print(f'Assumed: {message}', file=sys.stderr, flush=True)

    with warnings.catch_warnings():
        warnings.showwarning = show_plainly  # type: ignore[assignment]
        yield


def say_assumed(message: str) -> None:
    """Says what was assumed: once for the same message, as long as warnings are not
    filtered otherwise."""
    warnings.warn(message, SkeletonDataWarning, stacklevel=1)
