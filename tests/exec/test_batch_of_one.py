"""Networks tied to a batch of one: what works along it, in the engine and in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from model.batched_networks import Step, ints, noise, original, step, write
from onnx import TensorProto

from columnar_nn.errors import UnsupportedOperatorError
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model import zoo
from columnar_nn.model.symbolic_batch import tie

REDUCTIONS = ("L1", "L2", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")

ALONG_THE_BATCH: dict[str, Step] = {
    **{name: step(name, "x", axis=0) for name in ("Softmax", "LogSoftmax", "Hardmax")},
    **{f"norm {p}": step("LpNormalization", "x", axis=0, p=p) for p in (1, 2)},
    **{name: step(name, "x", axis=-4) for name in ("ArgMax", "ArgMin")},
    **{name: step(f"Reduce{name}", "x", ints(0)) for name in REDUCTIONS},
    **{f"{name} of two": step(f"Reduce{name}", "x", ints(-4, 2)) for name in REDUCTIONS},
    **{f"{name} of all": step(f"Reduce{name}", "x") for name in REDUCTIONS},
    "gather": step("Gather", "x", ints(-1), axis=0),
    "slice": step("Slice", "x", ints(-1), ints(-9), ints(0), ints(-1)),
    "layer": step("LayerNormalization", "x", noise(1, 3, 2, 5), axis=0),
    "statistics": step("MeanVarianceNormalization", "x"),
}


@pytest.mark.parametrize("name", ALONG_THE_BATCH)
def test_the_engine_runs_what_works_along_one_image(name: str, tmp_path: Path) -> None:
    only, image = ALONG_THE_BATCH[name], noise(1, 3, 2, 5)
    image.flat[1] = 0
    result = TensorProto.INT64 if only.op_type.startswith("Arg") else TensorProto.FLOAT
    path = write(tmp_path / "one.onnx", (3, 2, 5), [only], 1, result)
    graph = zoo.resolve(path)
    assert tie(graph).startswith(f"node n0 ({only.op_type}): it ")
    (found,) = run_columnar(graph, {"x": image})
    expected = original(path)(image)
    assert found.dtype == expected.dtype
    assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "steps",
    [
        [step("ReduceMax", "x", ints(0), keepdims=0), step("Unsqueeze", "0", ints(0))],
        [step("Gather", "x", np.array(0), axis=0), step("Unsqueeze", "0", ints(0))],
        [step("Concat", "x", "x", axis=0), step("ReduceMax", "0", ints(0))],
    ],
)
def test_what_has_no_batch_for_a_while_is_refused(steps: list[Step], tmp_path: Path) -> None:
    graph = zoo.resolve(write(tmp_path / "one.onnx", (3, 4), steps, 1))
    with pytest.raises(UnsupportedOperatorError, match=r"n0 \(.*; another backend may run it$"):
        network_outputs(graph, "x")


DROPPED: dict[str, list[Step]] = {
    "squeezed": [
        step("Squeeze", "x", ints(0)),
        step("MatMul", "0", noise(4, 5)),
        step("Unsqueeze", "1", ints(-3)),
    ],
    "all that is 1": [
        step("ReduceMean", "x", ints(2), keepdims=1),
        step("Squeeze", "0"),
        step("Relu", "1"),
        step("Unsqueeze", "2", ints(0, 2)),
    ],
    "for a convolution": [
        step("Squeeze", "x", ints(0)),
        step("Unsqueeze", "0", ints(0, 1)),
        step("Conv", "1", noise(2, 1, 3, 3)),
    ],
}


@pytest.mark.parametrize("name", DROPPED)
def test_a_batch_of_one_may_be_dropped_and_put_back(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "one.onnx", (3, 4), DROPPED[name], 1)
    graph = zoo.resolve(path)
    assert graph.batch is None
    images = np.random.default_rng(3).standard_normal((3, 3, 4)).astype(np.float32)
    (found,) = run_columnar(graph, {"x": images})
    expected = np.concatenate([original(path)(image[np.newaxis]) for image in images])
    assert_close(found, expected, rtol=1e-5, atol=1e-6)
