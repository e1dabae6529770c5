"""Faults planted in outputs of every scale are caught, and right backends in another order pass."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from closeness import assert_close

from bench.verdict import rule as verdict
from bench.verdict.noise import DIMMED, K, Noise, NoiseAccumulator
from bench.verdict.parity import Tolerance
from bench.verdict.rule import Judge, Verdict
from bench.verdict.status import FAILED, MISTRUSTED, PASSED

ROWS, INPUTS, CLASSES = 1000, 64, 10
ANYTHING = Tolerance(atol=math.inf, rtol=0.0)
"""Of the whole tensor: so that only columns, rows and top-1 are judged."""


def layer(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images [n, k], weights [k, m] and bias [m] of a dense layer with logits of a kind."""
    random = np.random.default_rng(5)
    images = random.standard_normal((ROWS, INPUTS))
    weights = random.standard_normal((INPUTS, CLASSES)) / math.sqrt(INPUTS)
    bias = np.zeros(CLASSES)
    if kind == "offset":
        bias += 30_000
    if kind == "one huge class":
        weights[:, 3] *= 3e5
    if kind == "few small classes":
        weights[:, :7] *= 1e8
    if kind == "one small row":
        images[ROWS // 2] *= 1e-6
    weights *= {"1e-29": 1e-29, "1e-40": 1e-40, "1e38": 4e37}.get(kind, 1.0)
    return tuple(array.astype(np.float32) for array in (images, weights, bias))  # type: ignore[return-value]


def in_order(layer: tuple[np.ndarray, np.ndarray, np.ndarray], order: np.ndarray) -> np.ndarray:
    """The layer in float32, its products added in an order."""
    images, weights, bias = layer
    sums = np.zeros((len(images), len(bias)), np.float32)
    for k in order:
        sums += images[:, [k]] * weights[k]
    return sums + bias


class Case:
    """A kind of logits: the reference, a backend that is right, and what float32 does."""

    def __init__(self, kind: str) -> None:
        made = layer(kind)
        images, weights, bias = (array.astype(np.float64) for array in made)
        self.reference = (images @ weights + bias).astype(np.float32)
        dimmed = (images * DIMMED @ weights + bias).astype(np.float32)
        self.plain = in_order(made, np.arange(INPUTS))
        self.right = in_order(made, np.random.default_rng(6).permutation(INPUTS))
        self.blocked = np.add(*(p[0] @ p[1] for p in self._halves(made))) + made[2]
        accumulator = NoiseAccumulator()
        for rows in (slice(0, 300), slice(300, 301), slice(301, ROWS)):
            accumulator.add(self.reference[rows], self.plain[rows], dimmed[rows])
        self.noise = accumulator.result()

    @staticmethod
    def _halves(
        made: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(made[0][:, half], made[1][half]) for half in (slice(0, 32), slice(32, 64))]

    def judge(self, output: np.ndarray, tolerance: Tolerance = ANYTHING) -> Verdict:
        judge = Judge(tolerance, self.noise)
        for start in range(0, ROWS, 128):
            judge.add(output[start : start + 128], self.reference[start : start + 128])
        return judge.verdict()


KINDS = (
    "plain",
    "offset",
    "one huge class",
    "few small classes",
    "one small row",
    "1e-29",
    "1e38",
)
CASES = {kind: Case(kind) for kind in (*KINDS, "1e-40")}


def shuffled_small_columns(output: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(7)
    spread = output.std(axis=0, dtype=np.float64)
    for column in np.flatnonzero(spread <= np.median(spread)):
        output[:, column] = random.permutation(output[:, column])
    return output


def row_means(output: np.ndarray) -> np.ndarray:
    output[:] = output.mean(axis=1, dtype=np.float64, keepdims=True)
    return output


def one_wrong_row(output: np.ndarray) -> np.ndarray:
    output[ROWS // 2] = np.roll(output[ROWS // 2], 1)
    return output


def one_row_of_another(output: np.ndarray) -> np.ndarray:
    output[ROWS // 2] = output[ROWS // 2 - 1]
    return output


def float16(output: np.ndarray) -> np.ndarray:
    return output.astype(np.float16).astype(np.float32)


def bfloat16(output: np.ndarray) -> np.ndarray:
    return (output.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


FAULTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "classes rolled": lambda output: np.roll(output, 1, axis=1),
    "small columns shuffled": shuffled_small_columns,
    "rows reversed": lambda output: output[::-1].copy(),
    "row means": row_means,
    "one wrong row": one_wrong_row,
    "one row of another": one_row_of_another,
    "constant": lambda output: np.broadcast_to(output[:1], output.shape).copy(),
    "zeros": np.zeros_like,
    "float16": float16,
    "bfloat16": bfloat16,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_caught(kind: str, fault: str) -> None:
    case = CASES[kind]
    with np.errstate(over="ignore"):
        wrong = FAULTS[fault](case.right.copy())
    judged = case.judge(wrong)
    assert judged.status == FAILED, (judged.column_ratio, judged.row_ratio)
    assert judged.reason


@pytest.mark.parametrize("kind", KINDS)
def test_another_order_of_the_same_sums_passes(kind: str) -> None:
    case = CASES[kind]
    tolerance = Tolerance(5e-5 * float(np.abs(case.reference).max()), 1e-4)
    for output in (case.reference, case.plain, case.right, case.blocked):
        judged = case.judge(output, tolerance)
        assert judged.status == PASSED, judged.reason
        assert max(judged.column_ratio, judged.row_ratio) < K / 3
        assert (judged.silent_columns, judged.silent_rows) == (0, 0)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_below_the_least_normal_number_says_nothing(fault: str) -> None:
    case = CASES["1e-40"]
    with np.errstate(under="ignore"):
        judged = case.judge(FAULTS[fault](case.right.copy()), Tolerance(0.0, 0.0))
    assert judged.status == MISTRUSTED
    assert (judged.silent_columns, judged.silent_rows) == (CLASSES, ROWS)


def image_shaped() -> tuple[np.ndarray, Noise]:
    """A tensor [40, 4, 5, 6] with one small channel and one small image, and its noise."""
    random = np.random.default_rng(8)
    tensor = random.standard_normal((40, 4, 5, 6)).astype(np.float32)
    tensor[:, 2] *= np.float32(1e-7)
    tensor[11] *= np.float32(1e-7)
    return tensor, noise_of(tensor)


def noise_of(tensor: np.ndarray) -> Noise:
    """As a float32 evaluation off by a few last places would give it."""
    random = np.random.default_rng(9)
    accumulator = NoiseAccumulator()
    off = (1 + 2e-7 * random.standard_normal(tensor.shape)).astype(np.float32)
    accumulator.add(tensor, tensor * off, tensor * np.float32(0.9))
    return accumulator.result()


@pytest.mark.parametrize("place", [(slice(None), 2), 11], ids=["channel", "image"])
def test_a_small_channel_and_a_small_image_are_judged_by_their_own_noise(
    place: int | tuple[slice, int],
) -> None:
    tensor, noise = image_shaped()
    for change, status in ((1e-6, PASSED), (1e-4, FAILED)):
        output = tensor.copy()
        output[place] *= np.float32(1 + change)
        judge = Judge(ANYTHING, noise)
        judge.add(output, tensor)
        judged = judge.verdict()
        assert judged.status == status
        assert judged.columns == 4
    assert 2 in place if isinstance(place, tuple) else judged.worst_row == place


def test_noise_of_columns_and_rows_is_its_definition() -> None:
    """Where no floor matters: the root mean square error, of rows in units of their columns'."""
    case = CASES["plain"]
    error = case.plain.astype(np.float64) - case.reference
    columns = np.sqrt(np.mean(error**2, axis=0))
    assert_close(case.noise.columns, columns, rtol=1e-12, atol=0.0)
    rows = np.sqrt(np.mean((error / columns) ** 2, axis=1))
    assert (case.noise.rows >= rows * (1 - 1e-12)).all()
    assert np.median(case.noise.rows) == pytest.approx(np.median(rows), rel=1e-3)
    spread = case.reference.std(axis=0, dtype=np.float64)
    assert_close(case.noise.spread, spread, rtol=1e-6, atol=0.0)
    judged = case.judge(case.right)
    off = case.right.astype(np.float64) - case.reference
    ratios = np.sqrt(np.mean(off**2, axis=0)) / columns
    assert judged.column_ratio == pytest.approx(ratios.max())
    assert judged.worst_column == ratios.argmax()


def test_a_part_of_the_rows_is_judged_by_the_noise_of_all() -> None:
    case = CASES["plain"]
    rows = np.array([3, 500, 999])
    judge = Judge(ANYTHING, case.noise.of_rows(rows))
    judge.add(case.right[rows], case.reference[rows])
    assert judge.verdict().status == PASSED
    assert judge.verdict().parity.rows == 3


def test_channels_that_relu_cut_off_have_no_noise_of_their_own() -> None:
    """Where the reference is just below zero, and cut off, a right backend may be just above."""
    random = np.random.default_rng(10)
    before = random.standard_normal((32, 8, 6, 6)).astype(np.float32)
    before[:, 5] = -1e-7
    before[3, 5, 2, 2] = 1e-7
    relu = np.maximum(before, 0)
    noise = noise_of(relu)
    output = relu.copy()
    output[:, 5] += np.float32(2e-7) * (random.standard_normal((32, 6, 6)) > 2.5)
    judge = Judge(ANYTHING, noise)
    judge.add(output, relu)
    assert judge.verdict().status == PASSED
    assert judge.verdict().silent_columns == 1


@pytest.mark.parametrize(
    ("reference", "output", "status"),
    [
        (np.nan, np.nan, PASSED),
        (np.inf, np.inf, PASSED),
        (-np.inf, -np.inf, PASSED),
        (0.5, np.nan, FAILED),
        (0.5, np.inf, FAILED),
        (np.nan, 0.5, FAILED),
        (np.inf, 0.5, FAILED),
        (np.inf, -np.inf, FAILED),
        (np.inf, np.nan, FAILED),
    ],
)
def test_values_that_are_not_finite(reference: float, output: float, status: str) -> None:
    truth = np.random.default_rng(11).standard_normal((20, 6)).astype(np.float32)
    truth[4, 2] = reference
    noise = noise_of(truth)
    got = truth.copy()
    got[4, 2] = output
    judged = judge_one(got, truth, noise)
    assert judged.status == status
    if status == FAILED:
        assert judged.reason == "1 element(s) are NaN or infinite in another way than the reference"
    got[5, 3] += 1  # the rest is judged
    assert judge_one(got, truth, noise).status == FAILED


def judge_one(output: np.ndarray, reference: np.ndarray, noise: Noise | None) -> Verdict:
    judge = Judge(ANYTHING, noise)
    judge.add(output, reference)
    return judge.verdict()


def test_where_float32_itself_overflows_nothing_is_asked() -> None:
    truth = np.random.default_rng(12).standard_normal((20, 6)).astype(np.float32)
    truth[:, 1] *= np.float32(1e38)
    plain, output = truth.copy(), truth.copy()
    plain[7, 1] = np.inf
    output[8, 1] = np.nan
    accumulator = NoiseAccumulator()
    accumulator.add(truth, plain, truth * np.float32(0.9))
    judged = judge_one(output, truth, accumulator.result())
    assert (judged.status, judged.silent_columns) == (PASSED, 1)
    output[8, 2] = np.nan
    assert judge_one(output, truth, accumulator.result()).status == FAILED


def test_top1_may_differ_by_a_near_tie_only() -> None:
    truth = np.random.default_rng(13).standard_normal((50, 6)).astype(np.float32)
    truth[9, :2] = 5.0
    noise = noise_of(truth)
    near = truth.copy()
    near[9, 1] += np.float32(4e-6)
    truth[9, 0] += np.float32(4e-6)
    judged = judge_one(near, truth, noise)
    assert (judged.status, judged.ties) == (PASSED, 1)
    clear = truth.copy()
    clear[9, 1] += np.float32(1e-4)
    assert judge_one(clear, truth, noise).status == FAILED


def test_a_saturated_model_says_nothing_and_a_wrong_backend_fails_on_it() -> None:
    saturated = np.zeros((32, 10), np.float32)
    saturated[:, 4] = 1.0
    accumulator = NoiseAccumulator()
    accumulator.add(saturated, saturated, saturated)
    noise = accumulator.result()
    judged = judge_one(saturated, saturated, noise)
    assert (judged.status, judged.silent_columns, judged.silent_rows) == (MISTRUSTED, 10, 32)
    assert judged.reason.startswith("the model says nothing here")
    assert judge_one(np.roll(saturated, 1, axis=1), saturated, noise).status == FAILED


def test_images_of_a_dead_network_say_nothing() -> None:
    """Two of four images reach the last layer as zeros: they are its bias, however dimmed."""
    truth = np.random.default_rng(14).standard_normal((4, 10)).astype(np.float32)
    truth[1] = truth[3]
    dimmed = truth * np.float32(0.9)
    dimmed[[1, 3]] = truth[1]
    accumulator = NoiseAccumulator()
    accumulator.add(truth, truth * np.float32(1 + 2e-7), dimmed)
    noise = accumulator.result()
    assert noise.telling.tolist() == [True, False, True, False]
    assert judge_one(truth, truth, noise).status == PASSED
    some = np.array([1, 3])
    judged = judge_one(truth[some], truth[some], noise.of_rows(some))
    assert judged.status == MISTRUSTED


def test_of_several_verdicts_a_failure_counts_and_silence_does_not() -> None:
    truth, noise = image_shaped()
    passed, failed = judge_one(truth, truth, noise), judge_one(-truth, truth, noise)
    still = np.ones_like(truth)
    accumulator = NoiseAccumulator()
    accumulator.add(still, still, still)
    silent = judge_one(still, still, accumulator.result())
    assert verdict.combined([silent, passed]) is passed
    assert verdict.combined([passed, failed, silent]) is failed
    assert verdict.combined([silent]).status == MISTRUSTED


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (np.zeros((4, 9), np.float32), "shape (9,) of 4 rows, reference (10,) of 4"),
        (np.zeros((4, 10), np.float64), "dtype float64, reference float32"),
    ],
)
def test_other_shapes_and_types_fail(output: np.ndarray, reason: str) -> None:
    truth = np.random.default_rng(15).standard_normal((4, 10)).astype(np.float32)
    judged = judge_one(output, truth, noise_of(truth))
    assert (judged.status, judged.reason) == (FAILED, reason)


def test_without_a_noise_the_tolerance_alone_counts() -> None:
    truth = np.random.default_rng(16).standard_normal((4, 10)).astype(np.float32)
    judged = judge_one(truth + np.float32(0.1), truth, None)
    assert judged.status == PASSED
    assert math.isnan(judged.column_ratio)


def test_nothing_measured_is_no_noise() -> None:
    with pytest.raises(ValueError, match="no rows"):
        NoiseAccumulator().result()


@pytest.mark.parametrize("low", [-1.0, 0.0], ids=["clip", "relu"])
@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("seed", range(5))
def test_right_backends_pass_where_most_elements_are_clipped(
    seed: int, classes: int, low: float
) -> None:
    """The few that are not have a noise that is small by luck, and the others have none."""
    random = np.random.default_rng(seed)
    images, weights = random.standard_normal((32, 500)), random.standard_normal((500, classes))
    images, weights = images.astype(np.float32), weights.astype(np.float32)
    clip = [np.float32(low), np.float32(1)]
    reference = np.clip(images.astype(np.float64) @ weights, *clip).astype(np.float32)
    plain, right = (
        np.clip(in_order((images, weights, np.zeros(classes, np.float32)), order), *clip)
        for order in (np.arange(500), random.permutation(500))
    )
    accumulator = NoiseAccumulator()
    dimmed = np.clip(images * np.float32(DIMMED) @ weights, *clip)
    accumulator.add(reference, plain, dimmed)
    for output, status in ((right, PASSED), (reference * np.float32(0.9), FAILED)):
        judge = Judge(ANYTHING, accumulator.result())
        judge.add(output, reference)
        judged = judge.verdict()
        assert (FAILED if judged.status == FAILED else PASSED) == status, judged.reason


@pytest.mark.parametrize("scale", [1.0, 1e-43], ids=["cancelled", "denormal"])
def test_the_whole_tensor_is_not_asked_for_more_than_float32_can(scale: float) -> None:
    random = np.random.default_rng(0)
    reference = (scale * random.standard_normal((32, 10))).astype(np.float32)
    off = np.float32(1e-2 if scale == 1 else 1e-38)
    accumulator = NoiseAccumulator()
    accumulator.add(reference, reference + off, reference * np.float32(DIMMED))
    noise = accumulator.result()
    for error, status in ((2 * off, PASSED), (100 * off, FAILED)):
        judge = Judge(Tolerance(0.0, 1e-4), noise)
        judge.add(reference + error, reference)
        judged = judge.verdict()
        assert (FAILED if judged.status == FAILED else PASSED) == status, judged.reason
        if status == PASSED:
            assert judged.parity.outside == 0
