"""OpenVINO's CPU plugin."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from adapters.base import Backend, Configuration, Description, counted, input_arrays, zeros
from adapters.operator_profile import OperatorProfile
from columnar_nn.errors import UnsupportedOperatorError
from columnar_nn.model.graph import Graph

_PRECISIONS = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
_LAYOUTS = {"abcd": "NCHW", "acdb": "NHWC", "aBcd8b": "nChw8c", "aBcd16b": "nChw16c"}
"""The names of oneDNN's layouts in the terms used here."""


class OpenVinoBackend(Backend):
    """The network as an ONNX model compiled for the CPU, one request at a time."""

    name = "openvino"
    package = "openvino"
    extra = "openvino"
    # plain9 on one thread, ms an image at 1 / 32 / 128 images (Cascade Lake): any number of rows
    # 0.71 / 0.65 / 0.64, compiled for each number 0.73 / 0.66 / 0.65. On two threads one stream
    # (the default) 0.65 / 0.58 / 0.58, several (THROUGHPUT) 1.36 / 1.07 / 0.99.
    configurations: ClassVar[Mapping[str, Configuration]] = {
        "float32": Configuration("defaults, but float32 throughout", "best"),
        "default": Configuration(
            "defaults, which compute in bfloat16 or float16 where the processor can",
            "variant",
            precision="bfloat16",
        ),
    }
    fair_settings: ClassVar[Mapping[str, str]] = {
        "INFERENCE_NUM_THREADS": "as many threads as the others",
        "INFERENCE_PRECISION_HINT": "or it computes in bfloat16 where the processor can",
        "openvino_telemetry": "or it sends messages",
    }

    @classmethod
    def import_framework(cls) -> None:
        """Imports it without its telemetry, which gives the user an identity and sends events."""
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        super().import_framework()

    @classmethod
    def onnx_of(cls, graph: Graph) -> bytes:
        from adapters.openvino.network import network
        from columnar_nn.model import onnx_io  # loads onnx, which no compiled model needs

        content: bytes = onnx_io.to_proto(network(graph)).SerializeToString()
        return content

    def _build(self) -> None:
        self._model = self._compile()
        self._request = self._model.create_infer_request()
        self._num_runs = 0

    def _compile(self, **options: Any) -> Any:
        import openvino

        options["INFERENCE_NUM_THREADS"] = self.settings.threads
        if self.settings.configuration == "float32":
            options["INFERENCE_PRECISION_HINT"] = "f32"
        core = openvino.Core()
        model = (
            core.read_model(self.settings.model_file)
            if self.settings.model_file
            else core.read_model(self.onnx_of(self.graph), b"")
        )
        try:
            return core.compile_model(model, "CPU", options)
        except RuntimeError as error:  # such as "Check 'data.size() == OC' failed"
            says = [line for line in str(error).splitlines() if not line.startswith("Exception")]
            reason = f"it does not compile: {' '.join(says[:2])}"
            raise UnsupportedOperatorError(
                self.name, [(self.graph.name, "the whole network", reason)]
            ) from None

    def _to_input(self, batch: pa.RecordBatch) -> Any:
        return input_arrays(batch, self.graph)

    def _compute(self, model_input: Any) -> Any:
        self._num_runs += 1
        return self._request.infer(dict(enumerate(model_input)), share_inputs=True)

    def _to_arrays(self, result: Any) -> Sequence[np.ndarray]:
        return list(result.values())

    def start_profiling(self) -> str:
        """Runs a model compiled with counters from now on."""
        self._unprofiled = self._request
        model = self._compile(PERF_COUNT=True)
        self._nodes = {name: self._node_of(facts) for name, facts in _operators(model).items()}
        self._request = model.create_infer_request()
        self._num_runs = 0
        self._compute(zeros(self.graph, self.settings.batch_size))
        self._warm_up = self._counters()
        return "its performance counters"

    def stop_profiling(self) -> tuple[OperatorProfile, ...]:
        from adapters.fused_nodes import fused

        calls = self._num_runs - 1
        profiles = [
            OperatorProfile(
                self._nodes.get(name, ()),
                kind,
                max(seconds - self._warm_up[name, kind], 0.0),
                calls,
            )
            for (name, kind), seconds in self._counters().items()
        ]
        self._request = self._unprofiled
        return fused(self.graph, profiles)

    def _counters(self) -> dict[tuple[str, str], float]:
        """Seconds of all runs so far, by an operator's name and kind; it tells their mean.

        Of a node's operators also those that had nothing to do, such as a Reshape in place.
        """
        return {
            (info.node_name, f"{info.node_type} {info.exec_type}"): self._num_runs
            * info.real_time.total_seconds()
            for info in self._request.profiling_info
            if info.status == info.Status.EXECUTED or self._nodes.get(info.node_name)
        }

    def _node_of(self, facts: Mapping[str, str]) -> tuple[str, ...]:
        """The first node that an operator computes, known by its name or that of its output."""
        names = {node.name for node in self.graph.nodes}
        for name in facts["originalLayersNames"].split(","):
            if name in names:
                return (name,)
            if (producer := self.graph.producer(name)) is not None:
                return (producer.name,)
        return ()

    def describe(self) -> Description:
        import openvino

        operators = _operators(self._model).values()
        convolutions = [facts for facts in operators if "Convolution" in facts["layerType"]]
        layouts = dict.fromkeys(facts["outputLayouts"] for facts in convolutions)
        precision = self._model.get_property("INFERENCE_PRECISION_HINT").to_string()
        return Description(
            versions={"openvino": openvino.__version__.partition("-")[0]},
            precision=_PRECISIONS.get(precision, precision),
            layout=", ".join(_LAYOUTS.get(layout, layout) for layout in layouts) or "NCHW",
            algorithm=counted(facts["primitiveType"] for facts in convolutions),
            threads=self._model.get_property("INFERENCE_NUM_THREADS"),
            denormals="flushed in weights" if precision == "f32" else "flushed",
            notes=self._algorithm_notes(),
        )

    def close(self) -> None:
        del self._request, self._model


def _operators(model: Any) -> dict[str, dict[str, str]]:
    """What a compiled model says of each of its operators, by name."""
    return {
        operator.get_friendly_name(): {
            key: value.astype(str) for key, value in operator.get_rt_info().items()
        }
        for operator in model.get_runtime_model().get_ordered_ops()
    }
