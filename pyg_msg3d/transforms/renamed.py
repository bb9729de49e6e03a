import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

P = ParamSpec('P')


def renamed(
    old: str, new: str, convert: Callable[[Any], Any] = lambda value: value
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    r"""Decorates an ``__init__`` one of whose arguments has another name now: as a
    keyword, the old one is still taken, with a :class:`DeprecationWarning` that tells
    the new one; both together are a :class:`TypeError`.

    Args:
        old (str): The name that the argument had.
        new (str): The name that it has.
        convert (callable, optional): What the old one's value means for the new one.
            (default: the same)
    """

    def decorate(init: Callable[P, None]) -> Callable[P, None]:
        @wraps(init)
        def takes_both(*args: P.args, **kwargs: P.kwargs) -> None:
            if old not in kwargs:
                return init(*args, **kwargs)
            name, value = type(args[0]).__name__, kwargs.pop(old)
            if new in kwargs:
                raise TypeError(
                    f"{name} got both '{old}' and '{new}', the new name of the same; "
                    f"pass '{new}' alone"
                )
            kwargs[new] = convert(value)
            warnings.warn(
                f'{name}({old}={value!r}) is deprecated: write '
                f'{name}({new}={kwargs[new]!r})',
                DeprecationWarning,
                stacklevel=2,
            )
            return init(*args, **kwargs)

        return takes_both

    return decorate
