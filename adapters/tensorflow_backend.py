"""TensorFlow on CPU: the graph as one tf.function, executed as it is or compiled by XLA."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from adapters.base import Backend, Configuration, Description, counted, input_arrays, zeros
from adapters.fused_nodes import fused
from adapters.operator_profile import OperatorProfile, ProfilingUnavailableError
from columnar_nn.errors import UsageError

BFLOAT16 = "bfloat16"


class TensorFlowBackend(Backend):
    """The network in TensorFlow, channels last, weights as constants of the traced function."""

    name = "tensorflow"
    package = "tensorflow"
    extra = "tensorflow"
    # Both are compared, since which one is ahead depends on the machine and the batch. plain9, ms
    # an image at 32 / 128 / 1000 images (Zen 1, AVX2, where TensorFlow leaves oneDNN off), one
    # thread: function 2.43 / 2.35 / 2.70, xla 2.47 / 2.44 / 2.60; two threads: 1.28 / 1.29 /
    # 2.64 and 1.27 / 1.22 / 2.54. With oneDNN on: 2.29 at 32, but 4.6 against 3.3 at one image.
    configurations: ClassVar[Mapping[str, Configuration]] = {
        "function": Configuration("tf.function", "default"),
        "xla": Configuration("tf.function compiled by XLA (jit_compile)", "best"),
        BFLOAT16: Configuration(
            "tf.function, products in bfloat16 where oneDNN is on (auto_mixed_precision)",
            "variant",
            precision=BFLOAT16,
        ),
    }
    fair_settings: ClassVar[Mapping[str, str]] = {
        "set_intra_op_parallelism_threads": "as many threads as the others",
        "set_inter_op_parallelism_threads": "or a second pool competes for the same CPUs",
    }

    def _build(self) -> None:
        import tensorflow as tf

        from adapters.tensorflow.network import network

        _set_threads(self.settings.threads)
        narrow = self.settings.configuration == BFLOAT16
        tf.config.optimizer.set_experimental_options(
            {"auto_mixed_precision_onednn_bfloat16": narrow}
        )
        self._orders = [
            [0, *range(2, len(spec.shape)), 1] if len(spec.shape) > 2 else [0, 1]
            for spec in self.graph.inputs
        ]
        signature = [
            tf.TensorSpec([spec.shape[axis] for axis in order], tf.float32)
            for spec, order in zip(self.graph.inputs, self._orders, strict=True)
        ]
        xla = self.settings.configuration == "xla"
        # without autograph, which writes each function it rewrites into a file that stays in /tmp
        self._function = tf.function(
            network(self.graph),
            input_signature=signature,
            jit_compile=True if xla else None,
            autograph=False,
        )
        self._example = self._placed(zeros(self.graph, self.settings.batch_size))
        self._function.get_concrete_function()
        if xla:  # which compiles for each number of rows when it first meets it
            self._function(*self._example)

    def _to_input(self, batch: pa.RecordBatch) -> Any:
        return self._placed(input_arrays(batch, self.graph))

    def _placed(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        """Tensors of the inputs with their channels last."""
        import tensorflow as tf

        # NumPy converts an image in 0.1 ms; tf.function takes 0.5 ms, eager operators 0.6 ms.
        return [
            tf.convert_to_tensor(np.ascontiguousarray(array.transpose(order)))
            for array, order in zip(arrays, self._orders, strict=True)
        ]

    def _compute(self, model_input: Any) -> Any:
        return self._function(*model_input)

    def _to_arrays(self, result: Any) -> Sequence[np.ndarray]:
        return [tensor.numpy() for tensor in result]

    def start_profiling(self) -> str:
        """TensorFlow's host tracer: an event for each kernel that the executor runs."""
        import tensorflow as tf

        if self.settings.configuration == "xla":
            raise ProfilingUnavailableError(
                "XLA compiles the network into one program, whose parts TensorFlow does not time"
            )
        self._profile_folder = tempfile.TemporaryDirectory()
        options = tf.profiler.experimental.ProfilerOptions(
            host_tracer_level=2, python_tracer_level=0
        )
        tf.profiler.experimental.start(self._profile_folder.name, options)
        return "its profiler's host trace: executor kernels"

    def stop_profiling(self) -> tuple[OperatorProfile, ...]:
        import tensorflow as tf

        from adapters.tensorflow.host_trace import kernels

        tf.profiler.experimental.stop()
        (file,) = Path(self._profile_folder.name).rglob("*.xplane.pb")
        found = list(kernels(file))
        self._profile_folder.cleanup()
        names = [node.name for node in self.graph.nodes]
        return fused(
            self.graph,
            (
                OperatorProfile(
                    () if kernel.node is None else (names[kernel.node],),
                    kernel.operator,
                    kernel.seconds,
                    1,
                )
                for kernel in found
            ),
        )

    def describe(self) -> Description:
        import tensorflow as tf
        from tensorflow.python.util import _pywrap_util_port

        algorithm, precision = self._convolution_algorithm()
        one_dnn = _pywrap_util_port.IsMklEnabled()
        one_dnn_note = (
            f"oneDNN is {'on' if one_dnn else 'off'}: TensorFlow's choice for this CPU, unless "
            "TF_ENABLE_ONEDNN_OPTS says otherwise"
        )
        return Description(
            versions={"tensorflow": tf.__version__},
            precision=precision,
            layout="NHWC",
            algorithm=algorithm,
            threads=tf.config.threading.get_intra_op_parallelism_threads(),
            denormals="flushed",
            notes=(one_dnn_note, *self._algorithm_notes()),
        )

    def _convolution_algorithm(self) -> tuple[str, str]:
        """Which kernels convolve, as the program that TensorFlow or XLA executed says; and whether
        any product is in bfloat16 there.
        """
        import tensorflow as tf
        from tensorflow.python.eager import context

        if self.settings.configuration == "xla":
            program = self._function.experimental_get_compiler_ir(*self._example)("optimized_hlo")
            called = re.findall(
                r" convolution(?=\()|(?<=custom_call_target=\")[^\"]*conv[^\"]*", program
            )
            num_convolutions = sum(node.op_type == "Conv" for node in self.graph.nodes)
            # XLA makes a 1x1 convolution a product of matrices where that is cheaper.
            products = ["matrix product"] * (num_convolutions - len(called))
            algorithm = counted(f"XLA {call.strip()}" for call in [*called, *products])
            return algorithm, "float32"
        context.enable_run_metadata()
        try:  # of a function that is new: only those are reported
            fresh = tf.function(self._function.python_function, autograph=False)
            fresh(*self._example)
            metadata = context.export_run_metadata()
        finally:
            context.disable_run_metadata()
        programs = [
            partition.node
            for function in metadata.function_graphs
            for partition in function.partition_graphs
        ]
        # The same program may be reported more than once.
        convolutions = ([n.op for n in nodes if "Conv" in n.op] for nodes in programs)
        algorithm = counted(next((kernels for kernels in convolutions if kernels), []))
        multiplying = [n for nodes in programs for n in nodes if re.search("Conv|MatMul", n.op)]
        narrow = any(n.attr["T"].type == tf.bfloat16.as_datatype_enum for n in multiplying)
        return algorithm, BFLOAT16 if narrow else "float32"


def _set_threads(threads: int) -> None:
    """Sizes TensorFlow's pools; raises UsageError if they already have another size."""
    import tensorflow as tf

    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        raise UsageError(
            f"TensorFlow already runs with {threading.get_intra_op_parallelism_threads()} "
            f"thread(s) in this process: start another one for {threads}"
        ) from None
