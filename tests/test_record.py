"""columnar_nn/record.py: as frozen dataclasses of the same fields are."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any, ClassVar

import pytest

from columnar_nn.record import Record, ValueRecord


class Node(Record):
    id: str
    kind: ClassVar[str] = "node"


class Scan(Node):
    names: tuple[str, ...] = ()
    limit: int | None = None
    name = "Scan"


class Point(ValueRecord):
    x: int
    y: int = 0

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("left of the plane")


@dataclasses.dataclass(frozen=True)
class Twin:
    """What Point is like."""

    x: int
    y: int = 0


def test_fields_are_those_of_the_bases_and_its_own() -> None:
    scan = Scan("0", limit=3)
    assert vars(scan) == {"id": "0", "names": (), "limit": 3}
    assert (scan.name, scan.kind) == ("Scan", "node")
    assert vars(Scan("0", ("a",), 1)) == {"id": "0", "names": ("a",), "limit": 1}


ARGUMENTS: dict[str, tuple[tuple[int, ...], dict[str, int]]] = {
    "none": ((), {}),
    "too many": ((1, 2, 3), {}),
    "unknown": ((1,), {"z": 2}),
    "unknown, the others given": ((1, 2), {"z": 3}),
    "one twice": ((1,), {"x": 2}),
    "one twice, all given": ((1, 2), {"y": 2}),
    "without the first": ((), {"y": 2}),
    "the first": ((1,), {}),
    "by place": ((1, 2), {}),
    "by name": ((), {"y": 2, "x": 1}),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments_are_taken_as_a_dataclass_takes_them(case: str) -> None:
    values, named = ARGUMENTS[case]

    def made(kind: Any) -> Any:
        try:
            return vars(kind(*values, **named))
        except TypeError:
            return TypeError

    assert made(Point) == made(Twin)


def test_it_cannot_be_changed() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="'x'"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="'x'"):
        del point.x
    assert point.x == 1


def test_a_record_is_itself_and_a_value_is_its_fields() -> None:
    assert Node("0") != Node("0")
    assert Point(1, 2) == Point(1, 2)
    assert hash(Point(1, 2)) == hash(Point(1, 2))
    assert Point(1, 2) != Point(2, 1)
    assert Point(1, 2) != (1, 2)


def test_one_with_other_values_is_checked_anew() -> None:
    assert Point(1, 2).replaced(y=3) == Point(1, 3)
    with pytest.raises(ValueError, match="left"):
        Point(1, 2).replaced(x=-1)
    with pytest.raises(TypeError, match="x, y"):
        Point(1, 2).replaced(z=1)


def test_it_is_shown_copied_and_pickled_like_a_dataclass() -> None:
    point = Point(1, 2)
    assert repr(point) == repr(Twin(1, 2)).replace("Twin", "Point")
    assert pickle.loads(pickle.dumps(point)) == copy.copy(point) == copy.deepcopy(point) == point
