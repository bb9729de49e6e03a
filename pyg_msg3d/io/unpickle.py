"""Unpickling what strangers pickled: numpy arrays and plain containers, nothing else.

A pickle is a program that may call whatever it names. Here it may name a handful of
numpy's own constructors, and these are replaced by ones that check sizes against the
bytes that are there. Opcodes that could take memory or time out of proportion to the
file are refused or counted, which is why the interpreter is Python's own in Python: the
one in C cannot be restricted so.
"""

import io
import math
import pickle
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from pyg_msg3d.data import SkeletonDataError

_DTYPE = re.compile(r'[<>=|]?([biuf]\d{1,2}|[US]\d{1,6})')
_KEYS = (str, bytes, int, float, type(None), np.generic)


def unpickle(
    content: bytes,
    path: str,
    more: Mapping[tuple[str, str], Callable] | None = None,
) -> Any:
    r"""Builds what a pickle holds, of numbers, strings, lists, tuples, dictionaries
    and numpy arrays and scalars of numbers and strings.

    Args:
        content (bytes): The pickle.
        path (str): What messages call it.
        more (mapping, optional): Further constructors that may be named: functions
            that check what they are given, by module and name.

    Raises:
        SkeletonDataError: If it is damaged or names anything else; the message names
            the byte. No code of the pickle is run.
    """
    stream = io.BytesIO(content)
    try:
        budget = 12 * len(content) + (10 << 20)
        return Unpickler(stream, budget, CONSTRUCTORS | dict(more or {})).load()
    except Exception as error:  # Whatever damaged bytes trip over.
        raise SkeletonDataError(
            f"'{path}', byte {stream.tell()}: cannot be unpickled "
            f'({type(error).__name__}: {str(error)[:200]}). Expected a pickle of numpy '
            f'arrays and plain containers; anything else is refused, because '
            f'unpickling it could run code'
        ) from error


