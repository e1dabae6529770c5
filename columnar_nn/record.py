"""Immutable records: what frozen dataclasses are, for classes that every start of a process makes.

A dataclass writes its methods as text for each class and compiles them, 0.4 ms for a frozen one.
These methods are one for all classes. To make a record takes 1 us longer than to make such a
dataclass: what is made by the thousand should be one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from typing import dataclass_transform
else:

    def dataclass_transform(**_: bool) -> Any:
        """What Python 3.10 does not have: it is for type checkers."""
        return lambda record: record


Self = TypeVar("Self", bound="Record")


@dataclass_transform(frozen_default=True)
class Record:
    """Its fields are what the class annotates, after those of its bases, as of a dataclass.

    What an annotation is given in the class is the field's default, shared by all records. They are
    compared by identity. `__post_init__` may check them.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        annotated = cls.__annotations__.items()  # its own, as they are written
        own = [name for name, kind in annotated if not kind.startswith("ClassVar")]
        cls._fields = tuple(dict.fromkeys((*cls._fields, *own)))
        cls._defaults = {**cls._defaults, **{n: vars(cls)[n] for n in own if n in vars(cls)}}

    def __init__(self, *values: Any, **named: Any) -> None:
        fields, held = self._fields, self.__dict__
        held.update(self._defaults)
        held.update(zip(fields, values, strict=False))
        held.update(named)
        fits = len(values) <= len(fields) == len(held)
        if named and fits:
            placed = fields[: len(values)]
            fits = named.keys().isdisjoint(placed) and held.keys() == set(fields)
        if not fits:
            raise TypeError(f"{type(self).__name__} takes {', '.join(fields)}, each once")
        self.__post_init__()

    def __post_init__(self) -> None:
        """Checks the fields."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete field {name!r}")

    def replaced(self: Self, **changes: Any) -> Self:
        """The record with other values in some fields."""
        return type(self)(**{**{name: getattr(self, name) for name in self._fields}, **changes})

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"{type(self).__qualname__}({shown})"


class ValueRecord(Record):
    """A record that equals others of its class with equal fields."""

    @property
    def _compared(self) -> tuple[Any, ...]:
        """What two equal ones have in common."""
        return tuple([getattr(self, name) for name in self._fields])

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._compared == other._compared

    def __hash__(self) -> int:
        return hash(self._compared)
