"""Verdicts on tensors that are equal, wrong, missing or meaningless."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from bench.golden import checks
from bench.golden.comparison import Tensor, TensorResult, aligned, compare
from bench.parity import Tolerance

RANDOM = np.random.default_rng(1)
EXPECTED = RANDOM.standard_normal((6, 4, 5)).astype(np.float32)


def tensor(shape: Sequence[int] = (4, 5), name: str = "t") -> Tensor:
    return Tensor(name, name, "Conv", tuple(shape), True, Tolerance(atol=1e-5, rtol=1e-5))


def result(output: np.ndarray, expected: np.ndarray = EXPECTED) -> TensorResult:
    (found,) = compare(
        [tensor(expected.shape[1:])],
        checks.parse("elementwise"),
        [{"t": expected}],
        [{"t": output}],
    )
    return found


def test_equal_tensors_pass() -> None:
    found = result(EXPECTED.copy())
    assert (found.status, found.diverges, found.worst) == ("PASSED", False, ())


def test_worst_elements_are_the_farthest_outside() -> None:
    output = EXPECTED.copy()
    places = [(5, 0, 1), (0, 3, 4), (2, 2, 2)]
    for place, error in zip(places, (3.0, 2.0, 1.0), strict=True):
        output[place] += error
    found = result(output)
    assert found.status == "FAILED"
    assert found.reason == "3 of 120 elements outside the tolerance"
    assert found.parity is not None
    assert found.parity.outside == 3
    allowed = [1e-5 * (1 + abs(float(EXPECTED[place]))) for place in places]
    excess = {p: e / a for p, e, a in zip(places, (3.0, 2.0, 1.0), allowed, strict=True)}
    assert [w.index for w in found.worst] == sorted(places, key=lambda p: -excess[p])
    by_place = {worst.index: worst for worst in found.worst}
    for place, limit in zip(places, allowed, strict=True):
        assert by_place[place].output == output[place]
        assert by_place[place].expected == EXPECTED[place]
        assert by_place[place].allowed == pytest.approx(limit)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (EXPECTED[:, :, :4], "shape 4x4 an image, expected 4x5"),
        (EXPECTED.astype(np.float64), "dtype float64, expected float32"),
        (EXPECTED[:4], "the output ends after 4 rows"),
        (np.concatenate([EXPECTED, EXPECTED]), "the expected tensor ends after 6 rows"),
    ],
)
def test_tensors_that_do_not_fit_fail(output: np.ndarray, reason: str) -> None:
    found = result(output)
    assert (found.status, found.reason, found.diverges) == ("FAILED", reason, True)


def test_missing_tensor_fails() -> None:
    names = ("here", "absent")
    results = compare(
        [tensor(name=name) for name in names],
        checks.parse("elementwise"),
        [dict.fromkeys(names, EXPECTED)],
        [{"here": EXPECTED}],
    )
    assert [found.status for found in results] == ["PASSED", "FAILED"]
    assert results[1].reason == "the output is missing"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_output_that_is_not_finite_is_mistrusted_and_diverges(value: float) -> None:
    output = EXPECTED.copy()
    output[3, 1, 2] = value
    found = result(output)
    assert (found.status, found.diverges) == ("MISTRUSTED", True)
    assert [worst.index for worst in found.worst] == [(3, 1, 2)]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_truth_that_is_not_finite_is_mistrusted_without_diverging(value: float) -> None:
    expected = EXPECTED.copy()
    expected[3, 1, 2] = value
    found = result(expected.copy(), expected)
    assert (found.status, found.diverges) == ("MISTRUSTED", False)


def mostly_zero() -> np.ndarray:
    array = np.zeros((6, 40, 5), np.float32)
    array[:, 0, 0] = np.arange(6)
    return array


@pytest.mark.parametrize(
    "expected",
    [
        np.full((6, 4, 5), 2.5, np.float32),
        np.repeat(EXPECTED[:1], 6, axis=0),
        np.zeros((6, 4, 5), np.float32),
        np.ones((1, 4, 5), np.float32),
        mostly_zero(),
        mostly_zero()[:1] + 0.0,
    ],
    ids=["constant", "same for every image", "zero", "one image", "mostly zero", "all zero image"],
)
def test_meaningless_truth_is_mistrusted(expected: np.ndarray) -> None:
    found = result(expected.copy(), expected)
    assert (found.status, found.diverges) == ("MISTRUSTED", False)


def test_half_zero_as_after_relu_is_trusted() -> None:
    expected = np.maximum(EXPECTED, 0)
    assert result(expected.copy(), expected).status == "PASSED"


@pytest.mark.parametrize("check", ["mean", "median", "quantile:0.9", "max"])
def test_statistics_do_not_hide_what_is_not_finite(check: str) -> None:
    output = EXPECTED.copy()
    output[0, 0, 0] = np.nan
    (found,) = compare([tensor()], checks.parse(check), [{"t": EXPECTED}], [{"t": output}])
    assert (found.status, found.diverges) == ("MISTRUSTED", True)


@pytest.mark.parametrize("sizes", [([6], [6]), ([1, 5], [3, 3]), ([2, 2, 2], [6]), ([4], [1, 2])])
def test_batches_are_cut_alike(sizes: tuple[list[int], list[int]]) -> None:
    rows = np.arange(6)

    def batches(counts: list[int]) -> Iterator[dict[str, np.ndarray]]:
        start = 0
        for count in counts:
            yield {"t": rows[start : start + count]}
            start += count

    pairs = list(aligned(batches(sizes[0]), batches(sizes[1])))
    for side in (0, 1):
        whole = np.concatenate([pair[side].get("t", rows[:0]) for pair in pairs])
        np.testing.assert_array_equal(whole, rows[: sum(sizes[side])])
    both = [pair for pair in pairs if pair[0] and pair[1]]
    for left, right in both:
        np.testing.assert_array_equal(left["t"], right["t"])
