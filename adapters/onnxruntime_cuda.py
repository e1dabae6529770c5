"""ONNX Runtime's CUDA execution provider: transfers, computing and waiting for them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from columnar_nn.errors import MissingDeviceError

PROVIDER = "CUDAExecutionProvider"
OPTIONS = {"use_tf32": "0"}
"""float32 as on CPUs: TF32 has 10 bits of a product's 23."""


def check() -> None:
    """Raises MissingDeviceError if ONNX Runtime was built without the provider."""
    import onnxruntime

    if PROVIDER not in onnxruntime.get_available_providers():
        raise MissingDeviceError(
            f"onnxruntime {onnxruntime.__version__} is a build for CPUs: pip uninstall "
            "onnxruntime, then pip install onnxruntime-gpu"
        )


class OnCuda:
    """A session on the GPU: inputs and outputs lie there while it runs.

    Raises MissingDeviceError if the session has fallen back to the CPU, as it does where it finds
    no GPU or not the libraries of CUDA.
    """

    def __init__(self, session: Any, output_names: Sequence[str]) -> None:
        if session.get_providers()[0] != PROVIDER:
            raise MissingDeviceError(
                "onnxruntime finds no GPU, or not the CUDA and cuDNN that it was built for: its "
                "log says which"
            )
        self._session = session
        self._input_names = [spec.name for spec in session.get_inputs()]
        self._output_names = output_names

    def put(self, inputs: Sequence[np.ndarray]) -> list[Any]:
        """The inputs, in their order, in the GPU's memory, once they are there."""
        import onnxruntime

        return [onnxruntime.OrtValue.ortvalue_from_numpy(array, "cuda", 0) for array in inputs]

    def run(self, inputs: Sequence[Any]) -> Any:
        """The outputs in the GPU's memory, once they are there."""
        binding = self._session.io_binding()
        for name, value in zip(self._input_names, inputs, strict=True):
            binding.bind_ortvalue_input(name, value)
        for name in self._output_names:
            binding.bind_output(name, "cuda")
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return binding

    def fetch(self, outputs: Any) -> list[np.ndarray]:
        """The outputs in the order of their names."""
        arrays: list[np.ndarray] = outputs.copy_outputs_to_cpu()
        return arrays
