from dataclasses import field
from typing import Any


def described(default: Any, text: str) -> Any:
    """A field of a dataclass with what a command's help says of it."""
    return field(default=default, metadata={'help': text})
