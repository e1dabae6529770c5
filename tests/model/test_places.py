"""columnar_nn/model/places.py: ArgMax and ArgMin that are cast, against ONNX Runtime."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from generated import normal
from model.onnx_models import model, node
from model.test_import_reads import check
from onnx import TensorProto

CAST = {"to": TensorProto.FLOAT}


@pytest.mark.parametrize(
    ("op_type", "axis", "last", "keepdims"),
    list(product(("ArgMax", "ArgMin"), (1, -1), (0, 1), (0, 1))),
)
def test_places_are_numbers(
    op_type: str, axis: int, last: int, keepdims: int, tmp_path: Path
) -> None:
    """Of several extremes the first or the last; the places themselves stay an output."""
    find = node(op_type, "x", "p", axis=axis, keepdims=keepdims, select_last_index=last)
    made = model([find, node("Cast", "p", "n", **CAST), node("Sqrt", "n", "y")], {}, "y p")
    made.graph.output[1].type.tensor_type.elem_type = TensorProto.INT64
    check(made, tmp_path / "m.onnx", normal(0, 2, 3, 7, 8).round())


def test_places_of_a_row_are_numbers_that_images_are_multiplied_by(tmp_path: Path) -> None:
    nodes = [
        node("Flatten", "x", "f"),
        node("ArgMax", "f", "p", axis=1),
        node("Cast", "p", "n", **CAST),
        node("Mul", "f n", "y"),
    ]
    check(model(nodes), tmp_path / "m.onnx")
