"""PyTorch: the graph as a torch.fx module, run eagerly or compiled; on a GPU if asked for."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from adapters.base import Backend, Configuration, Description, zeros
from adapters.operator_profile import OperatorProfile, ProfilingUnavailableError
from columnar_nn.data import tensor_column
from columnar_nn.errors import MissingDeviceError

CUDA = "cuda"
BFLOAT16 = "bfloat16"


class PyTorchBackend(Backend):
    """The network in PyTorch, weights as buffers, under inference_mode."""

    name = "pytorch"
    package = "torch"
    extra = "torch"
    # plain9, ms an image, one thread, at 32 / 128 images (Zen 1, AVX2): eager 2.48 / 2.48,
    # torchscript 2.03 / 2.07, torchscript in channels_last 2.09 / 2.21, compile 2.01 / 2.12,
    # compile with frozen weights 2.04 / 2.14; one image: 3.3, 3.0, 2.9, 3.5, 3.3.
    configurations: ClassVar[Mapping[str, Configuration]] = {
        "eager": Configuration("eager", "default"),
        "torchscript": Configuration("TorchScript, frozen and optimize_for_inference", "best"),
        "compile": Configuration("torch.compile (inductor), weights frozen", "variant"),
        "channels_last": Configuration("eager, tensors in channels_last", "variant"),
        BFLOAT16: Configuration(
            "eager, tensors and weights in bfloat16", "variant", precision=BFLOAT16
        ),
        CUDA: Configuration("eager on a GPU, float32 without TF32", "variant", gpu=True),
    }
    fair_settings: ClassVar[Mapping[str, str]] = {
        "set_num_threads": "as many threads as the others",
        "set_num_interop_threads": "or a second pool competes for the same CPUs",
        "inference_mode": "or it keeps what only training needs",
    }

    @classmethod
    def import_framework(cls) -> None:
        super().import_framework()
        import torch

        if torch.get_num_interop_threads() != 1:  # may be set once a process
            torch.set_num_interop_threads(1)
        # Arrow's buffers are read-only and stay unwritten; torch warns of that once a process.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            torch.from_numpy(np.frombuffer(b"\0", np.uint8))

    def _build(self) -> None:
        import torch

        from adapters.pytorch.network import network

        torch.set_num_threads(self.settings.threads)
        self._channels_last = self.settings.configuration == "channels_last"
        self._notes: list[str] = []
        self._device = "cpu"
        if self.settings.configuration == CUDA:
            _check_cuda(torch)
            self._device = CUDA
            torch.backends.cudnn.allow_tf32 = False  # cuDNN's default: 10 bits of a product's 23
        self._type = torch.bfloat16 if self.settings.configuration == BFLOAT16 else torch.float32
        module = network(self.graph).eval().to(self._device, self._type)
        if self._channels_last:
            module = module.to(memory_format=torch.channels_last)
        self._example = [
            self._placed(torch.from_numpy(array))
            for array in zeros(self.graph, self.settings.batch_size)
        ]
        if self.settings.configuration == "torchscript":
            self._module, self._notes = _torchscript(module, self._example)
        elif self.settings.configuration == "compile":
            self._module = torch.compile(module, dynamic=False, options={"freezing": True})
            self._compute(self._example)
        else:
            self._module = module

    def _to_input(self, batch: pa.RecordBatch) -> Any:
        import torch

        inputs = []
        for column in self.graph.columns.values():
            pixels = torch.from_numpy(tensor_column.to_numpy(batch.column(column)))
            inputs.append(self._placed(pixels))
        self._synchronize()
        return inputs

    def _placed(self, pixels: Any) -> Any:
        """A tensor as the network takes it: on the device, in its type, in the layout of choice."""
        import torch

        pixels = pixels.to(self._device)
        if pixels.dtype == torch.uint8:
            pixels = torch.div(pixels, 255.0)
        pixels = pixels.to(self._type)
        of_images = self._channels_last and pixels.dim() == 4
        layout = torch.channels_last if of_images else torch.contiguous_format
        return pixels.contiguous(memory_format=layout)

    def _compute(self, model_input: Any) -> Any:
        import torch

        with torch.inference_mode():
            result = self._module(*model_input)
        self._synchronize()
        return result

    def _to_arrays(self, result: Any) -> Sequence[np.ndarray]:
        import torch

        return [
            (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).cpu().numpy()
            for tensor in result
        ]

    def _synchronize(self) -> None:
        """Waits for a GPU, which goes on after each call, so that phases are timed apart."""
        if self._device == CUDA:
            import torch

            torch.cuda.synchronize()

    def start_profiling(self) -> str:
        """PyTorch's profiler, the module's calls being run one by one under their nodes' names."""
        from adapters.pytorch.profiled_network import ProfiledNetwork

        if self.settings.configuration not in ("eager", "channels_last", BFLOAT16):
            raise ProfilingUnavailableError(
                f"{self.settings.configuration} merges operators, and its kernels do not say "
                "which nodes they compute: profile eager"
            )
        self._unprofiled, self._module = self._module, ProfiledNetwork(self._module)
        self._module.start()
        return "its profiler, nodes marked by record_function"

    def stop_profiling(self) -> tuple[OperatorProfile, ...]:
        profiled, self._module = self._module, self._unprofiled
        profiles: tuple[OperatorProfile, ...] = profiled.stop()
        return profiles

    def describe(self) -> Description:
        import torch

        if self._device == CUDA:
            return _describe_cuda(torch, self._algorithm_notes())
        notes = list(self._notes)
        if self.settings.algorithm != "auto":
            notes.append(f"oneDNN chooses the algorithm, not {self.settings.algorithm}")
        is_narrow = self._type == torch.bfloat16
        # vdpbf16ps takes and gives no denormals: Intel's manual, volume 2.
        flushes = is_narrow and torch.cpu._is_avx512_bf16_supported()
        one_dnn = re.search(r"oneDNN v(\S+)|MKL-DNN v(\S+)", torch.__config__.show())
        return Description(
            versions={
                "torch": torch.__version__,
                "oneDNN": (one_dnn.group(1) or one_dnn.group(2)) if one_dnn else "none",
                "kernels": torch.backends.cpu.get_cpu_capability(),
            },
            precision=BFLOAT16 if is_narrow else _precision(torch),
            layout="NHWC" if self._channels_last else "NCHW",
            algorithm=self._convolution_algorithm(),
            threads=torch.get_num_threads(),
            denormals="flushed" if flushes else "kept",
            notes=tuple(notes),
        )

    def _convolution_algorithm(self) -> str:
        """What oneDNN says that it ran for one batch, e.g. "oneDNN direct (jit:avx2) x7"."""
        import torch

        with _captured_stdout() as captured:
            verbose = torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON)
            with verbose:
                self._compute(self._example)
        ran = Counter(
            re.findall(r",exec,cpu,convolution,([^,]+),.*?alg:convolution_(\w+)", captured[0])
        )
        num_convolutions = sum(node.op_type == "Conv" for node in self.graph.nodes)
        parts = [f"oneDNN {kind} ({kernel}) x{count}" for (kernel, kind), count in ran.items()]
        if ran.total() < num_convolutions:
            parts.append(f"PyTorch's own kernels x{num_convolutions - ran.total()}")
        return ", ".join(parts) or "no convolution"


