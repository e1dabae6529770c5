"""An ONNX file run as it is, by ONNX Runtime or by onnx's reference: nothing of ours reads it.

A runner holds one model. It is fed with float32 pixels in [0, 1] and hands out what the model
gives, in the model's own types but for truth values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from columnar_nn.errors import UsageError, printable

if TYPE_CHECKING:
    import onnx

MAX_PIXELS = 2**26
"""Of a batch that is filled up, 256 MiB: running it takes several times as much."""

_ORT_DTYPES = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "bfloat16": "bfloat16",
    **{name: name for name in ("uint8", "int8", "uint16", "int16", "int32", "int64", "bool")},
}


@dataclass(frozen=True)
class ModelInput:
    """An input of a model as its file declares it; None is a free dimension."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    def converted(self, pixels: np.ndarray) -> np.ndarray:
        """float32 pixels in [0, 1] as the file takes them: integers count from 0 to 255."""
        dtype = np.dtype(self.dtype)
        return (
            np.rint(pixels * np.float32(255)).astype(dtype)
            if dtype.kind in "iu"
            else (pixels.astype(dtype, copy=False))
        )

    def zeros(self, rows: int) -> np.ndarray:
        """A value for an input that is given none: free dimensions are `rows`, later ones 1."""
        free = [rows, *[1] * len(self.shape)]
        shape = [free[axis] if size is None else size for axis, size in enumerate(self.shape)]
        return np.zeros(shape, self.dtype)


class OnnxRunner(ABC):
    """A model held by one runner; `batch` is the file's own number of images, None if free."""

    title: ClassVar[str]
    """What runs it, as users know it."""

    inputs: tuple[ModelInput, ...]
    outputs: tuple[str, ...]
    version: str

    @property
    def batch(self) -> int | None:
        return self.inputs[0].shape[0] if self.inputs and self.inputs[0].shape else None

    def run(self, images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name, in the file's order, of images [rows, ...] by input name.

        As in imported networks, control characters in the outputs' names are escaped, and truth
        values are 1 and 0.
        A file with a batch size of its own is run as often as that takes; the last batch is
        filled up with its last image, and what that gives is cut off. An input under no name of
        the file's is its input at the same place; one that is given nothing gets zeros.
        """
        names = [spec.name for spec in self.inputs]
        values = {
            name if name in names else names[place]: array
            for place, (name, array) in enumerate(images.items())
        }
        rows = len(next(iter(values.values())))
        batch = self.batch or rows
        pixels = batch * sum(array[0].size for array in values.values())
        if batch > rows and pixels > MAX_PIXELS:
            raise UsageError(f"a batch of {batch:,} images is {pixels:,} pixels, too many to try")
        parts = []
        for start in range(0, rows, batch):
            chosen = np.minimum(np.arange(start, start + batch), rows - 1)
            parts.append(self._run(self._feeds(values, chosen)))
        arrays = [_joined(of_output, rows, batch) for of_output in zip(*parts, strict=True)]
        arrays = [a.astype(np.float32) if a.dtype == np.bool_ else a for a in arrays]
        return dict(zip(self.outputs, arrays, strict=True))  # one listed twice is there once

    def _feeds(self, values: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
        return {
            spec.name: spec.converted(values[spec.name][rows])
            if spec.name in values
            else spec.zeros(len(rows))
            for spec in self.inputs
        }

    @abstractmethod
    def _run(self, feeds: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        """The outputs for one batch."""


class OnnxRuntimeRunner(OnnxRunner):
    """A model in a session of ONNX Runtime; `session` may come from elsewhere."""

    title = "ONNX Runtime"

    def __init__(self, session: Any) -> None:
        import onnxruntime

        self.version = onnxruntime.__version__
        self._session = session
        self.inputs = tuple(
            ModelInput(spec.name, _free(spec.shape), _ORT_DTYPES[spec.type[len("tensor(") : -1]])
            for spec in session.get_inputs()
        )
        self.outputs = tuple(printable(spec.name) for spec in session.get_outputs())

    @classmethod
    def open(cls, model: str | bytes, threads: int, optimize: bool) -> OnnxRuntimeRunner:
        """Of a path or a model's bytes, with all graph optimisations or with none."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = (
            levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
        )
        providers = ["CPUExecutionProvider"]
        return cls(onnxruntime.InferenceSession(model, options, providers=providers))

    def _run(self, feeds: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        arrays: Sequence[np.ndarray] = self._session.run(None, dict(feeds))
        return arrays


class ReferenceRunner(OnnxRunner):
    """A model in onnx.reference: NumPy, slow, and wrong about auto_pad."""

    title = "onnx.reference"

    def __init__(self, model: str | bytes) -> None:
        import onnx  # which no session of ONNX Runtime needs
        from onnx.reference import ReferenceEvaluator

        self.version = onnx.__version__
        proto = onnx.load(model) if isinstance(model, str) else onnx.load_model_from_string(model)
        self._evaluator = ReferenceEvaluator(proto)
        weights = {tensor.name for tensor in proto.graph.initializer}
        self.inputs = tuple(
            ModelInput(value.name, _dimensions(value), _dtype(value))
            for value in proto.graph.input
            if value.name not in weights
        )
        self.outputs = tuple(printable(value.name) for value in proto.graph.output)

    def _run(self, feeds: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        return [np.asarray(array) for array in self._evaluator.run(None, dict(feeds))]


def _joined(arrays: Sequence[np.ndarray], rows: int, batch: int) -> np.ndarray:
    """Outputs of several batches as one; an output without a row for each image is the first's."""
    if all(array.ndim and len(array) == batch for array in arrays):
        return np.concatenate(arrays)[:rows]
    return arrays[0]


def _free(shape: Sequence[Any]) -> tuple[int | None, ...]:
    """ONNX Runtime's shape: numbers, names of free dimensions, or None."""
    return tuple(size if isinstance(size, int) and size > 0 else None for size in shape)


def _dimensions(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    return tuple(d.dim_value or None for d in value.type.tensor_type.shape.dim)


def _dtype(value: onnx.ValueInfoProto) -> str:
    from onnx import helper

    return str(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
