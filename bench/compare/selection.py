"""What is compared: backends and configurations, numbers of samples, and which are affordable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adapters import registry
from columnar_nn.errors import UsageError

MIN_RUNS = 3
"""Timed runs that a cell gets even if they exceed its budget."""

_DOUBT = 5.0
"""How many times the budget a prediction from a single measurement must be to be believed."""


@dataclass(frozen=True)
class Selection:
    """One backend in one configuration, on as many threads as it may use unless fewer are said."""

    backend: str
    configuration: str
    description: str = ""
    threads: int | None = None

    @property
    def label(self) -> str:
        return f"{self.backend}:{self.configuration}"


def select(names: Sequence[str]) -> tuple[Selection, ...]:
    """The selections meant by NAME or NAME:CONFIGURATION, each once, in order.

    A NAME alone means its "default" and "best" configurations; no names mean every backend. A
    backend whose adapter cannot be imported stays in, for its worker to report why. Raises
    UsageError for an unknown name or configuration.
    """
    chosen: dict[Selection, None] = {}
    for text in names or registry.BACKENDS:
        backend, _, configuration = text.partition(":")
        try:
            known = registry.load(backend).configurations
        except ImportError:
            chosen[Selection(backend, configuration or "default")] = None
            continue
        if configuration and configuration not in known:
            raise UsageError(
                f"{backend} has no configuration {configuration!r}: choose from {', '.join(known)}"
            )
        for name, details in known.items():
            if name == configuration or (not configuration and details.role != "variant"):
                chosen[Selection(backend, name, details.description)] = None
    return tuple(chosen)


def parse_samples(text: str) -> tuple[int, ...]:
    """Numbers of samples from "1,10,100", ascending, each once; raises UsageError."""
    try:
        counts = sorted({int(part) for part in text.split(",")})
    except ValueError:
        counts = []
    if not counts or counts[0] < 1:
        raise UsageError(f"--samples {text!r}: expected positive whole numbers such as 1,10,100")
    return tuple(counts)


def predict_seconds(measured: Mapping[int, float], samples: int) -> float | None:
    """Seconds that one run of `samples` would take, from runs of fewer; None without any.

    From several along the line through the two largest; from one in proportion, which takes a
    constant cost for one of every image and is therefore too much.
    """
    counts = sorted(count for count in measured if count < samples)
    if not counts:
        return None
    last = counts[-1]
    slope = measured[last] / last
    if len(counts) > 1:
        before = counts[-2]
        line = (measured[last] - measured[before]) / (last - before)
        slope = min(slope, max(line, 0.0))
    return measured[last] + slope * (samples - last)


def too_long(measured: Mapping[int, float], samples: int, budget: float) -> float | None:
    """The predicted seconds of a run if they exceed the budget, else None.

    A prediction from a single number of samples must exceed it clearly.
    """
    predicted = predict_seconds(measured, samples)
    doubt = 1.0 if sum(count < samples for count in measured) > 1 else _DOUBT
    return predicted if predicted is not None and predicted > budget * doubt else None


def budget_for(predicted: float) -> float:
    """A budget, in seconds, within which a run of `predicted` seconds is sure to be done.

    Half as much again, in round figures: the next run takes another time.
    """
    step = 10.0 ** (math.floor(math.log10(predicted * 1.5)) - 1)
    return round(math.ceil(predicted * 1.5 / step) * step, 9)


def rows_to_compare(samples: Sequence[int], checked: int, limit: int, batch: int = 1) -> np.ndarray:
    """Sorted rows, about `limit` of them, on which outputs are compared with the reference.

    The first `checked` ones, and all others if they are few enough; else some of every cell,
    spread evenly and with its first and last rows, where an engine's handling of the last,
    smaller batch would go wrong. Of a network tied to a `batch` size whole batches, of each cell
    the first and the last at least.
    """
    if batch > 1:
        counts = [count // batch for count in samples]
        batches = rows_to_compare(counts, -(-checked // batch), limit // batch)
        return (batches[:, np.newaxis] * batch + np.arange(batch)).reshape(-1)
    first, largest = np.arange(checked), max(samples)
    if largest <= limit:
        return np.arange(max(largest, checked))
    share = max(2, limit // len(samples))
    chosen = [np.linspace(0, count - 1, min(share, count)).round() for count in samples]
    return np.unique(np.concatenate([first, *chosen])).astype(np.int64)


def check_batches(batch_sizes: Sequence[int], images: int) -> tuple[int, int]:
    """Images and batch size of a run of at least `images`, in batches of a size already run.

    Full ones: another size would be compiled for anew by some engines.
    """
    fitting = [size for size in batch_sizes if size <= images]
    size = max(fitting) if fitting else min(batch_sizes)
    return -(-images // size) * size, size
