"""tests/fuzz/random_network.py: what its networks cover."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
from fuzz.random_network import JUMPS, OPSETS, Sample, sample

from columnar_nn.model.operators import OPERATORS

IMPORTED = {"Cast", "Constant", "ConstantOfShape", "GlobalMaxPool", "Shape", "Split"} | {
    *("DepthToSpace", "GatherElements", "SpaceToDepth", "Upsample"),
}
"""Operators without a shape rule that the import turns into others, besides Mean and Sum."""


@cache
def samples() -> tuple[Sample, ...]:
    return tuple(sample(seed) for seed in range(500))


def test_every_operator_and_opset_is_drawn() -> None:
    models = [drawn.plain for drawn in samples()]
    operators = {node.op_type for model in models for node in model.graph.node}
    assert operators == (OPERATORS.keys() - JUMPS) | IMPORTED | {"Mean", "Sum"}
    assert {model.opset_import[0].version for model in models} == set(OPSETS)


def test_models_and_images_are_of_every_kind() -> None:
    batches = [drawn.model.graph.input[0].type.tensor_type.shape.dim[0] for drawn in samples()]
    assert {bool(batch.dim_param) for batch in batches} == {False, True}
    assert {len(drawn.images) for drawn in samples()} >= {1, 17}
    assert {drawn.images.dtype.name for drawn in samples()} == {"float32", "uint8"}
    assert {bool(np.isfinite(drawn.images).all()) for drawn in samples()} == {False, True}
    assert {drawn.images.ndim for drawn in samples()} == {2, 3, 4, 5}
    assert {bool(drawn.model.functions) for drawn in samples()} == {False, True}
    assert any(len(drawn.model.graph.output) > 2 for drawn in samples())


def test_onnx_accepts_every_model() -> None:
    for drawn in samples():
        onnx.checker.check_model(drawn.model)


def test_a_seed_always_gives_the_same() -> None:
    for seed in (1, 7):
        assert sample(seed).model == sample(seed).model
        np.testing.assert_array_equal(sample(seed).images, sample(seed).images)
