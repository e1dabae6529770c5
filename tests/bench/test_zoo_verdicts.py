"""The built-in networks on photographs: their outputs say something, and engines agree on them."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from judged_networks import SMALL, Truth, run

from adapters.base import image_array
from bench.data.dataset import open_dataset
from bench.verdict.status import FAILED, PASSED
from columnar_nn.errors import MissingPackageError
from columnar_nn.model import onnx_io, zoo

pytestmark = pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")

IMAGES = 4
OTHERS = ("tensorflow:function", "openvino:float32")


LARGE = ("alexnet", "vgg16", "wide_resnet28_10")
"""Of many weights, and of no operators that the others lack."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(n, marks=[pytest.mark.nightly] * (n in LARGE)) for n in SMALL],
)
def truth(request: pytest.FixtureRequest) -> Truth:
    return Truth(f"{request.param}@resolution={SMALL[request.param]}", IMAGES)


def judge(truth: Truth, backend: str) -> None:
    try:
        output = run(backend, truth.graph, truth.batches)
    except MissingPackageError as missing:
        pytest.skip(str(missing))
    verdict = truth.judge(output)
    assert verdict.status == PASSED, verdict.reason
    assert verdict.silent_rows == 0
    assert truth.judge(output[::-1]).status == FAILED


@pytest.mark.parametrize(
    "backend", ["columnar:pipeline/auto", "onnxruntime:default", "pytorch:eager"]
)
def test_an_engine_passes(truth: Truth, backend: str) -> None:
    judge(truth, backend)


@pytest.mark.nightly
@pytest.mark.parametrize("backend", OTHERS)
def test_the_other_engines_pass(truth: Truth, backend: str) -> None:
    judge(truth, backend)


@pytest.mark.nightly
@pytest.mark.parametrize("name", SMALL)
def test_a_whole_network_gives_what_its_file_gives(name: str) -> None:
    graph = zoo.resolve(name)
    (batch,) = open_dataset("photo10").fitted_to(graph).batches(2, 2)
    images = {graph.inputs[0].name: image_array(batch)}
    content = onnx_io.to_proto(graph).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (truth,) = session.run(None, images)
    (output,) = run_columnar(graph, images, algorithm="auto")
    assert_close(output, truth, rtol=1e-4, atol=1e-4 * float(np.abs(truth).max()))
