"""columnar_nn/model/fold.py: values of constants as ONNX defines them, the batch moved about."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from closeness import assert_close
from generated import normal
from onnx.reference.ops import load_op

from columnar_nn.errors import InvalidModelError
from columnar_nn.model import fold
from columnar_nn.model.graph import Node
from columnar_nn.model.stored_tensors import Budget

B = fold.BATCH


def evaluated(op_type: str, *values: Any, **attributes: Any) -> np.ndarray:
    arrays = [v if v is None or isinstance(v, np.ndarray) else fold.known(v) for v in values]
    names = tuple("" if value is None else f"x{i}" for i, value in enumerate(arrays))
    node = Node("n", op_type, names, ("y",), attributes)
    (result,) = fold.evaluate(node, 21, arrays, Budget(0))
    return result


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
@pytest.mark.parametrize("axes", [None, [1, 0]])
def test_a_negative_pad_crops_before_the_others_add(mode: str, axes: list[int] | None) -> None:
    data = normal(0, 4, 5)
    pads = [1, -1, -1, 2] if axes is None else [-1, 1, 2, -1]
    cropped = data[:3, 1:]
    expected = np.pad(cropped, ((1, 0), (0, 2)), mode)  # type: ignore[call-overload]
    assert_close(evaluated("Pad", data, pads, None, axes, mode=mode), expected, rtol=0, atol=0)


def test_outputs_that_nothing_reads_may_be_ones_that_an_operator_always_makes() -> None:
    values = np.float32([3, 1, 2])
    node = Node("n", "TopK", ("x", "k"), ("y", ""), {})
    result, _ = fold.evaluate(node, 21, [values, np.array([2])], Budget(0))
    assert result.tolist() == [3, 2]


@pytest.mark.parametrize("op_type", sorted(fold.FOLDED))
def test_every_operator_is_one_that_onnx_reference_has(op_type: str) -> None:
    schema = onnx.defs.get_schema(op_type)
    assert schema.has_function or load_op("", op_type, None) is not None


def test_no_operator_is_random() -> None:
    assert not [op_type for op_type in fold.FOLDED if "Random" in op_type]
    assert not fold.FOLDED & {"Bernoulli", "Multinomial", "Dropout"}


@pytest.mark.parametrize(
    ("op_type", "values", "attributes", "expected"),
    [
        ("Concat", ([B], [-1], [3, 4]), {"axis": 0}, [B, -1, 3, 4]),
        ("Gather", ([B, 3, 8, 9], [3, 0]), {"axis": 0}, [9, B]),
        ("Gather", ([B, 3, 8, 9], [1, 2]), {"axis": 0}, [3, 8]),
        ("Slice", ([B, 3, 8], [0], [1]), {}, [B]),
        ("Slice", ([B, 3, 8], [2], [-9], [0], [-1]), {}, [8, 3, B]),
        ("Squeeze", ([B], [0]), {}, B),
        ("Cast", ([B, 3],), {"to": 6}, [B, 3]),
        ("Where", (np.array([True, False]), [B, 7], [1, 2]), {}, [B, 2]),
        ("ScatterElements", ([1, 2, 3], [1], [B]), {"axis": 0}, [1, B, 3]),
        ("Expand", ([B], [3]), {}, [B, B, B]),
    ],
)
def test_the_batch_is_moved(
    op_type: str, values: tuple[Any, ...], attributes: dict[str, Any], expected: Any
) -> None:
    result = evaluated(op_type, *values, **attributes)
    assert result.tolist() == expected
    assert result.dtype == (object if B in np.ravel(np.array(expected, object)) else np.int64)


@pytest.mark.parametrize(
    ("op_type", "values", "how"),
    [
        ("Mul", ([B], [2]), "multiplied"),
        ("Add", ([1], [B]), "added to"),
        ("Equal", ([B], [1]), "given to Equal"),
        ("Gather", ([1, 2], [B]), "given to Gather"),
        ("Where", ([B], [1], [2]), "given to Where"),
    ],
)
def test_arithmetic_on_the_batch_is_told(op_type: str, values: tuple[Any, ...], how: str) -> None:
    with pytest.raises(fold.DependsOnBatchError, match=how):
        evaluated(op_type, *values)


@pytest.mark.parametrize(
    ("op_type", "values", "attributes", "expected"),
    [
        ("Div", ([-3, 7, -7, 9], [2, -2, -7, 4]), {}, [-1, -3, 1, 2]),
        ("Mod", ([-7, 7], [4, -4]), {}, [1, -1]),
        ("Mod", ([-7, 7], [4, -4]), {"fmod": 1}, [-3, 3]),
        ("Div", ([2**62 + 1], [1]), {}, [2**62 + 1]),
        ("Pow", ([-3, 2], [3, 10]), {}, [-27, 1024]),
        ("ReduceProd", ([3, 4, 5], [0]), {"keepdims": 0}, 60),
        ("Range", (np.int64(2), np.int64(9), np.int64(3)), {}, [2, 5, 8]),
    ],
)
def test_integers(
    op_type: str, values: tuple[Any, ...], attributes: dict[str, Any], expected: Any
) -> None:
    given = [np.asarray(value, np.int64) for value in values]
    result = evaluated(op_type, *given, **attributes)
    assert result.dtype == np.int64
    assert result.tolist() == expected


def test_what_is_made_is_counted_before_it_is_made() -> None:
    node = Node("n", "Expand", ("x", "s"), ("y",), {})
    values = [np.zeros(1, np.float32), np.array([2**40, 2**20])]
    with pytest.raises(InvalidModelError, match=r"node n \(Expand\) .*1 GiB"):
        fold.evaluate(node, 21, values, Budget(0))


def test_a_budget_is_shared_by_all_that_is_made() -> None:
    node = Node("n", "Expand", ("x", "s"), ("y",), {})
    values = [np.zeros(1, np.float32), np.array([2**20])]
    budget = Budget(0)
    budget.left = 10 * 2**20
    fold.evaluate(node, 21, values, budget)
    fold.evaluate(node, 21, values, budget)
    with pytest.raises(InvalidModelError, match="1 GiB"):
        fold.evaluate(node, 21, values, budget)
