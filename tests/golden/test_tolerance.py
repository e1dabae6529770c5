"""The default tolerance: scaled by magnitude and depth, over backends' errors, under float16's."""

import math

import numpy as np
import pytest
from golden.small_network import small_network

from bench.golden import tap_selection
from bench.verdict import tolerance
from columnar_nn.errors import UsageError
from columnar_nn.model import zoo


def test_depth_counts_summing_operators_on_the_longest_path() -> None:
    depths = tolerance.depths(small_network())
    assert [depths[t] for t in ("image", "conv1", "pool", "conv2", "add", "logits")] == [
        0,
        1,
        1,
        2,
        2,
        3,
    ]
    assert tolerance.depths(zoo.plain9())["logits"] == 8


@pytest.mark.parametrize("largest", [1e-6, 1.0, 350.0])
@pytest.mark.parametrize("depth", [0, 1, 8, 53])
def test_default_lies_between_float32_and_float16(largest: float, depth: int) -> None:
    allowed = tolerance.default(largest, depth)
    at_largest = allowed.atol + allowed.rtol * largest
    float32_dot_product = 2.0**-24 * math.sqrt(max(depth, 1)) * largest
    float16_rounding = 2.0**-12 * largest  # what half the values near a power of two are off by
    assert 50 * float32_dot_product < at_largest < float16_rounding


def test_overrides_name_a_tensor_after_its_last_colon() -> None:
    names = ("a", "b:0", "c")
    parse = tolerance.parse_overrides
    assert parse("--rtol", [], names) == {}
    assert parse("--rtol", ["1e-3"], names) == dict.fromkeys(names, 1e-3)
    assert parse("--rtol", ["b:0:2", "1"], names) == {"a": 1.0, "b:0": 2.0, "c": 1.0}
    for wrong in ("d:1", "a:", "a:-1", "inf", "x", "b:0:"):
        with pytest.raises(UsageError, match="--rtol"):
            parse("--rtol", [wrong], names)


def test_taps_are_in_graph_order_and_known() -> None:
    graph = small_network()

    def names(text: str) -> list[str]:
        return [s.name for s in tap_selection.select(graph, tap_selection.parse(text))]

    everything = [node.outputs[0] for node in graph.nodes]
    assert names("all") == names("outputs,all") == everything
    assert names("outputs") == ["logits"]
    assert names("logits, conv1,conv1") == ["conv1", "logits"]
    specs = {s.name: s.shape for s in tap_selection.select(graph, ("conv2", "flatten"))}
    assert specs == {"conv2": (None, 8, 4, 4), "flatten": (None, 128)}
    for wrong in ("image", "conv1.weight", "conv9"):
        with pytest.raises(UsageError, match="choose from all, outputs, conv1"):
            names(wrong)
    with pytest.raises(UsageError, match="expected"):
        names(" ,")


def test_overrides_are_exact() -> None:
    (value,) = set(tolerance.parse_overrides("--atol", ["3e-7"], ["t"]).values())
    assert np.float64(value) == 3e-7
