"""Some random convolutional networks, always the same: `make fuzz TARGET=convolutions` goes on."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import onnx
from fuzz import convolutions
from fuzz.convolutional_network import sample
from fuzz.random_network import Sample
from onnx import NodeProto, helper

SMALL = 10
"""A seed of few layers, for another vector width."""


@cache
def samples() -> tuple[Sample, ...]:
    return tuple(sample(seed) for seed in range(250))


def windows() -> list[tuple[NodeProto, tuple[int, ...], dict[str, list[int]]]]:
    """Each convolution, the shape of its filters, and its attributes."""
    found = []
    for drawn in samples():
        graph = drawn.model.graph
        shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Conv" and node.input[1] in shapes:
                given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
                found.append((node, shapes[node.input[1]], given))
    return found


def test_outputs_are_right_in_every_form(tmp_path: Path) -> None:
    found = {seed: convolutions.check_here(seed, tmp_path) for seed in range(4)}
    assert {seed: wrong for seed, wrong in found.items() if wrong} == {}


def test_another_vector_width_has_a_process_of_its_own(tmp_path: Path) -> None:
    assert convolutions.WIDTHS[SMALL % len(convolutions.WIDTHS)]
    assert not convolutions.check(SMALL, tmp_path)


def test_windows_of_every_kind_are_drawn() -> None:
    shapes = [shape for _, shape, _ in windows()]
    assert {filters for filters, *_ in shapes} >= {1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 48, 64, 65}
    assert {width for *_, width in shapes} >= {1, 2, 3, 5, 7, 11, 15, 16, 17}
    attributes = [given for *_, given in windows() if "strides" in given]
    assert any(len(set(given["pads"])) == 4 for given in attributes)
    assert {tuple(given["strides"]) for given in attributes} >= {(1, 1), (2, 2), (3, 3), (1, 2)}
    assert {tuple(given["dilations"]) for given in attributes} >= {(1, 1), (2, 2), (1, 3)}
    groups = [(given.get("group", 1), shape) for _, shape, given in windows()]
    assert any(group == filters > 1 == channels for group, (filters, channels, *_) in groups)
    assert any(1 < group < filters and channels == 1 for group, (filters, channels, *_) in groups)
    assert any(group > 1 and channels > 1 for group, (_, channels, *_) in groups)


def test_forms_and_images_are_of_every_kind() -> None:
    forms = [form for seed in range(300) for form in convolutions.forms(seed)]
    assert {form.fusion for form in forms} == {"none", "layer", "pipeline"}
    assert {form.algorithm for form in forms} == set(convolutions.ALGORITHMS)
    assert {form.precision for form in forms} == {"float32", "bfloat16"}
    assert {form.threads for form in forms} == {1, 2}
    assert {(form.small_caches, form.calls) for form in forms} == {
        (small, calls) for small in (False, True) for calls in (False, True)
    }
    assert {drawn.images.dtype.name for drawn in samples()} == {"float32", "uint8"}
    assert {drawn.images.shape[1] for drawn in samples()} >= {1, 3, 15, 16, 17, 33}


def test_onnx_accepts_every_model() -> None:
    for drawn in samples():
        onnx.checker.check_model(drawn.model)
