"""Names of all backends; each module is imported only when its backend is asked for.

A backend kept outside this project is named by its dotted path, package.module.ClassName.
"""

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
    "openvino": "adapters.openvino_backend:OpenVinoBackend",
    "velox": "adapters.velox_backend:VeloxBackend",
}


def load(name: str) -> type[Backend]:
    """The backend class called `name`, or found at a dotted path.

    Raises UsageError, listing the names, if there is none; what importing the module raises
    passes through.
    """
    if name in BACKENDS:
        module_name, _, class_name = BACKENDS[name].partition(":")
    else:
        module_name, _, class_name = name.rpartition(".")
        if not module_name:
            raise UsageError(f"unknown backend {name!r}: choose from {', '.join(BACKENDS)}")
    backend = getattr(import_module(module_name), class_name, None)
    if not (isinstance(backend, type) and issubclass(backend, Backend)):
        raise UsageError(f"{module_name} has no backend class {class_name}")
    return backend
