"""columnar_nn/model/scattering.py: x[:, 2:5] = y, against ONNX Runtime on the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from generated import normal
from model.onnx_models import FILTERS, model, node, value
from model.test_import_reads import check

from columnar_nn.errors import CnnBenchError
from columnar_nn.model import zoo

IMAGE = (3, 7, 8)

WRITTEN: dict[str, tuple[Any, int]] = {
    "all": (np.s_[:, :, :, :], 4),
    "all channels": (np.s_[:, :], 2),
    "some channels": (np.s_[:, 1:], 2),
    "channels in another order": (np.s_[:, [2, 0]], 2),
    "every second row, from the end": (np.s_[:, :, ::-2], 3),
    "a column": (np.s_[:, :, :, 2:3], 4),
    "an element": (np.s_[:, 1:2, 6:, 7:], 4),
}
"""What is written over, and how many axes are indexed."""


def scattering(index: Any, depth: int, batch: int = 1, **attributes: str) -> onnx.ModelProto:
    """y is x, with something that is computed of x in the place of x[index]."""
    shape = (batch, *IMAGE)
    first = tuple([slice(None)] * depth + [0] * (len(shape) - depth))
    places = [grid[index][first] for grid in np.indices(shape)[:depth]]
    written = np.empty(shape)[index].shape
    nodes = [
        node("Tanh", "x", "t"),
        node("Flatten", "t", "f"),
        node("Slice", "f from to axis", "s"),
        node("Reshape", "s shape", "u"),
        node("ScatterND", "x places u", "y", **attributes),
    ]
    ends = {1: int(np.prod(written[1:]))} | ({0: written[0]} if written[0] < batch else {})
    weights = {"from": [0] * len(ends), "to": [*ends.values()], "axis": [*ends], "shape": written}
    constants = {name: np.array(array, np.int64) for name, array in weights.items()}
    constants["places"] = np.stack(places, axis=-1) - np.array(shape[:depth])  # from the end
    return model(nodes, constants, inputs=[value("x", shape)], opset=18)


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_is_where_the_file_has_it(name: str, tmp_path: Path) -> None:
    check(scattering(*WRITTEN[name]), tmp_path / "m.onnx")


@pytest.mark.parametrize("name", ["all", "some channels", "a column"])
def test_images_are_kept_apart(name: str, tmp_path: Path) -> None:
    """Of a file for a batch of three, whose indices name each image."""
    path = tmp_path / "m.onnx"
    made = scattering(*WRITTEN[name], batch=3)
    check(made, path)
    graph = zoo.resolve(str(path))
    assert graph.batch is None
    images = normal(0, 3, *IMAGE)
    (whole,) = run_columnar(graph, {"x": images})
    for place, image in enumerate(images):
        (alone,) = run_columnar(graph, {"x": image[np.newaxis]})
        assert_close(whole[place], alone[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (scattering(np.s_[:, 1:], 2, reduction="add"), "reduction 'add' is not supported"),
        (scattering(np.s_[1:], 1, batch=3), "are not of 3 images"),
        (scattering(np.s_[[1, 0, 2]], 1, batch=3), "to the images of a batch in different ways"),
    ],
)
def test_others_are_refused_in_a_line(made: onnx.ModelProto, why: str, tmp_path: Path) -> None:
    onnx.save(made, tmp_path / "m.onnx")
    with pytest.raises(CnnBenchError, match=why):
        zoo.resolve(str(tmp_path / "m.onnx"))


def test_constants_are_written_into_constants(tmp_path: Path) -> None:
    """As Swin's second version zeroes the biases of its keys."""
    weights = {"w": FILTERS, "v": normal(2, 5), "places": np.array([[1], [3]]), "u": normal(3, 2)}
    nodes = [node("ScatterND", "v places u", "b"), node("Conv", "x w b", "y")]
    check(model(nodes, weights), tmp_path / "m.onnx")
