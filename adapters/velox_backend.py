"""Velox itself, by pyvelox: the network said in Velox's own expressions and plan nodes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import ClassVar

import numpy as np
import pyarrow as pa

from adapters.base import Backend, Configuration, Description
from adapters.fused_nodes import nodes_between
from adapters.operator_profile import OperatorProfile, ProfilingUnavailableError, merged
from adapters.velox.formulation import KINDS
from adapters.velox.layers import lower
from adapters.velox.staged import Staged
from adapters.velox.statistics import operators, parse
from adapters.velox.task import VeloxTask
from columnar_nn.data import tensor_column

DEFAULT = "winograd"


class VeloxBackend(Backend):
    """Stock Velox, without the study's neural-network extension.

    Every arithmetic operation of the network is done by Velox, in plans of Presto functions and
    relational operators; the configurations are ways of saying it. Raises VeloxError with
    Velox's own reason.
    """

    name: ClassVar[str] = "velox"
    package: ClassVar[str] = "pyvelox"  # its Arrow is pyarrow's, which is imported by now
    extra: ClassVar[str] = "velox"
    configurations: ClassVar = {
        name: Configuration(kind.description, "default" if name == DEFAULT else "variant")
        for name, kind in KINDS.items()
    }

    def _build(self) -> None:
        wanted = self.settings.configuration
        self._kind = KINDS["direct" if self._falls_back() else wanted]
        network = lower(self.graph)
        self._layers = {layer.name: layer for layer in network.layers}
        self._formulation = self._kind.build(network, self.settings.threads)
        self._formulation.prepare(self.settings.batch_size)
        self._tasks: list[tuple[str, VeloxTask]] = []
        self._profiled: list[tuple[str, VeloxTask]] | None = None

    def _falls_back(self) -> bool:
        return self.settings.configuration == "winograd" and self.settings.algorithm == "direct"

    def describe(self) -> Description:
        """Says that this is stock Velox, and what happens outside it."""
        notes = ["stock Velox, without the study's neural-network extension", *self._kind.notes]
        if self._falls_back():
            notes.append("configuration direct was run, as direct convolution was asked for")
        if self.settings.algorithm == "winograd" and "winograd" not in self._kind.algorithm:
            notes.append(f"configuration {self.settings.configuration} has no Winograd convolution")
        return Description(
            versions={"pyvelox": metadata.version("pyvelox"), "pyarrow": pa.__version__},
            precision=self._kind.precision,
            layout=self._kind.layout,
            algorithm=self._kind.algorithm,
            threads=self.settings.threads if self._kind.parallel else 1,
            notes=tuple(notes),
        )

    def plans(self) -> list[tuple[str, str]]:
        """For each task of the last batch what it computed, and its plan as Velox prints it."""
        return [(name, task.statistics_text()) for name, task in self._tasks]

    def start_profiling(self) -> str:
        """Velox always counts; from now on all tasks are kept for their statistics."""
        if not isinstance(self._formulation, Staged):
            raise ProfilingUnavailableError(
                "the network is one plan, whose statistics do not say which operator is of which "
                "layer: profile winograd or direct"
            )
        self._profiled = []
        return "its operator statistics, of the tasks of each layer"

    def stop_profiling(self) -> tuple[OperatorProfile, ...]:
        assert self._profiled is not None
        tasks, self._profiled = self._profiled, None
        profiles = []
        for name, task in tasks:
            # A layer's tasks are called after it, and perhaps after a step of it.
            layer = self._layers.get(name) or self._layers.get(name.partition(" ")[0])
            nodes = nodes_between(self.graph, layer.inputs, layer.output) if layer else ()
            for operator in operators(parse(task.statistics_text())):
                label = f"{operator.operator_type} of {name}"
                profiles.append(OperatorProfile(nodes, label, operator.wall_nanos / 1e9, 1))
        return merged(profiles)

    def close(self) -> None:
        """Ends tasks before the buffers that their vectors view."""
        self._tasks.clear()
        self._formulation.close()

    def _to_input(self, batch: pa.RecordBatch) -> np.ndarray:
        return tensor_column.to_numpy(batch.column("image"))

    def _compute(self, model_input: np.ndarray) -> Sequence[np.ndarray]:
        self._tasks = self._formulation.run(model_input)
        if self._profiled is not None:
            self._profiled += self._tasks
        return self._formulation.outputs()

    def _to_arrays(self, result: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        shapes = [[int(size or 0) for size in spec.shape[1:]] for spec in self.graph.outputs]
        return [array.reshape(-1, *shape) for array, shape in zip(result, shapes, strict=True)]
