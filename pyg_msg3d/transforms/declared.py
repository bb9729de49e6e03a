"""Transforms as plain values, for checkpoints: names and arguments, never code."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch_geometric.transforms import BaseTransform, Compose

from pyg_msg3d.skeletons import Skeleton


def declare(transform: Callable | None) -> tuple[dict[str, Any], ...]:
    r"""What a transform does as a list of names and plain arguments, from which
    :func:`build` makes the same.

    .. code-block:: python

        declare(T.Compose([T.Centre(1), T.SampleFrames(64)]))
        # ({'name': 'Centre', 'joint': 1, ...}, {'name': 'SampleFrames', ...})

    Args:
        transform (callable, optional): A transform of this library, or a
            :class:`~torch_geometric.transforms.Compose` of such.

    Raises:
        ValueError: If it is another, which cannot be made again from its name.
    """
    if transform is None:
        return ()
    if isinstance(transform, Compose):
        return tuple(step for part in transform.transforms for step in declare(part))
    kind: type = type(transform)
    if _known().get(kind.__name__) is not kind:
        raise ValueError(
            f'{kind.__name__} is no transform of this library, so a checkpoint cannot '
            f'tell how to make it again'
        )
    parameters = [*inspect.signature(kind).parameters.values()]
    names = [
        p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    arguments = {name: _plain(getattr(transform, name)) for name in names}
    return ({'name': kind.__name__, **arguments},)


def build(steps: Iterable[Mapping[str, Any]]) -> Compose:
    r"""The transforms that :func:`declare` told.

    Raises:
        ValueError: If there is no such transform, or it has other arguments.
    """
    made = []
    for step in steps:
        name = step.get('name')
        make = _known().get(name) if isinstance(name, str) else None
        if make is None:
            raise ValueError(
                f'There is no transform {step.get("name")!r}; there are '
                f'{", ".join(_known())}'
            )
        try:
            values = {key: _read(value) for key, value in step.items() if key != 'name'}
            made.append(make(**values))
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f'{step["name"]} cannot be made: {error}') from error
    return Compose(made)


def _known() -> dict[str, Callable[..., Any]]:
    """The transforms of clips: those that the package offers by name."""
    from pyg_msg3d import transforms

    found = {name: getattr(transforms, name) for name in transforms.__all__}
    return {
        name: kind
        for name, kind in found.items()
        if isinstance(kind, type)
        and issubclass(kind, BaseTransform)
        and kind is not Compose
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Skeleton):
        return {'skeleton': value.arguments()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(
        f'expected numbers, words, lists and skeletons as the arguments of a transform '
        f'that a checkpoint keeps (got {type(value).__name__})'
    )


def _read(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Skeleton(**value['skeleton'])
    if isinstance(value, list):
        return tuple(map(_read, value))
    return value