class Unpickler(pickle._Unpickler):  # type: ignore[name-defined]
    """Interprets the opcodes that arrays and plain containers need."""

    dispatch: ClassVar[dict[int, Callable]] = {}
    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]
    memo: dict[int, Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(
        self,
        stream: io.BytesIO,
        budget: int,
        constructors: Mapping[tuple[str, str], Callable],
    ) -> None:
        super().__init__(stream, encoding='latin1')  # As Python 2 wrote them.
        self.budget = budget
        self.constructors = constructors
        # Lists and dictionaries that were fetched a second time, by their ids: these
        # stay as they are, or what was charged for them would be too little.
        self.settled: dict[int, Any] = {}

    def find_class(self, module: str, name: str) -> Callable:
        """The constructor of that name, if it may be named."""
        if (module, name) not in self.constructors:
            raise pickle.UnpicklingError(f"it asks for '{module[:60]}.{name[:60]}'")
        return self.constructors[module, name]

    def get(self) -> None:
        self._fetch(self.readline()[:-1], int)

    def get_short(self) -> None:
        self._fetch(self.read(1), lambda raw: raw[0])

    def get_long(self) -> None:
        self._fetch(self.read(4), lambda raw: int.from_bytes(raw, 'little'))

    def _fetch(self, raw: bytes, number: Callable[[bytes], int]) -> None:
        try:
            value = self.memo[number(raw)]
        except (KeyError, ValueError, IndexError):
            raise pickle.UnpicklingError('it fetches what it has not kept') from None
        self._share(value)

    def duplicate(self) -> None:
        self._share(self.stack[-1])

    def _share(self, value: Any) -> None:
        """Puts a value in a second place, which costs what a copy would take."""
        self._charge(value)
        if isinstance(value, list | dict):
            self.settled[id(value)] = value
        self.append(value)

    def _charge(self, value: Any) -> None:
        rest = [value]
        while rest:
            part = rest.pop()
            self.budget -= 8
            if isinstance(part, str | bytes):
                self.budget -= len(part)
            elif isinstance(part, np.ndarray):
                self.budget -= part.nbytes
            elif isinstance(part, list | tuple):
                self.budget -= 8 * len(part)
                rest += part
            elif isinstance(part, dict):
                self.budget -= 16 * len(part)
                rest += part.keys()
                rest += part.values()
            if self.budget < 0:
                raise pickle.UnpicklingError(
                    'it would take far more memory than its file'
                )

    def _unsettled(self, value: Any) -> Any:
        if id(value) in self.settled:
            raise pickle.UnpicklingError('it changes what it has used in two places')
        return value

    def call(self) -> None:
        arguments = self.stack.pop()
        function = self.stack[-1]
        if not any(function is known for known in self.constructors.values()):
            raise pickle.UnpicklingError('it calls what may not be called')
        self.stack[-1] = function(*arguments)

    def fill(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if type(target) is np.ndarray:
            *_, shape, dtype, fortran, raw = state
            raw = _check(raw, dtype, shape)
            target.__setstate__((1, shape, dtype, bool(fortran), raw))  # type: ignore[arg-type]
        elif isinstance(target, np.dtype):
            order = _text(state[1])
            if order not in ('<', '>', '|'):
                raise pickle.UnpicklingError('expected a byte order')
            # Of text, the size stands here once more; of numbers, it does not.
            text = target.kind in 'US'
            size = (target.itemsize, target.alignment) if text else (-1, -1)
            state = (3, order, None, None, None, *size, 0)
            target.__setstate__(state)  # type: ignore[attr-defined]
        else:
            raise pickle.UnpicklingError('it fills what is no array')

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def set_items(self) -> None:
        self._update(self.pop_mark())

    def make_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._update(items)

    def _update(self, items: list) -> None:
        target = self._unsettled(self.stack[-1])
        if type(target) is not dict:
            raise pickle.UnpicklingError('it sets items of what is no dictionary')
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Nested tuples, say, can take for ever to hash.
            if not isinstance(key, _KEYS):
                raise pickle.UnpicklingError(f'a key is a {type(key).__name__}')
            target[key] = value

    def read_bytes(self) -> None:
        # pickle's own would allocate first what a bytearray claims to have.
        claimed = int.from_bytes(self.read(8), 'little')
        raw = self.read(min(claimed, sys.maxsize))
        if len(raw) < claimed:
            raise pickle.UnpicklingError('it is cut off')
        self.append(raw)

    def add(self) -> None:
        self._extend([self.stack.pop()])

    def add_all(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, values: list) -> None:
        if type(self.stack[-1]) is not list:
            raise pickle.UnpicklingError('it extends what is no list')
        self._unsettled(self.stack[-1]).extend(values)


# The constructors that may be named -------------------------------------------


def _reconstruct(*_: Any) -> np.ndarray:
    return np.empty(0, np.uint8)  # To be filled; whatever shape was asked for.


def make_dtype(name: Any, *_: Any) -> np.dtype:
    """A type of numbers or text; no other may be named."""
    name = _text(name)
    if not _DTYPE.fullmatch(name):
        raise pickle.UnpicklingError(f'it holds an array of {name[:40]!r}')
    return np.dtype(name, copy=True)


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any = 'C') -> np.ndarray:
    array = np.frombuffer(_check(raw, dtype, shape), dtype)
    return array.reshape(shape, order='F' if order == 'F' else 'C')


def _scalar(dtype: Any, raw: Any) -> Any:
    return _from_buffer(raw, dtype, ())[()]


def _encode(text: Any, encoding: Any = 'latin1') -> bytes:
    if not isinstance(text, str) or encoding != 'latin1':
        raise pickle.UnpicklingError('expected text in latin1')
    return text.encode('latin1')  # How protocol 2 holds bytes.


def _ordered_dict(pairs: Any = ()) -> dict:
    if len(pairs) > 0:
        raise pickle.UnpicklingError('expected an empty dictionary, filled later')
    return {}


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode('ascii')
    if not isinstance(value, str):
        raise pickle.UnpicklingError(f'expected a name (got {type(value).__name__})')
    return value


def _check(raw: Any, dtype: Any, shape: Any) -> bytes:
    """The bytes of an array, if there are as many as its shape and type say."""
    if isinstance(raw, str):
        raw = raw.encode('latin1')
    if not isinstance(raw, bytes) or not isinstance(dtype, np.dtype):
        raise pickle.UnpicklingError('expected an array of numbers')
    if dtype.kind not in 'biufUS':
        raise pickle.UnpicklingError(f'it holds an array of {dtype}')
    if not (
        isinstance(shape, tuple)
        and len(shape) <= 8
        and all(isinstance(n, int) and 0 <= n < 2**40 for n in shape)
        and math.prod(shape) * dtype.itemsize == len(raw)
    ):
        raise pickle.UnpicklingError(f'an array has {len(raw)} bytes, not its shape')
    return raw


CONSTRUCTORS: dict[tuple[str, str], Callable] = {
    ('numpy', 'ndarray'): _reconstruct,
    ('numpy', 'dtype'): make_dtype,
    ('_codecs', 'encode'): _encode,
    ('collections', 'OrderedDict'): _ordered_dict,
    ('__builtin__', 'bytes'): lambda: b'',  # How protocol 2 holds no bytes.
}
for _package in ('numpy.core', 'numpy._core'):
    CONSTRUCTORS |= {
        (f'{_package}.multiarray', '_reconstruct'): _reconstruct,
        (f'{_package}.multiarray', 'scalar'): _scalar,
        (f'{_package}.numeric', '_frombuffer'): _from_buffer,
    }


# The opcodes that may be used -------------------------------------------------


def _charged(handler: Callable, price: int) -> Callable:
    """An opcode with the memory, in bytes, that it may take beside what it reads."""

    def charge(self: Unpickler) -> None:
        self.budget -= price
        if self.budget < 0:
            raise pickle.UnpicklingError('it would take far more memory than its file')
        handler(self)

    return charge


def _opcodes() -> Iterable[tuple[int, Callable]]:
    own = {
        'REDUCE': Unpickler.call,
        'BUILD': Unpickler.fill,
        'SETITEM': Unpickler.set_item,
        'SETITEMS': Unpickler.set_items,
        'DICT': Unpickler.make_dict,
        'APPEND': Unpickler.add,
        'APPENDS': Unpickler.add_all,
        'BYTEARRAY8': Unpickler.read_bytes,
        'GET': Unpickler.get,
        'BINGET': Unpickler.get_short,
        'LONG_BINGET': Unpickler.get_long,
        'DUP': Unpickler.duplicate,
    }
    prices = {
        10: 'PROTO FRAME STOP BININT1 NONE NEWTRUE NEWFALSE EMPTY_TUPLE GET BINGET '
        'LONG_BINGET DUP POP POP_MARK APPEND APPENDS',
        80: 'MARK LIST TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST INT BININT BININT2 LONG '
        'LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES '
        'SHORT_BINBYTES BINBYTES8 UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 '
        'GLOBAL STACK_GLOBAL BYTEARRAY8',
        120: 'EMPTY_DICT DICT SETITEM SETITEMS MEMOIZE PUT BINPUT LONG_BINPUT',
        300: 'REDUCE BUILD',
    }
    for price, names in prices.items():
        for name in names.split():
            code = getattr(pickle, name)[0]
            handler = own.get(name, pickle._Unpickler.dispatch[code])  # type: ignore
            yield code, _charged(handler, price)


def _refuse(self: Unpickler) -> None:
    raise pickle.UnpicklingError('an opcode that no array and no container needs')


Unpickler.dispatch = dict.fromkeys(range(256), _refuse) | dict(_opcodes())
