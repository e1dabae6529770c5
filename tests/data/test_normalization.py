"""Normalized images against NumPy in float64: by options, and by a model's metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from bench.data import normalization
from bench.data.dataset import open_dataset
from bench.data.preparation import Preparation
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidModelError, UsageError
from columnar_nn.model import onnx_io, zoo
from columnar_nn.model.graph import Graph, TensorSpec

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def network(*shape: int, metadata: dict[str, str] | None = None) -> Graph:
    spec = TensorSpec("input", (None, *shape))
    return Graph("some_network", (), (spec,), (), {}, metadata=metadata or {})


def images(preparation: Preparation | None, graph: Graph) -> np.ndarray:
    dataset = open_dataset("photo10", preparation=preparation).fitted_to(graph)
    (batch,) = dataset.batches(8, 8)
    return tensor_column.to_numpy(batch.column("image"))


PLAIN = network(3, 32, 32)
PIXELS = images(None, PLAIN).astype(np.float64) / 255


def expected(mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    return (PIXELS - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))


@pytest.mark.parametrize(
    ("mean", "std", "values"),
    [
        ("0.485,0.456,0.406", "0.229,0.224,0.225", (MEAN, STD)),
        ("[0.485, 0.456, 0.406]", "0.229 0.224 0.225", (MEAN, STD)),
        ("0.5", "0.25", ((0.5,), (0.25,))),
        ("0.5", None, ((0.5,), (1.0,))),
        (None, "0.25", ((0.0,), (0.25,))),
    ],
)
def test_options(
    mean: str | None, std: str | None, values: tuple[tuple[float, ...], tuple[float, ...]]
) -> None:
    found = images(Preparation(normalization=normalization.parse(mean, std)), PLAIN)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(*values), rtol=1e-5, atol=1e-6)


def test_a_file_s_metadata_says_it_and_options_go_before(tmp_path: Path) -> None:
    model = onnx_io.to_proto(zoo.build("plain9"))
    onnx.helper.set_model_props(model, {"mean": "0.485 0.456 0.406", "std": "0.229,0.224,0.225"})
    onnx.save(model, tmp_path / "x.onnx")
    graph = zoo.resolve(str(tmp_path / "x.onnx"))
    dataset = open_dataset("photo10").fitted_to(graph)
    assert dataset.name == "photo10 (mean 0.485 0.456 0.406, std 0.229 0.224 0.225)"
    assert dataset.fingerprint != open_dataset("photo10").fingerprint
    np.testing.assert_allclose(images(None, graph), expected(MEAN, STD), rtol=1e-5, atol=1e-6)
    given = Preparation(normalization=normalization.parse("0.5", None))
    np.testing.assert_allclose(images(given, graph), expected((0.5,), (1.0,)), atol=1e-6)


def test_channels_last() -> None:
    given = Preparation(normalization=normalization.parse("0.485,0.456,0.406", None))
    found = images(given, network(32, 32, 3))
    last = expected(MEAN, (1.0,)).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found, last, atol=1e-6)


@pytest.mark.parametrize("text", ["", "a", "1,,b", "nan", "[1", "[[1]]", "inf"])
def test_what_is_no_number_is_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"--mean .* expected one number"):
        normalization.parse(text, None)
    with pytest.raises(InvalidModelError, match="metadata has mean"):
        normalization.of_metadata({"mean": text})


@pytest.mark.parametrize("std", ["0", "0.1,-1,2"])
def test_a_deviation_is_positive(std: str) -> None:
    with pytest.raises(UsageError, match="positive numbers"):
        normalization.parse(None, std)


def test_another_number_of_channels_is_one_line() -> None:
    given = Preparation(normalization=normalization.parse("0.1,0.2", None))
    with pytest.raises(UsageError, match=r"mean 0\.1 0\.2: .* have 3 channel\(s\)"):
        images(given, PLAIN)
