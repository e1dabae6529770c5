"""ONNX Runtime's CPU execution provider, and its CUDA one if that is asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from adapters import onnxruntime_cuda
from adapters.base import Backend, Configuration, Description, input_arrays, zeros
from adapters.operator_profile import OperatorProfile, ProfilingUnavailableError
from columnar_nn.errors import UnsupportedNetworkError, UnsupportedOperatorError
from columnar_nn.model.graph import Graph
from columnar_nn.model.node import Node

if TYPE_CHECKING:
    from adapters.onnx_runner import OnnxRuntimeRunner

CUDA = "cuda"
_KERNEL_TIME, _BLOCKED = "_kernel_time", "_nchwc"


class OnnxRuntimeBackend(Backend):
    """The network as an ONNX model in one session, with every graph optimisation (its default).

    In the configuration "original" the model is the file that the network was read from.
    """

    name = "onnxruntime"
    package = "onnxruntime"
    extra = "onnxruntime"
    # Nothing was found that beats the defaults. plain9, two threads, ms an image at 1 / 32 / 128
    # images (Zen 1, AVX2): default 1.05 / 1.00 / 1.00; no spinning 1.10 / 1.01 / 1.01; no
    # arena 1.05 / 1.00 / 1.10; no memory pattern 1.05 / 1.00 / 1.00. One thread: 1.70 / 1.66 /
    # 1.67 against 1.75 / 1.67 / 1.67 with I/O binding.
    configurations: ClassVar[Mapping[str, Configuration]] = {
        "default": Configuration("defaults, all graph optimisations, no telemetry", "best"),
        "original": Configuration("the model's own file, untouched, with the defaults", "variant"),
        CUDA: Configuration("default on a GPU, float32 without TF32", "variant", gpu=True),
    }
    fair_settings: ClassVar[Mapping[str, str]] = {
        "intra_op_num_threads": "as many threads as the others",
        "inter_op_num_threads": "or a second pool competes for the same CPUs",
        "ORT_DISABLE_TELEMETRY": "or a thread of its own sends messages while it is measured",
    }

    @classmethod
    def import_framework(cls) -> None:
        """Imports it with its telemetry off, unless ORT_DISABLE_TELEMETRY says otherwise.

        From 1.29 on it would send names and hashes of the models that it runs to its maker, from a
        thread of its own while it is measured.
        """
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        super().import_framework()

    @classmethod
    def onnx_of(cls, graph: Graph) -> bytes:
        from columnar_nn.model import onnx_io  # loads onnx, which no session needs

        content: bytes = onnx_io.to_proto(graph).SerializeToString(deterministic=True)
        return content

    def _build(self) -> None:
        refused = [
            (node.name, node.op_type, why) for node in self.graph.nodes if (why := _refused(node))
        ]
        if refused:
            raise UnsupportedOperatorError(self.name, refused)
        self._on_cuda: onnxruntime_cuda.OnCuda | None = None
        if self.settings.configuration == CUDA:
            onnxruntime_cuda.check()
        self._use(self._new_session(self._options()))
        self._unprofiled: Any = None
        self._input_names = list(self.graph.columns)
        self._output_names = [spec.name for spec in self.graph.outputs]
        if self.settings.configuration == CUDA:
            self._on_cuda = onnxruntime_cuda.OnCuda(self._session, self._output_names)
        if self._original is not None:
            self._check_outputs(self._original.outputs)

    def _use(self, session: Any) -> None:
        """Runs in `session` from now on."""
        self._session = session
        self._original: OnnxRuntimeRunner | None = None
        if self.settings.configuration != "original":
            return
        from adapters.onnx_runner import OnnxRuntimeRunner

        self._original = OnnxRuntimeRunner(session)
        others = {spec.dtype for spec in self._original.inputs} - {"float32"}
        if others:
            raise UnsupportedNetworkError(
                f"{self.graph.file} takes {others.pop()}: {self.name}:default runs its import, "
                "which takes float32"
            )

    def _check_outputs(self, file_outputs: Sequence[str]) -> None:
        """Raises UnsupportedNetworkError unless the file gives all that the graph does."""
        other = [name for name in self._output_names if name not in file_outputs]
        if other:
            raise UnsupportedNetworkError(
                f"{self.name}:original gives the outputs of its file only, not "
                f"{', '.join(other)}: ask {self.name}:default for other tensors"
            )

    def _options(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.settings.threads
        options.inter_op_num_threads = 1
        return options

    def _new_session(self, options: Any) -> Any:
        import onnxruntime

        model: str | bytes = self.graph.file
        if self.settings.configuration != "original":
            model = self.settings.model_file or self.onnx_of(self.graph)
        elif not model:
            raise UnsupportedNetworkError(
                f"{self.graph.name} was made in code, not read from an ONNX file: "
                f"{self.name}:default runs it"
            )
        providers: list[Any] = ["CPUExecutionProvider"]
        if self.settings.configuration == CUDA:
            providers.insert(0, (onnxruntime_cuda.PROVIDER, onnxruntime_cuda.OPTIONS))
        return onnxruntime.InferenceSession(model, options, providers=providers)

    def _to_input(self, batch: pa.RecordBatch) -> Any:
        arrays = input_arrays(batch, self.graph)
        return arrays if self._on_cuda is None else self._on_cuda.put(arrays)

    def _compute(self, model_input: Any) -> Any:
        if self._on_cuda is not None:
            return self._on_cuda.run(model_input)
        feeds = dict(zip(self._input_names, model_input, strict=True))
        if self._original is not None:
            outputs = self._original.run(feeds)
            return [outputs[name] for name in self._output_names]
        return self._session.run(self._output_names, feeds)

    def _to_arrays(self, result: Any) -> Sequence[np.ndarray]:
        arrays: Sequence[np.ndarray] = (
            result if self._on_cuda is None else self._on_cuda.fetch(result)
        )
        return [
            array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array
            for array in arrays
        ]

    def start_profiling(self) -> str:
        """Runs in a session of its own from now on, warmed up: only a new one can profile."""
        import tempfile  # loads what no session needs

        if self._on_cuda is not None:
            raise ProfilingUnavailableError("its kernels run on after they return: profile default")
        self._unprofiled = self._session
        self._profile_folder = tempfile.TemporaryDirectory()
        options = self._options()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self._profile_folder.name) / "profile")
        self._use(self._new_session(options))
        self._compute(zeros(self.graph, self.settings.batch_size))
        return "its profiling file: kernel times"

    def stop_profiling(self) -> tuple[OperatorProfile, ...]:
        from adapters.fused_nodes import fused

        events = json.loads(Path(self._session.end_profiling()).read_text())
        self._use(self._unprofiled)
        self._unprofiled = None
        self._profile_folder.cleanup()
        warm_up = min(e["ts"] + e["dur"] for e in events if e["name"] == "model_run")
        return fused(
            self.graph,
            (
                OperatorProfile(self._node_of(e["name"]), e["args"]["op_name"], e["dur"] / 1e6, 1)
                for e in sorted(events, key=lambda e: e["ts"])
                if e["cat"] == "Node" and e["name"].endswith(_KERNEL_TIME) and e["ts"] >= warm_up
            ),
        )

    def _node_of(self, event: str) -> tuple[str, ...]:
        """The node that a kernel's event is named after; none for kernels of no node.

        Fused operators have the name of one of theirs, those on NCHWc blocks of their output.
        """
        name = event.removesuffix(_KERNEL_TIME)
        tensor = name.removesuffix(_BLOCKED)
        if tensor != name and (producer := self.graph.producer(tensor)):
            return (producer.name,)
        return (name,) if any(node.name == name for node in self.graph.nodes) else ()

    def describe(self) -> Description:
        import onnxruntime

        return Description(
            versions={"onnxruntime": onnxruntime.__version__},
            precision="float32",
            layout="NCHW",
            algorithm="cuDNN's choice" if self._on_cuda else self._convolution_algorithm(),
            threads=self._session.get_session_options().intra_op_num_threads,
            notes=(*self._algorithm_notes(), *self._file_notes()),
        )

    def _file_notes(self) -> tuple[str, ...]:
        """What to say of a file that takes batches of one size."""
        batch = self._original.batch if self._original is not None else None
        if batch is None or batch == 1:
            return () if batch is None else ("runs image by image: the file takes batches of 1",)
        return (f"the file takes batches of {batch}: the last is filled up with its last image",)

    def _convolution_algorithm(self) -> str:
        """How the optimised model convolves, as ONNX Runtime itself writes it down."""
        import tempfile

        import onnx
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # it warns that such a file suits this machine only
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "optimized.onnx"
            options.optimized_model_filepath = str(path)
            self._new_session(options)
            nodes = onnx.load(path).graph.node
        domains = [node.domain for node in nodes if node.op_type in ("Conv", "FusedConv")]
        blocked = domains.count("com.microsoft.nchwc")
        parts = []
        if blocked:
            parts.append(f"direct on NCHWc blocks x{blocked}")
        if len(domains) > blocked:
            parts.append(f"matrix product over patches x{len(domains) - blocked}")
        return "MLAS " + ", ".join(parts) if parts else "no convolution"

    def close(self) -> None:
        del self._session, self._original, self._on_cuda


def _refused(node: Node) -> str:
    """What ONNX Runtime refuses of a node only when it runs; empty if nothing."""
    if node.op_type == "LRN" and node.attributes["size"] % 2 == 0:
        return "windows of even size"
    interpolates = node.op_type == "Resize" and node.attributes["mode"] != "nearest"
    if interpolates and min(node.attributes.get("axes", ()), default=2) < 2:
        return "interpolation between channels"
    return ""
