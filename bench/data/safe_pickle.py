"""Pickles of plain data, read by an interpreter of their own: nothing in them can be run.

Python's unpickler calls what a pickle names. This one knows numbers, strings, lists, tuples and
dicts, and of all names those by which NumPy has written arrays of bytes since Python 2; it imports
and calls nothing, so that any other name, and every other operation, ends in an error. Opcodes are
taken apart by `pickletools`. Memory is a multiple of the pickle's size.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from columnar_nn.errors import InvalidDataError, first_line

MAX_BYTES = 1 << 28
"""Of a pickle; CIFAR-100's largest has 155 MB."""


class _Name(NamedTuple):
    """What a pickle refers to by name; never looked up."""

    name: str


class _ByteType(NamedTuple):
    """NumPy's dtype of one byte without sign."""


class _Array:
    """An array whose contents the pickle tells later, then `value`."""

    value: np.ndarray | None = None


class _Mark(NamedTuple):
    """A place on the stack."""


_RECONSTRUCT = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
_FROM_BUFFER = {"numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer"}
_DTYPE, _NDARRAY, _ENCODE = "numpy dtype", "numpy ndarray", "_codecs encode"
_BYTES = {"__builtin__ bytes", "builtins bytes"}
"""Called without arguments: how Python 3 writes no bytes for Python 2."""

_ADMITTED = {*_RECONSTRUCT, *_FROM_BUFFER, *_BYTES, _DTYPE, _NDARRAY, _ENCODE}

_DAMAGE = (ValueError, TypeError, IndexError, KeyError, EOFError, OverflowError, UnicodeError)
"""What a pickle that is none raises here and in pickletools."""


def loads(content: bytes, name: str) -> Any:
    """What a pickle holds: None, bool, int, float, str, bytes, list, tuple, dict, uint8 arrays.

    Keys and strings that Python 2 wrote are str, one character a byte. Raises InvalidDataError
    that begins with `name` for anything else, and for a pickle that is damaged.
    """
    if len(content) > MAX_BYTES:
        raise InvalidDataError(f"{name}: a pickle of more than {MAX_BYTES:,} bytes is not read")
    try:
        return _Reader().run(content)
    except InvalidDataError as error:
        raise InvalidDataError(f"{name}: {error}") from None
    except MemoryError:
        raise InvalidDataError(f"{name}: it does not fit in memory") from None
    except _DAMAGE as error:
        raise InvalidDataError(f"{name}: a damaged pickle, or none: {first_line(error)}") from None


