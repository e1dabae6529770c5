"""A study: which axes are swept and how they are combined, and how its cells are measured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from bench.compare.experiment import Limits
from bench.data.preparation import Preparation
from bench.data.source import SPLITS
from bench.results.schema import digest
from bench.study import values
from bench.workers.options import ALGORITHMS
from bench.workers.partitioning import Partitioning
from bench.workers.selection import select
from columnar_nn.errors import UsageError


class Point(NamedTuple):
    """One combination; `threads` None are as many as the machine has cores for each process.

    `partitions` is the text of a Partitioning; empty where none is asked for.
    """

    model: str
    backend: str
    samples: int
    batch_size: int
    threads: int | None
    processes: int
    partitions: str


def _labels(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(selection.label for selection in select(names))


def _backends(name: str, written: object) -> tuple[str, ...]:
    return _labels(values.texts(name, written))


def _partitions(name: str, written: object) -> tuple[str, ...]:
    """Texts of partitionings; in a range of numbers each is one."""
    found: list[str] = []
    for text in values.texts(name, written):
        plain, colon, skew = text.partition(":")
        found += [f"{n}{colon}{skew}" for n in values.numbers(name, plain)]
    return tuple(str(Partitioning.parse(text)) for text in dict.fromkeys(found))


AXES: Mapping[str, Callable[[str, object], tuple[Any, ...]]] = {
    "model": values.texts,
    "backend": _backends,
    "samples": values.numbers,
    "batch_size": values.numbers,
    "threads": values.numbers,
    "processes": values.numbers,
    "cores": values.numbers,
    "partitions": _partitions,
}
"""Every axis, and what reads its values. `cores` are all products of processes and threads."""

_DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "model": ("plain9",),
    "samples": (1, 10, 100, 1000),
    "batch_size": (128,),
    "threads": (None,),
    "processes": (1,),
    "partitions": ("",),
}


@dataclass(frozen=True)
class Study:
    """What is measured: `axes` by name with their values; those of `zip` step together.

    `sessions` times all is measured anew, by processes that are started anew, in a random order of
    `seed`, which is the hash's if it is None. Numbers are as a comparison has them, `rtol` and
    `atol` the texts of its options, as are `input_shape`, `mean`, `std`; `functions` are files of
    one's own.
    """

    axes: Mapping[str, tuple[Any, ...]]
    zip: tuple[tuple[str, ...], ...] = ()
    input_shape: tuple[str, ...] | None = None
    data: str = "photo10"
    split: str = "test"
    labels: str | None = None
    resize: int | None = None
    mean: str | None = None
    std: str | None = None
    runs: int = 5
    min_time: float = 0.3
    budget: float = 2.0
    timeout: float = 180.0
    algorithm: str = "auto"
    rtol: tuple[str, ...] = ()
    atol: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    sessions: int = 1
    seed: int | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Study:
        """From a document's tree; raises UsageError for what a study does not have or cannot be."""
        known = {field.name: field.type for field in fields(cls)}
        for name, value in document.items():
            if name not in known:
                raise UsageError(f"unknown {name!r}: choose from {', '.join(known)}")
            _check(name, str(known[name]), value)
        axes = {name: _axis(name, value) for name, value in document.get("axes", {}).items()}
        axes.setdefault("backend", _labels(()))
        zipped = tuple(tuple(map(str, group)) for group in document.get("zip", ()))
        lists = {name: _texts(document[name]) for name in _LISTS if name in document}
        study = cls(**{**document, **lists, "axes": axes, "zip": zipped})
        study._check_axes()
        return study

    def document(self) -> dict[str, Any]:
        """Its tree, from which the same study comes."""
        tree = {field.name: getattr(self, field.name) for field in fields(self)}
        axes = {name: list(found) for name, found in self.axes.items()}
        tree |= {"axes": axes, "zip": [list(group) for group in self.zip]}
        tree |= {name: list(tree[name]) for name in _LISTS if tree[name] is not None}
        return {name: value for name, value in tree.items() if value is not None}

    @property
    def hash(self) -> str:
        """Of what a cell of it is: not of how many sessions there are, and in which order."""
        tree = self.document()
        return digest({name: tree[name] for name in tree if name not in _NOT_HASHED})

    @property
    def order_seed(self) -> int:
        """The seed that was given, else one that is always the study's."""
        return int(self.hash, 16) % 2**31 if self.seed is None else self.seed

    @property
    def names_backends(self) -> bool:
        """Whether it is of chosen backends, not of every one."""
        return self.axes["backend"] != _labels(())

    @property
    def preparation(self) -> Preparation:
        """How images become inputs; raises UsageError for what says no such thing."""
        return Preparation.parse(self.labels, self.resize, self.mean, self.std)

    @property
    def limits(self) -> Limits:
        """How long a cell is measured."""
        return Limits(self.runs, self.min_time, self.budget)

    def points(self) -> Iterator[Point]:
        """Every combination once: axes that are not zipped are crossed, the last one is fastest."""
        zipped = [name for group in self.zip for name in group]
        groups = [*self.zip, *((name,) for name in self._values if name not in zipped)]
        steps = [zip(*(self._values[name] for name in group), strict=True) for group in groups]
        found: dict[Point, None] = {}
        for combination in itertools.product(*steps):
            named = {
                name: value
                for group, step in zip(groups, combination, strict=True)
                for name, value in zip(group, step, strict=True)
            }
            for split in _splits(named.pop("cores", None)):
                found[Point(**{**named, **split})] = None
        yield from found

    @property
    def _values(self) -> dict[str, tuple[Any, ...]]:
        return {
            name: self.axes.get(name, _DEFAULTS.get(name, ()))
            for name in AXES
            if name in self.axes or name in _DEFAULTS
        }

    def _check_axes(self) -> None:
        if "cores" in self.axes and {"threads", "processes"} & self.axes.keys():
            raise UsageError("cores are all products of processes and threads: give one or other")
        seen: set[str] = set()
        for group in self.zip:
            for name in group:
                if name not in self.axes:
                    why = "has one value" if name in AXES else f"is none of {', '.join(AXES)}"
                    raise UsageError(f"zip {','.join(group)}: {name} {why}")
                if name in seen:
                    raise UsageError(f"zip {','.join(group)}: {name} can step in one zip only")
                seen.add(name)
            lengths = {name: len(self.axes[name]) for name in group}
            if len(group) < 2 or len(set(lengths.values())) > 1:
                told = ", ".join(f"{name} has {count}" for name, count in lengths.items())
                raise UsageError(f"zip {','.join(group)}: axes of as many values each ({told})")


