"""The one interface over all backends; each runs in a worker process of its own.

A backend never times itself: the worker times `import_framework`, the constructor, and,
through the Stopwatch that it hands to `infer`, conversion in, compute and conversion out.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from adapters.operator_profile import OperatorProfile, ProfilingUnavailableError
from columnar_nn.data import tensor_column
from columnar_nn.errors import MissingPackageError, UnsupportedOperatorError
from columnar_nn.model.graph import Graph
from columnar_nn.model.operators import is_custom


@dataclass(frozen=True)
class Settings:
    """What a backend is asked for: configuration name, threads, rows of the largest batch.

    `algorithm` ("auto", "direct", "winograd" or "textbook") is for backends that choose how to
    convolve. `model_file` is the path of an ONNX file of the network, for one that
    has it (`Backend.onnx_of`).
    """

    configuration: str
    threads: int
    batch_size: int
    algorithm: str = "auto"
    model_file: str | None = None


@dataclass(frozen=True)
class Configuration:
    """A named way of running a backend.

    `role` is "default" (what a user gets without asking), "best" (the fastest honest one known
    for this backend) or "variant" (run only when asked for by name). Only one that runs on a `gpu`
    sees any, and it is a variant. `precision` is the lowest that products may be computed in:
    what they were computed in, `Backend.describe` says.
    """

    description: str
    role: str
    gpu: bool = False
    precision: str = "float32"


@dataclass(frozen=True)
class Description:
    """What a backend really ran, for the report: versions, precision, layout, algorithm, threads.

    `denormals` are "kept", "flushed" to zero, as operands and results, or "flushed in weights":
    where they are kept, many processors take 100 times as long. `notes` states each way in which
    it differs from what was asked (a fallback, another precision, another algorithm).
    """

    versions: Mapping[str, str]
    precision: str
    layout: str
    algorithm: str
    threads: int
    denormals: str = "kept"
    notes: tuple[str, ...] = ()


@dataclass
class Stopwatch:
    """Seconds spent in each named phase of inference: input, compute, output."""

    seconds: dict[str, float] = field(
        default_factory=lambda: {"input": 0.0, "compute": 0.0, "output": 0.0}
    )

    def phase(self, name: str) -> Phase:
        """Adds the wall time of a with block to the phase `name`."""
        return Phase(self.seconds, name)


class Phase:
    """A block being timed; written out, for contextlib's takes 4 us, as long as some phases."""

    __slots__ = ("_name", "_seconds", "_start")

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self._seconds = seconds
        self._name = name

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._name] += time.perf_counter() - self._start


