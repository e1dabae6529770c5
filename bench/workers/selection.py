"""Backends as they are named: NAME[:CONFIGURATION], of one or of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from adapters import registry
from adapters.base import Configuration
from columnar_nn.errors import UsageError


@dataclass(frozen=True)
class Selection:
    """One backend in one configuration, on as many threads as it may use unless fewer are said.

    Its process sees a GPU only if it runs on a `gpu`. `precision` is that of its Configuration.
    """

    backend: str
    configuration: str
    description: str = ""
    threads: int | None = None
    gpu: bool = False
    precision: str = "float32"

    @property
    def label(self) -> str:
        return f"{self.backend}:{self.configuration}"


class Configured(Protocol):
    """What is selected: a backend, or an engine of queries, by what can be asked of it."""

    configurations: ClassVar[Mapping[str, Configuration]]


def select(
    names: Sequence[str],
    every: Iterable[str] = registry.BACKENDS,
    load: Callable[[str], type[Configured]] = registry.load,
) -> tuple[Selection, ...]:
    """The selections meant by NAME or NAME:CONFIGURATION, each once, in order.

    A NAME alone means its "default" and "best" configurations; no names mean `every` one. One
    whose adapter cannot be imported stays in, for its worker to report why. Raises UsageError for
    an unknown name or configuration, and as `load` does.
    """
    chosen: dict[Selection, None] = {}
    for text in names or every:
        backend, _, configuration = text.partition(":")
        try:
            known = _configurations(backend, configuration, load)
        except ImportError:
            chosen[Selection(backend, configuration or "default")] = None
            continue
        for name, details in known.items():
            if name == configuration or (not configuration and details.role != "variant"):
                chosen[_selection(backend, name, details)] = None
    return tuple(chosen)


def select_one(text: str) -> Selection:
    """The selection meant by NAME[:CONFIGURATION], where there can be only one.

    NAME alone means its "default" configuration, or its first if none is called so. Raises
    UsageError for an unknown name or configuration, or an adapter that cannot be imported.
    """
    backend, _, configuration = text.partition(":")
    try:
        known = _configurations(backend, configuration, registry.load)
    except ImportError as error:
        raise UsageError(f"cannot import backend {backend!r}: {error}") from None
    usual = [name for name, details in known.items() if details.role == "default"]
    name = configuration or [*usual, *known][0]
    return _selection(backend, name, known[name])


def _selection(backend: str, name: str, details: Configuration) -> Selection:
    return Selection(
        backend, name, details.description, gpu=details.gpu, precision=details.precision
    )


def _configurations(
    backend: str, asked: str, load: Callable[[str], type[Configured]]
) -> Mapping[str, Configuration]:
    """Those that a backend has; `asked`, unless empty, must be among them."""
    known = load(backend).configurations
    if asked and asked not in known:
        raise UsageError(
            f"{backend} has no configuration {asked!r}: choose from {', '.join(known)}"
        )
    return known
