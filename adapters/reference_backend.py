"""The reference itself: NumPy, one operator after another, sums in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_info, threadpool_limits

from adapters import declared_functions
from adapters.base import Backend, Configuration, Description, input_arrays
from adapters.operator_profile import OperatorClock, OperatorProfile
from columnar_nn.errors import UnsupportedOperatorError
from reference.evaluate import OperatorNode, evaluate
from reference.operators import OPERATORS

_CALCULATIONS: Mapping[str, type[np.floating]] = {
    "float64": np.float64,
    "float32": np.float32,
    "bfloat16": np.float32,
}


class ReferenceBackend(Backend):
    """What every other backend is compared with; float64 products by NumPy's BLAS."""

    name = "reference"
    package = "numpy"
    extra = ""
    computes_declared = True
    configurations: ClassVar[Mapping[str, Configuration]] = {
        "float64": Configuration("NumPy, float64 sums rounded once", "default"),
        "float32": Configuration("NumPy, float32 sums: what float32 itself does", "variant"),
        "bfloat16": Configuration(
            "NumPy, factors rounded to bfloat16, float32 sums: what bfloat16 itself does",
            "variant",
            precision="bfloat16",
        ),
    }

    def _build(self) -> None:
        self._clock: OperatorClock | None = None
        self._calculation = _CALCULATIONS[self.settings.configuration]
        self._is_bfloat16 = self.settings.configuration == "bfloat16"
        declared_functions.give_to_reference()
        missing = [
            (node.name, node.op_type, "no such operator in the reference")
            for node in self.graph.nodes
            if node.op_type not in OPERATORS
        ]
        if missing:
            raise UnsupportedOperatorError(self.name, missing)
        threadpool_limits(self.settings.threads)

    def _to_input(self, batch: pa.RecordBatch) -> Any:
        return input_arrays(batch, self.graph)

    def _compute(self, model_input: Any) -> Any:
        return evaluate(
            self.graph.nodes,
            self.graph.weights,
            dict(zip(self.graph.columns, model_input, strict=True)),
            [spec.name for spec in self.graph.outputs],
            around=self._timed,
            calculation=self._calculation,
            bfloat16_factors=self._is_bfloat16,
        )

    def _timed(self, node: OperatorNode) -> AbstractContextManager[None]:
        return self._clock.operator(node.name, node.op_type) if self._clock else nullcontext()

    def start_profiling(self) -> str:
        """A clock of this project around each call of an operator."""
        self._clock = OperatorClock()
        return "wall clock around each NumPy operator"

    def stop_profiling(self) -> tuple[OperatorProfile, ...]:
        assert self._clock is not None
        clock, self._clock = self._clock, None
        return clock.profiles()

    def _to_arrays(self, result: Any) -> Sequence[np.ndarray]:
        return [result[spec.name] for spec in self.graph.outputs]

    def describe(self) -> Description:
        blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
        sums = np.dtype(self._calculation).name
        precision = "bfloat16" if self._is_bfloat16 else f"float32 tensors, {sums} sums"
        return Description(
            versions={
                "numpy": np.__version__,
                **{str(library["internal_api"]): str(library["version"]) for library in blas},
            },
            precision=precision,
            layout="NCHW",
            algorithm="direct, as a matrix product over patches",
            threads=max((library["num_threads"] for library in blas), default=1),
        )
