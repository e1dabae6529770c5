"""Verdicts on tensors that are equal, wrong, missing, or that say nothing."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest

from bench.golden import checks
from bench.golden.comparison import ComparedTensor, TensorResult, aligned, compare
from bench.verdict.noise import Noise, NoiseAccumulator
from bench.verdict.parity import Tolerance

RANDOM = np.random.default_rng(1)
EXPECTED = RANDOM.standard_normal((6, 4, 5)).astype(np.float32)


def tensor(shape: Sequence[int] = (4, 5), name: str = "t") -> ComparedTensor:
    return ComparedTensor(name, name, "Conv", tuple(shape), True, Tolerance(atol=1e-5, rtol=1e-5))


def noise(expected: np.ndarray, dimmed: np.ndarray | None = None) -> Noise:
    """As if float32 were off by one last place everywhere; by default dimming halves the tensor."""
    accumulator = NoiseAccumulator()
    plain = np.nextafter(expected, np.float32(np.inf))
    accumulator.add(expected, plain, expected * np.float32(0.5) if dimmed is None else dimmed)
    return accumulator.result()


def result(
    output: np.ndarray,
    expected: np.ndarray = EXPECTED,
    noises: Mapping[str, Noise] | None = None,
    check: str = "elementwise",
) -> TensorResult:
    (found,) = compare(
        [tensor(expected.shape[1:])],
        checks.parse(check),
        [{"t": expected}],
        [{"t": output}],
        noises={"t": noise(expected)} if noises is None else noises,
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
        noises=dict.fromkeys(names, noise(EXPECTED)),
    )
    assert [found.status for found in results] == ["PASSED", "FAILED"]
    assert results[1].reason == "the output is missing"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("check", ["elementwise", "mean", "median", "quantile:0.9", "max"])
def test_output_that_is_not_finite_fails_whatever_is_asked(value: float, check: str) -> None:
    output = EXPECTED.copy()
    output[3, 1, 2] = value
    found = result(output, check=check)
    assert (found.status, found.diverges) == ("FAILED", True)
    assert "1 element(s) are NaN or infinite in another way" in found.reason
    assert [worst.index for worst in found.worst] == [(3, 1, 2)]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("check", ["elementwise", "mean", "median", "max"])
def test_where_both_are_not_finite_the_rest_is_judged(value: float, check: str) -> None:
    expected = EXPECTED.copy()
    expected[3, 1, 2] = value
    assert result(expected.copy(), expected, check=check).status == "PASSED"
    wrong = expected.copy()
    wrong[:3] += 1
    assert result(wrong, expected, check=check).status == "FAILED"


def scaled_columns() -> np.ndarray:
    """One column is a millionth of the others."""
    return EXPECTED * np.array([1, 1, 1e-6, 1], np.float32)[:, np.newaxis]


def test_column_and_row_are_judged_by_their_own_noise() -> None:
    expected = scaled_columns()
    assert result(expected.copy(), expected).status == "PASSED"
    shuffled = expected.copy()
    shuffled[:, 2] = expected[::-1, 2]
    found = result(shuffled, expected)
    assert (found.status, found.diverges, found.worst) == ("FAILED", True, ())
    assert found.reason.startswith("column 2 is off by ")
    assert found.parity is not None
    assert found.parity.outside == 0
    assert result(shuffled, expected, noises={}).status == "PASSED"


def test_statistic_is_all_that_a_check_asks_for() -> None:
    expected = scaled_columns()
    shuffled = expected.copy()
    shuffled[:, 2] = expected[::-1, 2]
    assert result(shuffled, expected, check="mean").status == "PASSED"


def test_fail_fast_stops_at_a_wrong_row_of_a_small_column() -> None:
    expected = scaled_columns()
    output = expected.copy()
    output[0, 2] *= 2
    names = ("first", "second")
    batches = [dict.fromkeys(names, expected[i : i + 1]) for i in range(6)]
    outputs = (dict.fromkeys(names, output[i : i + 1]) for i in range(6))
    results = compare(
        [tensor(name=name) for name in names],
        checks.parse("elementwise"),
        batches,
        outputs,
        noises=dict.fromkeys(names, noise(expected)),
        fail_fast=True,
    )
    assert [found.status for found in results] == ["FAILED", "NOT RUN"]
    assert len(list(outputs)) == 5


@pytest.mark.parametrize("check", ["elementwise", "mean", "max"])
@pytest.mark.parametrize(
    ("expected", "dimmed"),
    [
        (np.full((6, 4, 5), 2.5, np.float32), None),
        (np.repeat(EXPECTED[:1], 6, axis=0), None),
        (np.zeros((6, 4, 5), np.float32), None),
        (EXPECTED, EXPECTED),
        (EXPECTED[:1], EXPECTED[:1]),
    ],
    ids=["constant", "same for every image", "zero", "same when dimmed", "one, same when dimmed"],
)
def test_what_says_nothing_is_said_and_no_failure(
    expected: np.ndarray, dimmed: np.ndarray | None, check: str
) -> None:
    noises = {"t": noise(expected, dimmed)}
    found = result(expected.copy(), expected, noises, check)
    assert (found.status, found.diverges) == ("MISTRUSTED", False)
    assert found.reason.startswith("the model says nothing here")
    assert result(expected + 1, expected, noises, check).status == "FAILED"


def test_mostly_zero_as_after_relu_is_trusted() -> None:
    expected = np.zeros((6, 40, 5), np.float32)
    expected[:, 0, 0] = np.arange(6)
    found = result(expected.copy(), expected)
    assert found.status == "PASSED"
    assert found.verdict is not None
    assert (found.verdict.silent_columns, found.verdict.silent_rows) == (39, 1)


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
