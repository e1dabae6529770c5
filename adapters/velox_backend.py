"""Velox itself, by pyvelox: the network said in Velox's own expressions and plan nodes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import ClassVar

import numpy as np
import pyarrow as pa

from adapters.base import Backend, Configuration, Description
from adapters.velox.layers import Convolution, lower
from adapters.velox.staged import Program
from columnar_nn import tensor_column
from columnar_nn.errors import MissingPackageError

MAX_PROGRAMS = 3
"""Batch sizes kept ready; each holds its own buffers and input vectors."""

STOCK = "stock Velox without the study's neural-network extension: Presto functions only"


class VeloxBackend(Backend):
    """Stock Velox, without the study's neural-network extension.

    Every arithmetic operation of the network is done by Velox. One task a layer or more; between
    tasks columns are copied unchanged. Raises VeloxError with Velox's reason.
    """

    name: ClassVar[str] = "velox"
    package: ClassVar[str] = "pyvelox"
    extra: ClassVar[str] = "velox"
    configurations: ClassVar = {
        "winograd": Configuration("3x3 convolutions as Winograd's three projections", "default"),
        "direct": Configuration("each convolution as one wide projection", "variant"),
    }

    @classmethod
    def import_framework(cls) -> None:
        """Imports pyvelox; its Arrow is pyarrow's, which this module has imported already."""
        try:
            import pyvelox  # noqa: F401
        except ImportError:
            raise MissingPackageError(cls.package, cls.extra) from None

    def _build(self) -> None:
        self._network = lower(self.graph)
        self._programs: dict[int, Program] = {}
        self._program(self.settings.batch_size)

    def _program(self, images: int) -> Program:
        if images not in self._programs:
            if len(self._programs) == MAX_PROGRAMS:
                self._programs.pop(next(iter(self._programs)))
            self._programs[images] = Program(self._network, images, self._tile_size)
        return self._programs[images]

    def _tile_size(self, layer: Convolution, images: int) -> int:
        return 2 if self._algorithm() == "winograd" else 1

    def _algorithm(self) -> str:
        if self.settings.algorithm == "direct":
            return "direct"
        return self.settings.configuration

    def describe(self) -> Description:
        """One thread: a Values source feeds one driver."""
        notes = [STOCK, "between tasks, columns are copied unchanged outside Velox"]
        if self.settings.threads > 1:
            notes.append("one driver, whatever the number of threads: its source is not parallel")
        if self._algorithm() != self.settings.configuration:
            notes.append(f"configuration {self.settings.configuration} run with direct convolution")
        if self.settings.algorithm == "winograd" and self.settings.configuration == "direct":
            notes.append("configuration direct knows no Winograd convolution")
        return Description(
            versions={"pyvelox": metadata.version("pyvelox"), "pyarrow": pa.__version__},
            precision="float32",
            layout="a column a channel, rows [y, x, image]",
            algorithm=self._algorithm(),
            threads=1,
            notes=tuple(notes),
        )

    def _to_input(self, batch: pa.RecordBatch) -> np.ndarray:
        return tensor_column.to_numpy(batch.column("image"))

    def _compute(self, model_input: np.ndarray) -> Program:
        program = self._program(len(model_input))
        program.run(model_input)
        return program

    def _to_arrays(self, result: Program) -> Sequence[np.ndarray]:
        # A flattened output is the tensor that it is made of, which has another shape.
        shapes = [spec.shape[1:] for spec in self.graph.outputs]
        return [a.reshape(len(a), *s) for a, s in zip(result.outputs(), shapes, strict=True)]
