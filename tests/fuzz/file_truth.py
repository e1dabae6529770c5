"""What an ONNX file itself gives, by a runtime that is not of this project, and how exactly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, shape_inference

onnxruntime.set_default_logger_severity(4)  # what it cannot run is an exception, too

NUM_PERTURBATIONS = 8
PERTURBATION = 2.0**-23
"""Relative: two roundings of float32."""
NOISES = 32.0
"""How many times the noise an output may be off (three to twelve are seen)."""


class File:
    """An ONNX file run by ONNX Runtime as it is, without optimisations.

    Its kernels take every network of random_network.py; onnx.reference would need nothing
    compiled, but is wrong about several operators (GlobalMaxPool of one dimension, Pad that crops).
    """

    def __init__(self, path: Path, plain: onnx.ModelProto) -> None:
        """`plain` is the network without functions: for the tolerances."""
        self._plain = plain
        self._session = _session(str(path))
        self._input = plain.graph.input[0].name
        self._names = [value.name for value in plain.graph.output]

    def run(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs by name."""
        results = self._session.run(self._names, {self._input: pixels})
        return dict(zip(self._names, results, strict=True))

    def tolerances(self, pixels: np.ndarray, truth: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """How far each output may be off, an array that broadcasts to it.

        The noise of float32, seen in each column (of an image: channel) when every tensor on the
        way is changed by about its rounding; at least a quarter of the median column's, an ulp of
        the column and the smallest normal number; times NOISES.
        """
        noisy, factors = _perturbed(self._plain, pixels)
        session, random = _session(noisy.SerializeToString()), np.random.default_rng(0)
        names = [value.name for value in noisy.graph.output]

        def run(change: float) -> list[np.ndarray]:
            feeds = {
                name: np.asarray(1 + change * random.choice([-1, 1], shape), np.float32)
                for name, shape in factors.items()
            }
            results: list[np.ndarray] = session.run(names, feeds | {self._input: pixels})
            return results

        for array, exact in zip(run(0.0), truth.values(), strict=True):
            # or it is not the same network
            np.testing.assert_allclose(array, exact, rtol=1e-3, atol=1e-3)
        squares = {name: np.zeros(_num_columns(array)) for name, array in truth.items()}
        for _ in range(NUM_PERTURBATIONS):
            for (name, exact), array in zip(truth.items(), run(PERTURBATION), strict=True):
                with np.errstate(invalid="ignore"):
                    squares[name] += _mean_square(array.astype(np.float64) - exact)
        tolerances = {}
        for name, array in truth.items():
            noise = np.sqrt(squares[name] / NUM_PERTURBATIONS)
            ulp = np.sqrt(_mean_square(array.astype(np.float64))) * 2.0**-23
            least = np.maximum(np.maximum(noise, ulp), np.median(noise) / 4)
            allowed = NOISES * np.maximum(least, float(np.finfo(np.float32).tiny))
            tolerances[name] = allowed.reshape(1, -1, *(1 for _ in array.shape[2:]))
        return tolerances


def difference(
    outputs: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    tolerances: Mapping[str, np.ndarray],
    rows: np.ndarray,
) -> str:
    """How outputs differ from the truth in the chosen rows; nothing if within the tolerances.

    What is not finite must be the same.
    """
    if list(outputs) != list(truth):
        return f"outputs are {list(outputs)}, not {list(truth)}"
    wrong = (
        (name, _difference(array, truth[name], tolerances[name], rows))
        for name, array in outputs.items()
    )
    return next((f"{name} {why}" for name, why in wrong if why), "")


def _difference(
    actual: np.ndarray, truth: np.ndarray, tolerance: np.ndarray, rows: np.ndarray
) -> str:
    if actual.shape != truth.shape or actual.dtype != truth.dtype:
        return f"is {actual.dtype} {actual.shape}, not {truth.dtype} {truth.shape}"
    with np.errstate(all="ignore"):
        error = np.abs(actual.astype(np.float64) - truth)
        same = (actual == truth) | (np.isnan(actual) & np.isnan(truth))
        wrong = ~(same | (error <= tolerance))[rows]
        excess = np.where(wrong, np.nan_to_num((error / tolerance)[rows], nan=np.inf), 0.0)
    if not wrong.any():
        return ""
    worst = np.unravel_index(excess.argmax(), excess.shape)
    return (
        f"in {np.count_nonzero(wrong)} of {wrong.size} elements, {excess[worst]:.3g} tolerances at "
        f"{[int(i) for i in worst]}: {actual[rows][worst]!r}, not {truth[rows][worst]!r}"
    )


def _session(model: str | bytes) -> Any:
    """Of a path or of a serialised model."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _perturbed(
    model: onnx.ModelProto, pixels: np.ndarray
) -> tuple[onnx.ModelProto, dict[str, tuple[int, ...]]]:
    """The model with every float tensor multiplied by an input of its own; their shapes."""
    graph = shape_inference.infer_shapes(model).graph
    shapes = _shapes_of_floats(model, graph, pixels)
    factors: dict[str, tuple[int, ...]] = {}
    renamed: dict[str, str] = {}
    nodes = []

    def perturb(tensor: str) -> None:
        if tensor in shapes:
            factors[f"{tensor} factor"] = shapes[tensor]
            renamed[tensor] = f"{tensor} perturbed"
            nodes.append(helper.make_node("Mul", [tensor, f"{tensor} factor"], [renamed[tensor]]))

    perturb(graph.input[0].name)
    for node in graph.node:
        for index, tensor in enumerate(node.input):
            node.input[index] = renamed.get(tensor, tensor)
        nodes.append(node)
        for tensor in node.output:
            perturb(tensor)
    noisy = onnx.ModelProto.FromString(model.SerializeToString())
    del noisy.graph.node[:], noisy.graph.output[:]
    noisy.graph.node.extend(nodes)
    for name in factors:
        noisy.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    for value in graph.output:
        name = renamed.get(value.name, value.name)
        noisy.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return noisy, factors


def _shapes_of_floats(
    model: onnx.ModelProto, inferred: onnx.GraphProto, pixels: np.ndarray
) -> dict[str, tuple[int, ...]]:
    """Shapes of the input and of every float tensor that a node makes, as they are in a run.

    Those that onnx infers are wrong now and then.
    """
    values = [*inferred.value_info, *inferred.output]
    floats = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    made = [name for node in inferred.node for name in node.output if name in floats]
    tapped = onnx.ModelProto.FromString(model.SerializeToString())
    del tapped.graph.output[:]
    for name in made:
        tapped.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    source = model.graph.input[0].name
    arrays = _session(tapped.SerializeToString()).run(made, {source: pixels})
    return {source: pixels.shape} | {n: a.shape for n, a in zip(made, arrays, strict=True)}


def _num_columns(array: np.ndarray) -> int:
    return array.shape[1] if array.ndim > 1 else 1


def _mean_square(array: np.ndarray) -> np.ndarray:
    """Of each column's finite elements."""
    columns = array.reshape(len(array), _num_columns(array), -1).swapaxes(0, 1)
    flat = columns.reshape(len(columns), -1)
    finite = np.isfinite(flat)
    squares = np.where(finite, flat, 0.0) ** 2
    result: np.ndarray = squares.sum(axis=1) / np.maximum(finite.sum(axis=1), 1)
    return result
