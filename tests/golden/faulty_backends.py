"""A backend in NumPy, correct, and the same backend with one mistake in one operator each."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from golden.small_network import LARGE_CLASS, SMALL_CHANNEL

from adapters.base import Backend, Configuration, Description, input_arrays
from columnar_nn.errors import MissingPackageError
from columnar_nn.model.graph import Node
from reference.evaluate import evaluate

Tensors = Mapping[str, np.ndarray]


class Correct(Backend):
    """Runs operator by operator, each rounded to float32; subclasses spoil one of them."""

    name = "correct"
    package = "numpy"
    extra = ""
    configurations: ClassVar[Mapping[str, Configuration]] = {
        "usual": Configuration("NumPy, operator by operator", "default")
    }
    faulty: ClassVar[str] = ""

    def _build(self) -> None:
        """There is nothing to compile."""

    def describe(self) -> Description:
        return Description({"numpy": np.__version__}, "float32", "NCHW", "direct", 1)

    def _to_input(self, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        return dict(zip(self.graph.columns, input_arrays(batch, self.graph), strict=True))

    def _compute(self, model_input: Any) -> dict[str, np.ndarray]:
        tensors = dict(model_input)
        for node in self.graph.nodes:
            compute = self.spoiled if node.name == self.faulty else self.correct
            tensors[node.outputs[0]] = compute(node, tensors)
        return tensors

    def _to_arrays(self, result: Any) -> Sequence[np.ndarray]:
        return [result[spec.name] for spec in self.graph.outputs]

    def correct(self, node: Node, tensors: Tensors) -> np.ndarray:
        inputs = {name: tensors[name] for name in node.inputs if name in tensors}
        return evaluate((node,), self.graph.weights, inputs, node.outputs)[node.outputs[0]]

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        raise NotImplementedError


class SwappedChannels(Correct):
    faulty = "conv2"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        return self.correct(node, tensors)[:, [1, 0, *range(2, 8)]]


class ShiftedPadding(Correct):
    """All padding on one side: the shape is right and every value is another pixel's."""

    faulty = "conv2"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        attributes = {**node.attributes, "pads": [2, 2, 0, 0]}
        return self.correct(replace(node, attributes=attributes), tensors)


class ForgottenPadding(Correct):
    faulty = "conv1"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        attributes = {**node.attributes, "pads": [0, 0, 0, 0]}
        return self.correct(replace(node, attributes=attributes), tensors)

    def _compute(self, model_input: Any) -> dict[str, np.ndarray]:
        """Ends after the faulty operator: the rest of the network does not fit any more."""
        node = self.graph.nodes[0]
        wrong = self.spoiled(node, model_input)
        rest = {spec.name: np.zeros((len(wrong), 1), np.float32) for spec in self.graph.outputs}
        return rest | {"conv1": wrong}


class ConfusedFlatten(Correct):
    """Flattens H, W, C where the dense layer's weights expect C, H, W."""

    faulty = "flatten"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        tensor = tensors[node.inputs[0]]
        return np.ascontiguousarray(tensor.transpose(0, 2, 3, 1)).reshape(len(tensor), -1)


class DroppedBias(Correct):
    faulty = "conv2"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        return self.correct(replace(node, inputs=node.inputs[:2]), tensors)


class ForgottenResidual(Correct):
    """Passes the first summand on."""

    faulty = "add"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        return tensors[node.inputs[0]]


class Float16(Correct):
    faulty = "conv2"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        return self.correct(node, tensors).astype(np.float16).astype(np.float32)


class OneUlpNoise(Correct):
    """Every element of every operator one float32 up or down, as another order of sums gives."""

    def correct(self, node: Node, tensors: Tensors) -> np.ndarray:
        exact = super().correct(node, tensors)
        random = np.random.default_rng(len(node.name))
        direction = np.where(random.random(exact.shape) < 0.5, -np.inf, np.inf)
        return np.nextafter(exact, direction.astype(np.float32))


class NotANumber(Correct):
    """One element of one image."""

    faulty = "relu2"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        result = self.correct(node, tensors)
        result[0, 3, 1, 2] = np.nan
        return result


class RolledClasses(Correct):
    faulty = "dense"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        return np.roll(self.correct(node, tensors), 1, axis=1)


class ReversedRows(Correct):
    faulty = "dense"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        return np.ascontiguousarray(self.correct(node, tensors)[::-1])


class ShuffledSmallClasses(Correct):
    """All classes but the large one of the mixed network are another image's."""

    faulty = "dense"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        result = self.correct(node, tensors)
        small = np.arange(result.shape[1]) != LARGE_CLASS
        result[:, small] = np.roll(result[:, small], 1, axis=0)
        return result


class OneWrongRow(Correct):
    """The small classes of one image, in the first batch, are another's."""

    faulty = "dense"
    _spoiled = False

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        result = self.correct(node, tensors)
        if not self._spoiled:
            small = np.arange(result.shape[1]) != LARGE_CLASS
            result[7, small] = result[8, small]
        self._spoiled = True
        return result


class Float16Channel(Correct):
    """The small channel of the mixed network."""

    faulty = "conv2"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        result = self.correct(node, tensors)
        channel = result[:, SMALL_CHANNEL]
        result[:, SMALL_CHANNEL] = channel.astype(np.float16).astype(np.float32)
        return result


class Dead(Correct):
    """Zeros everywhere from one operator on."""

    faulty = "pool"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        return np.zeros_like(self.correct(node, tensors))


class Crashing(Correct):
    """Takes its process down in one operator."""

    faulty = "conv2"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        os._exit(3)


class Hanging(Correct):
    faulty = "conv2"

    def spoiled(self, node: Node, tensors: Tensors) -> np.ndarray:
        time.sleep(600)
        return self.correct(node, tensors)


class Incomplete(Correct):
    """Forgets one of the tensors it was asked for."""

    def infer(self, batches: Any, stopwatch: Any) -> Any:
        for batch in super().infer(batches, stopwatch):
            yield batch.drop_columns(["relu1"])


class NotInstalled(Correct):
    @classmethod
    def import_framework(cls) -> None:
        raise MissingPackageError("nothing", "all")
