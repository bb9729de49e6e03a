"""JSON, with messages that name the place and bounds on memory."""

import json
from typing import Any

from pyg_msg3d.data import SkeletonDataError

# What Python's objects take at most for a bracket and for half a string; numbers take
# at most 12 times their text, the arrays made of them included.
_CONTAINER, _QUOTE = 80, 45


def parse_json(content: bytes, path: str) -> Any:
    """Parses a JSON document.

    Raises:
        SkeletonDataError: If it is none, with line and column, or if it is made of so
            many small parts that Python's objects for them would fill the memory.
    """
    brackets = content.count(b'[') + content.count(b'{')
    parts = _CONTAINER * brackets + _QUOTE * content.count(b'"')
    if parts > (6 if content.isascii() else 3) * len(content) + (10 << 20):
        raise SkeletonDataError(
            f"'{path}' is no file of key points: its {len(content)} bytes hold "
            f'{brackets} lists and objects'
        )
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise SkeletonDataError(
            f"'{path}', line {error.lineno}, column {error.colno}: not JSON "
            f'({error.msg}). Is the file cut off?'
        ) from error
    except UnicodeDecodeError as error:
        raise SkeletonDataError(
            f"'{path}', byte {error.start}: not JSON, nor text at all ({error.reason})"
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise SkeletonDataError(f"'{path}' is not JSON ({error})") from error