def _check_cuda(torch: Any) -> None:
    """Raises MissingDeviceError unless there is a GPU that this build of PyTorch can use."""
    if torch.version.cuda is None:
        raise MissingDeviceError(
            f"torch {torch.__version__} is a build for CPUs: install one of "
            f"{torch.__version__.partition('+')[0]} for CUDA in its place"
        )
    if not torch.cuda.is_available():
        raise MissingDeviceError(
            f"torch {torch.__version__} finds no GPU: it takes one of NVIDIA's, and a driver for "
            f"CUDA {torch.version.cuda}"
        )


def _describe_cuda(torch: Any, notes: tuple[str, ...]) -> Description:
    return Description(
        versions={
            "torch": torch.__version__,
            "CUDA": str(torch.version.cuda),
            "cuDNN": str(torch.backends.cudnn.version()),
            "GPU": torch.cuda.get_device_name(),
        },
        precision=_precision(torch),
        layout="NCHW",
        algorithm="cuDNN's choice",
        threads=torch.get_num_threads(),
        notes=notes,
    )


def _torchscript(module: Any, example: Sequence[Any]) -> tuple[Any, list[str]]:
    """The module traced, its weights frozen into it and its operators fused; and what was left out.

    PyTorch up to 2.13 at least runs all of its fused clamps with the bounds of the first one, and
    fails in dilated max pools after a convolution, so that a network with several bounds or such
    a pool keeps its operators as they are.
    """
    import torch

    with warnings.catch_warnings(), torch.inference_mode():
        # Deprecated in favour of torch.compile, and still the fastest form here.
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        # Outputs are checked against the reference: to trace again takes as long as 3 batches.
        traced = torch.jit.trace(module, tuple(example), check_trace=False)
        optimized = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
        clamps = [
            clamp
            for kind in ("prim::MKLDNNClamp", "prim::MKLDNNClamp_")
            for clamp in optimized.graph.findAllNodes(kind)
        ]
        bounds = {(clamp.f("min_val"), clamp.f("max_val")) for clamp in clamps}
        pools = optimized.graph.findAllNodes("aten::max_pool2d")
        spread = [max(list(pool.inputs())[4].toIValue()) > 1 for pool in pools]
        faults = {
            "confuses the bounds of clamps": len(bounds) > 1,
            "cannot run dilated max pools": any(spread),
        }
        found = [fault for fault, is_there in faults.items() if is_there]
        if not found:
            return optimized, []
        # The optimisation has changed the frozen module that it was given.
        return torch.jit.freeze(traced), [
            f"frozen, but without optimize_for_inference, which {' and '.join(found)}"
        ]


def _precision(torch: Any) -> str:
    """What float32 products are computed in, as PyTorch's settings have it."""
    setting = torch.get_float32_matmul_precision()
    return "float32" if setting == "highest" else f"float32 ({setting} matmul precision)"


@contextmanager
def _captured_stdout() -> Iterator[list[str]]:
    """Collects what native code prints to file descriptor 1 meanwhile, as the list's one entry."""
    captured: list[str] = []
    sys.stdout.flush()
    saved = os.dup(1)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        try:
            yield captured
        finally:
            os.dup2(saved, 1)
            os.close(saved)
            file.seek(0)
            captured.append(file.read().decode(errors="replace"))