class Backend(ABC):
    """A framework, or an engine, holding one network in one configuration.

    Life: `import_framework()`, constructor (loads the weights, compiles), any number of
    `infer` calls, `close`. A subclass writes `_build`, `_to_input`, `_compute` and
    `_to_arrays`; one that executes streams itself overrides `infer` instead of the last three.
    Raises MissingPackageError if the package is absent and UnsupportedOperatorError, listing
    every such node, if the network cannot be run.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    """What must be importable, as users know it, e.g. "torch"."""
    extra: ClassVar[str]
    """The extra of this project that installs it; empty if the core does."""
    configurations: ClassVar[Mapping[str, Configuration]]
    fair_settings: ClassVar[Mapping[str, str]] = {}
    """What its adapter sets, against the framework's defaults, so that a comparison is fair: the
    framework's own name of it, and why."""
    computes_declared: ClassVar[bool] = False
    """Whether it computes functions that users declare in Python."""

    @classmethod
    def import_framework(cls) -> None:
        """Imports the framework; raises MissingPackageError when it is not installed."""
        try:
            import_module(cls.package)
        except ImportError:
            raise MissingPackageError(cls.package, cls.extra) from None

    @classmethod
    def onnx_of(cls, graph: Graph) -> bytes | None:
        """The content of an ONNX file of the network; None for a framework that is given the graph.

        Its users have such a file: a start of it is not charged for writing one.
        Raises UnsupportedOperatorError as the constructor does.
        """
        return None

    def __init__(self, graph: Graph, settings: Settings) -> None:
        self.graph = graph
        self.settings = settings
        custom = [node for node in graph.nodes if is_custom(node.op_type)]
        if custom and not self.computes_declared:
            reason = "it has no functions declared in Python"
            raise UnsupportedOperatorError(
                self.name, [(node.name, node.op_type, reason) for node in custom]
            )
        self._build()

    @abstractmethod
    def _build(self) -> None:
        """Turns `self.graph` into whatever the framework executes, as the settings say."""

    @abstractmethod
    def describe(self) -> Description:
        """What is really being run; called after at least one `infer`."""

    def infer(
        self, batches: Iterable[pa.RecordBatch], stopwatch: Stopwatch
    ) -> Iterator[pa.RecordBatch]:
        """Yields, for each batch of inputs, in order, a batch of the graph's outputs.

        Input batches have a column for each of `Graph.columns` (fixed_shape_tensor, uint8 pixels
        or float32); output batches one float32 fixed_shape_tensor column for each of its outputs.
        """
        for batch in batches:
            with stopwatch.phase("input"):
                model_input = self._to_input(batch)
            with stopwatch.phase("compute"):
                result = self._compute(model_input)
            with stopwatch.phase("output"):
                columns = [tensor_column.from_numpy(a) for a in self._to_arrays(result)]
                output = pa.RecordBatch.from_arrays(
                    columns, names=[spec.name for spec in self.graph.outputs]
                )
            yield output

    def _to_input(self, batch: pa.RecordBatch) -> Any:
        """The framework's own input tensors: pixels / 255 as float32, in its preferred layout."""
        raise NotImplementedError

    def _compute(self, model_input: Any) -> Any:
        """Runs the network; must not return before the result exists."""
        raise NotImplementedError

    def _to_arrays(self, result: Any) -> Sequence[np.ndarray]:
        """The outputs as float32 arrays [rows, ...] in ONNX layout, in the graph's order."""
        raise NotImplementedError

    def start_profiling(self) -> str:
        """Has `infer` keep the time of every operator from now on; returns whose clock that is.

        Raises ProfilingUnavailableError, with the reason, if the backend tells no such times.
        """
        raise ProfilingUnavailableError(f"{self.name} tells no times of its operators")

    def stop_profiling(self) -> tuple[OperatorProfile, ...]:
        """Ends what `start_profiling` began; times of all batches since, as the operators ran."""
        raise NotImplementedError

    def _algorithm_notes(self) -> tuple[str, ...]:
        """What to say of an algorithm asked for, if the backend's library always chooses."""
        asked = self.settings.algorithm
        return () if asked == "auto" else (f"its library chooses the algorithm, not {asked}",)

    def close(self) -> None:  # noqa: B027 - nothing to release is the common case
        """Releases what must not outlive the backend."""


def image_array(batch: pa.RecordBatch, column: str = "image") -> np.ndarray:
    """A column of tensors as a float32 array [rows, ...]; uint8 pixels become pixel / 255."""
    images = tensor_column.to_numpy(batch.column(column))
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255)
    return images


def input_arrays(batch: pa.RecordBatch, graph: Graph) -> list[np.ndarray]:
    """What each input of a graph is given, in the graph's order, as `image_array` has it."""
    return [image_array(batch, column) for column in graph.columns.values()]


def zeros(graph: Graph, rows: int) -> list[np.ndarray]:
    """A batch of nothing, float32 as `input_arrays` are."""
    return [
        np.zeros((rows, *(size or 1 for size in spec.shape[1:])), np.float32)
        for spec in graph.inputs
    ]


def counted(kernels: Iterable[str]) -> str:
    """Names of convolutions with how often each occurs, e.g. "_FusedConv2D x7"."""
    counts = Counter(kernels).items()
    return ", ".join(f"{kernel} x{count}" for kernel, count in counts) or "no convolution"