_LISTS = ("rtol", "atol", "functions", "input_shape")
_NOT_HASHED = ("sessions", "seed", "timeout")


def _texts(value: object) -> tuple[str, ...]:
    """Of a text, a number, or a list of both."""
    return tuple(map(str, value if isinstance(value, list | tuple) else (value,)))


def _axis(name: str, written: object) -> tuple[Any, ...]:
    if name not in AXES:
        raise UsageError(f"unknown axis {name!r}: choose from {', '.join(AXES)}")
    return AXES[name](name, written)


def _splits(cores: int | None) -> Iterator[dict[str, int]]:
    """All ways of giving each of some processes as many of the cores."""
    if cores is None:
        yield {}
        return
    for processes in range(1, cores + 1):
        if cores % processes == 0:
            yield {"processes": processes, "threads": cores // processes}


_CHOICES = {"split": SPLITS, "algorithm": ALGORITHMS}


def _check(name: str, kind: str, value: object) -> None:
    """Raises UsageError if a value is not of the type that a field of Study has."""
    if name == "axes":
        fine, wanted = isinstance(value, Mapping), "a table of axes"
    elif name == "zip":
        fine = isinstance(value, Sequence) and all(
            isinstance(group, list | tuple) for group in value
        )
        wanted = "a list of lists of axes"
    elif name in _LISTS:
        parts = value if isinstance(value, list | tuple) else [value]
        fine = all(type(part) in (str, int, float) for part in parts)
        wanted = "a text or a list of texts"
    elif kind.startswith("int"):
        least = 0 if name == "seed" else 1
        fine, wanted = type(value) is int and value >= least, f"a whole number from {least} on"
    elif kind == "float":
        fine = type(value) in (int, float) and 0 <= value < math.inf  # type: ignore[operator]
        wanted = "a number from 0 on, and finite"
    else:
        fine, wanted = isinstance(value, str), "a text"
    if name in _CHOICES and value not in _CHOICES[name]:
        fine, wanted = False, " or ".join(_CHOICES[name])
    if name == "timeout" and value == 0:
        fine, wanted = False, "a number above 0"
    if not fine:
        raise UsageError(f"{name} {value!r}: expected {wanted}")