class _Reader:
    """The stack machine: one method for each group of opcodes."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._operations: dict[str, Callable[[Any], None]] = {
            **dict.fromkeys(("PROTO", "FRAME"), lambda argument: None),
            **dict.fromkeys(_CONSTANTS, self._stack.append),
            **{name: self._make(value) for name, value in _LITERALS.items()},
            **{name: self._gather(kind) for name, kind in (("TUPLE", tuple), ("LIST", list))},
            **{f"TUPLE{n}": self._tuple(n) for n in (1, 2, 3)},
            **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), self._put),
            **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), self._get),
            "MARK": lambda argument: self._stack.append(_Mark()),
            "EMPTY_LIST": lambda argument: self._stack.append([]),
            "EMPTY_DICT": lambda argument: self._stack.append({}),
            "MEMOIZE": lambda argument: self._put(len(self._memo)),
            "DICT": lambda argument: self._stack.append(_pairs(self._marked())),
            "APPEND": lambda argument: self._extend([self._stack.pop()]),
            "APPENDS": lambda argument: self._extend(self._marked()),
            "SETITEM": lambda argument: self._update([self._stack.pop(-2), self._stack.pop()]),
            "SETITEMS": lambda argument: self._update(self._marked()),
            "GLOBAL": self._name,
            "STACK_GLOBAL": lambda argument: self._name(" ".join(map(_text, self._popped(2)))),
            "REDUCE": lambda argument: self._stack.append(_called(*self._popped(2))),
            "BUILD": lambda argument: self._build(self._stack.pop()),
        }

    def run(self, content: bytes) -> Any:
        """The value that is left at the end."""
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                return _finished(self._stack.pop())
            operation = self._operations.get(opcode.name)
            if operation is None:
                raise InvalidDataError(
                    f"it holds {opcode.name}, and only arrays of bytes, strings, numbers, lists "
                    "and dicts are read: save it as .npz"
                )
            operation(argument)
        raise ValueError("it ends before its end")

    def _make(self, value: Any) -> Callable[[Any], None]:
        return lambda argument: self._stack.append(value)

    def _gather(self, kind: Callable[[Sequence[Any]], Any]) -> Callable[[Any], None]:
        return lambda argument: self._stack.append(kind(self._marked()))

    def _tuple(self, size: int) -> Callable[[Any], None]:
        return lambda argument: self._stack.append(tuple(self._popped(size)))

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _popped(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise IndexError("it takes more than there is")
        taken = self._stack[-count:]
        del self._stack[-count:]
        return taken

    def _marked(self) -> list[Any]:
        """All behind the last mark, taken with it."""
        for place in range(len(self._stack) - 1, -1, -1):
            if isinstance(self._stack[place], _Mark):
                taken = self._stack[place + 1 :]
                del self._stack[place:]
                return taken
        raise IndexError("no mark")

    def _extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise TypeError("it appends to what is no list")
        target.extend(map(_finished, values))

    def _update(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise TypeError("it sets an item of what is no dict")
        target.update(_pairs(values))

    def _name(self, name: str) -> None:
        if name not in _ADMITTED:
            raise InvalidDataError(
                f"it refers to {name.replace(' ', '.')}, and nothing in a pickle is run: save it "
                "as .npz"
            )
        self._stack.append(_Name(name))

    def _build(self, state: Any) -> None:
        target = self._stack[-1]
        if isinstance(target, _ByteType):
            return  # byte order and alignment, of which a byte has none
        if not isinstance(target, _Array):
            raise TypeError("it changes what is no array")
        _, shape, dtype, is_fortran, data = state
        target.value = _array(data, dtype, shape, "F" if is_fortran else "C")


_CONSTANTS = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
)
"""Opcodes whose argument is the value."""

_LITERALS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


def _called(function: Any, arguments: Any) -> Any:
    """What NumPy's and Python's functions of these names make of plain data."""
    name = function.name if isinstance(function, _Name) else ""
    if name in _RECONSTRUCT:
        return _Array()
    if name in _BYTES and arguments == ():
        return b""
    if name == _DTYPE and _text(arguments[0]) in ("u1", "|u1", "uint8"):
        return _ByteType()
    if name == _ENCODE and _text(arguments[1]) == "latin1":
        return _text(arguments[0]).encode("latin-1")
    if name in _FROM_BUFFER:
        data, dtype, shape, order = arguments
        return _array(data, dtype, shape, order)
    raise InvalidDataError("it holds other arrays than those of bytes: save it as .npz")


def _array(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(dtype, _ByteType):
        raise InvalidDataError("it holds an array of other values than bytes: save it as .npz")
    if isinstance(data, str):  # of Python 2
        data = data.encode("latin-1")
    if not isinstance(data, bytes | bytearray) or order not in ("C", "F"):
        raise TypeError("an array without contents")
    sizes = tuple(size for size in shape if type(size) is int and size >= 0)
    if len(sizes) != len(shape):
        raise TypeError("an array whose shape is no tuple of sizes")
    return np.frombuffer(data, np.uint8).reshape(sizes, order=order)


def _pairs(values: list[Any]) -> dict[Any, Any]:
    keys = values[::2]
    if not all(isinstance(key, str | bytes | int) for key in keys):
        raise TypeError("a key of a dict is neither text nor number")  # to hash one may never end
    return dict(zip(keys, map(_finished, values[1::2]), strict=True))


def _finished(value: Any) -> Any:
    """An array that is complete for what stands for it."""
    return value.value if isinstance(value, _Array) and value.value is not None else value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a name that is no text")
    return value
