"""Names of all backends; each module is imported only when its backend is asked for."""

from __future__ import annotations

from importlib import import_module

from adapters.base import Backend
from columnar_nn.errors import UsageError

BACKENDS = {
    "columnar": "adapters.columnar_backend:ColumnarBackend",
    "reference": "adapters.reference_backend:ReferenceBackend",
    "pytorch": "adapters.pytorch_backend:PyTorchBackend",
    "tensorflow": "adapters.tensorflow_backend:TensorFlowBackend",
    "onnxruntime": "adapters.onnxruntime_backend:OnnxRuntimeBackend",
    "velox": "adapters.velox_backend:VeloxBackend",
}


def load(name: str) -> type[Backend]:
    """The backend class called `name`; raises UsageError, listing the names, if unknown."""
    if name not in BACKENDS:
        raise UsageError(f"unknown backend {name!r}: choose from {', '.join(BACKENDS)}")
    module, _, class_name = BACKENDS[name].partition(":")
    backend: type[Backend] = getattr(import_module(module), class_name)
    return backend
