"""A Python function that becomes a kernel: what it may hold, and the key of its machine code.

Built-in functions of an element are such functions as users declare. One is checked by its bytecode
where it is declared, without numba, so that what no kernel can hold is refused there; what is left,
numba's type inference refuses (`jitted/python_function.py`).
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from columnar_nn.errors import UsageError
from columnar_nn.kernels.primitives import PRIMITIVES
from columnar_nn.settings.digest import blake2b

_PACKAGE = __name__.partition(".")[0]

BUILTINS = ("abs", "bool", "float", "int", "len", "max", "min", "range")
"""Those of Python's own functions that kernels have."""

_LOOPS = "write loops over numbers"
_REFUSED = {
    "RAISE_VARARGS": ("raise or assert", "give NaN where there is no result"),
    "BUILD_LIST": ("a list", f"{_LOOPS}, or a tuple of constants"),
    "BUILD_SET": ("a set", _LOOPS),
    "BUILD_MAP": ("a dict", _LOOPS),
    "BUILD_CONST_KEY_MAP": ("a dict", _LOOPS),
    "MAKE_FUNCTION": ("a nested function or comprehension", "define it outside, or write a loop"),
    "YIELD_VALUE": ("yield", "return a number, or write to `out`"),
    "RETURN_GENERATOR": ("yield", "return a number, or write to `out`"),
    "BUILD_STRING": ("text", "numbers only"),
    "FORMAT_VALUE": ("text", "numbers only"),
    "FORMAT_SIMPLE": ("text", "numbers only"),
    "IMPORT_NAME": ("import", "import math at the top of the file"),
    "STORE_GLOBAL": ("an assignment to a global", "return the value"),
    "SETUP_FINALLY": ("try or with", "test values before they are used"),
    "PUSH_EXC_INFO": ("try or with", "test values before they are used"),
    "BEFORE_WITH": ("with", "numbers only"),
}
"""Instructions that no kernel has, what they are in Python, and what to write in their place."""


@dataclass(frozen=True)
class PythonFunction:
    """A function to be compiled, under the name that plans and statistics call it by.

    Raises UsageError, in one line with the place, for what no kernel can hold: exceptions, lists,
    text, names that are no numbers, no functions of `math` and no such functions.
    """

    name: str
    function: FunctionType

    def __post_init__(self) -> None:
        for called in (self.function, *self.called):
            self._check(called)

    @functools.cached_property
    def key(self) -> str:
        """Name and hash of what it computes: bytecode, constants, and the values it refers to.

        The same in every process; the text of the file and its place there have no part in it.
        """
        digest = blake2b(digest_size=12)
        for function in (self.function, *self.called):
            digest.update(repr(_meaning(function)).encode() + b"\0")
        return f"{self.name}-{digest.hexdigest()}"

    @classmethod
    def of(cls, name: str, function: Callable[..., Any]) -> PythonFunction:
        """Of any callable; raises UsageError for one that is no Python function, too."""
        if not isinstance(function, FunctionType):
            raise UsageError(
                f"function {name} is no Python function, but {type(function).__name__}"
            )
        return cls(name, function)

    @property
    def num_constants(self) -> int:
        """Parameters after an element."""
        return self.function.__code__.co_argcount - 1

    @property
    def is_built_in(self) -> bool:
        """Whether it is this package's, which has no index that could lie outside."""
        return str(self.function.__module__).startswith(f"{_PACKAGE}.")

    @functools.cached_property
    def called(self) -> tuple[FunctionType, ...]:
        """The functions that it calls but PRIMITIVES, directly or not, each once."""
        found: dict[FunctionType, None] = {}
        waiting = [self.function]
        while waiting:
            for value in references(waiting.pop()).values():
                if isinstance(value, FunctionType) and value not in (*PRIMITIVES, *found):
                    found[value] = None
                    waiting.append(value)
        return tuple(function for function in found if function is not self.function)

    def refusal(
        self, what: str, instead: str, line: int = 0, code: CodeType | None = None
    ) -> UsageError:
        """The error that says what is not supported, where, and what to write instead."""
        code = code or self.function.__code__
        place = f"{Path(code.co_filename).name}:{line or code.co_firstlineno}"
        return UsageError(f"function {self.name} ({place}): {what} is not supported: {instead}")

    def _check(self, function: FunctionType) -> None:
        code, known = function.__code__, references(function)
        line = code.co_firstlineno
        held: Any = None
        for instruction in dis.get_instructions(code):
            started = getattr(instruction, "line_number", None) or instruction.starts_line
            line = started if started and started is not True else line
            if instruction.opname in _REFUSED:
                raise self.refusal(*_REFUSED[instruction.opname], line, code)
            is_constant = instruction.opname in ("LOAD_CONST", "RETURN_CONST")
            if is_constant and isinstance(instruction.argval, (str, bytes)):
                raise self.refusal("text", "numbers only", line, code)
            if instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                self._check_attribute(held, str(instruction.argval), line, code)
            if instruction.opname not in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF"):
                held = None
                continue
            name = str(instruction.argval)
            if name in known:
                held = known[name]
                if instruction.opname != "LOAD_DEREF" or held is not math:
                    self._check_value(name, held, line, code)
            elif _is_exception(name):
                raise self.refusal(*_REFUSED["RAISE_VARARGS"], line, code)
            elif name not in BUILTINS:
                what = f"{name}()" if hasattr(builtins, name) else f"the unknown name {name}"
                instead = f"of Python's own functions there are {', '.join(BUILTINS)}"
                raise self.refusal(what, instead, line, code)

    def _check_attribute(self, held: Any, name: str, line: int, code: CodeType) -> None:
        if held is math and not hasattr(math, name):
            raise self.refusal(f"math.{name}", "use what math has", line, code)
        if held is not math and name != "shape":
            raise self.refusal(f".{name}", "of a row there are .shape and its numbers", line, code)

    def _check_value(self, name: str, value: Any, line: int, code: CodeType) -> None:
        if isinstance(value, ModuleType) and value is not math:
            instead = "write loops over the row, and functions of math"
            raise self.refusal(f"the module {value.__name__}", instead, line, code)
        if not (value is math or _is_function(value) or _is_constant(value)):
            instead = "use numbers, tuples of numbers, or attributes"
            raise self.refusal(f"{name}, a {type(value).__name__},", instead, line, code)


def references(function: FunctionType) -> dict[str, Any]:
    """The values of the names outside of a function that it uses, but Python's own, by name."""
    found = inspect.getclosurevars(function)
    return {**dict(sorted(found.globals.items())), **dict(sorted(found.nonlocals.items()))}


def _is_exception(name: str) -> bool:
    value = getattr(builtins, name, None)
    return isinstance(value, type) and issubclass(value, BaseException)


def _is_function(value: Any) -> bool:
    name = getattr(value, "__name__", "")
    return isinstance(value, FunctionType) or value is getattr(math, name, None)


def _is_constant(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_constant, value))
    return isinstance(value, (bool, int, float, np.integer, np.floating))


def _meaning(function: FunctionType) -> tuple[Any, ...]:
    """What a function computes, in values that are written alike in every process."""
    values = [
        (name, value.__name__ if callable(value) or isinstance(value, ModuleType) else value)
        for name, value in references(function).items()
    ]
    return (*_meaning_of_code(function.__code__), function.__defaults__, values)


def _meaning_of_code(code: CodeType) -> tuple[Any, ...]:
    constants = tuple(value for value in code.co_consts if not isinstance(value, str))
    return (code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars)
