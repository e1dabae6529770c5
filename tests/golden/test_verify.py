"""Verification of backends that work, fail, crash or hang, and of what is asked wrongly."""

import json
from pathlib import Path

import numpy as np
import pytest
from golden.conftest import faulty
from golden.small_network import NUM_IMAGES, RandomImages, small_network

from bench.golden import checks, record, report, streamed_backend, tap_selection, tensor_stream
from bench.golden.bisect import bisect
from bench.golden.bundle import Bundle, open_bundle
from bench.golden.create import create
from bench.golden.manifest import Creation
from bench.golden.verify import Comparing, verify
from columnar_nn.errors import UsageError

ELEMENTWISE = Comparing(checks.parse("elementwise"))


def comparing(**options: object) -> Comparing:
    return Comparing(checks.parse("elementwise"), **options)  # type: ignore[arg-type]


def test_results_come_in_graph_order(bundle: Bundle) -> None:
    verification = verify(bundle, *faulty("Correct"), comparing(taps=("logits", "conv1")))
    assert [result.tensor.operator for result in verification.results] == ["conv1", "dense"]
    assert all(r.parity is not None and r.parity.rows == NUM_IMAGES for r in verification.results)


@pytest.mark.parametrize(
    ("taps", "operator", "tensor"),
    [
        ("all", "conv2", "conv2"),
        ("conv2,pool", "conv2", "conv2"),  # all that conv2 reads
        ("add,pool", None, "add"),  # reads relu2 as well
        ("outputs", None, "logits"),
    ],
)
def test_an_operator_is_blamed_only_if_what_it_reads_is_right(
    bundle: Bundle, taps: str, operator: str | None, tensor: str
) -> None:
    chosen = comparing(taps=tap_selection.parse(taps))
    verification = verify(bundle, *faulty("SwappedChannels"), chosen)
    assert verification.first_diverging_operator == operator
    document = json.loads(record.to_json(verification))
    assert (document["first_diverging"], document["first_diverging_tensor"]) == (operator, tensor)
    text = report.plain_text(verification)
    if operator is None:
        assert f"First diverging tensor: {tensor}, within" in text
        assert "that operator is wrong, or one before it" in text
        assert "diverging operator" not in text
    else:
        assert f"First diverging operator: {operator} (" in text


def test_progress_is_told_of_images_and_operators(bundle: Bundle) -> None:
    told: list[tuple[int, int, str]] = []
    bisect(bundle, *faulty("Correct"), ELEMENTWISE, lambda *now: told.append(now))
    assert told[0] == (0, NUM_IMAGES, "images through the engine")
    assert told[-1] == (7, 8, "operator dense alone")


def test_crash_is_a_status_with_a_reason(bundle: Bundle) -> None:
    verification = verify(bundle, *faulty("Crashing"), ELEMENTWISE)
    assert verification.status == "CRASHED"
    assert "exit status 3" in verification.reason
    assert verification.results == ()
    assert verification.exit_code() == 1


def test_hang_ends_at_the_timeout(bundle: Bundle) -> None:
    verification = verify(bundle, *faulty("Hanging", timeout=2.0), ELEMENTWISE)
    assert verification.status == "TIMEOUT"
    assert verification.exit_code() == 1


def test_bisect_finds_the_operator_that_crashes(bundle: Bundle) -> None:
    bisection = bisect(bundle, *faulty("Crashing"), ELEMENTWISE)
    failed = [error.tensor.operator for error in bisection.operators if error.own is None]
    assert failed == ["conv2"]
    assert bisection.exit_code() == 1


def test_bisect_says_what_an_outputs_only_bundle_lacks(tmp_path: Path) -> None:
    folder = tmp_path / "outputs"
    create(folder, small_network(), RandomImages(), Creation("small", "seed", 2, ("outputs",)))
    bisection = bisect(open_bundle(folder), *faulty("Correct"), ELEMENTWISE)
    (error,) = bisection.operators
    assert error.own is None
    assert "lacks flatten: create it with --taps all" in error.reason
    assert bisection.exit_code() == 1


def test_tolerances_can_be_replaced(bundle: Bundle) -> None:
    options = faulty("OneUlpNoise")
    strict = verify(bundle, *options, comparing(rtol=("0",), atol=("0",)))
    assert {result.status for result in strict.results} == {"FAILED"}
    one = verify(bundle, *options, comparing(rtol=("relu2:0",), atol=("relu2:0",)))
    assert [r.tensor.name for r in one.results if r.status == "FAILED"] == ["relu2"]


def test_tolerance_that_allows_anything_is_said(bundle: Bundle) -> None:
    loose = verify(bundle, *faulty("SwappedChannels"), comparing(atol=("10",)))
    assert {result.status for result in loose.results} == {"MISTRUSTED"}
    assert "by more than the given tolerance" in loose.results[0].reason
    assert loose.exit_code() == 0


def test_model_that_says_nothing_is_no_failure(tmp_path: Path) -> None:
    graph = small_network()
    graph.weights["dense.weight"][:] = 0
    creation = Creation("dead", "seed", 4, ("all",))
    assert create(tmp_path / "dead", graph, RandomImages(), creation).telling == 0
    dead = open_bundle(tmp_path / "dead")
    for backend in ("Correct", "OneUlpNoise"):
        right = verify(dead, *faulty(backend), ELEMENTWISE)
        assert [result.status for result in right.results] == ["PASSED"] * 7 + ["MISTRUSTED"]
        assert right.exit_code() == 0
        text = report.plain_text(right)
        assert "logits: the model says nothing here" in text
        assert "7 of 8 tensors passed, 1 says nothing" in text
    assert bisect(dead, *faulty("Correct"), ELEMENTWISE).exit_code() == 0
    wrong = verify(dead, *faulty("RolledClasses"), ELEMENTWISE)
    assert (wrong.results[-1].status, wrong.exit_code()) == ("FAILED", 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_where_the_truth_is_not_finite_the_rest_is_judged(tmp_path: Path, value: float) -> None:
    graph = small_network()
    graph.weights["conv2.bias"][0] = value
    create(tmp_path / "odd", graph, RandomImages(), Creation("odd", "seed", 4, ("all",)))
    odd = open_bundle(tmp_path / "odd")
    right = verify(odd, *faulty("Correct"), ELEMENTWISE)
    assert [result.status for result in right.results] == ["PASSED"] * 7 + ["MISTRUSTED"]
    assert right.exit_code() == 0
    first = verify(odd, *faulty("SwappedChannels"), ELEMENTWISE).first_diverging
    assert first is not None
    assert (first.tensor.operator, first.status) == ("conv2", "FAILED")


def test_fail_fast_leaves_later_tensors_out(bundle: Bundle) -> None:
    verification = verify(bundle, *faulty("SwappedChannels"), comparing(fail_fast=True))
    statuses = [result.status for result in verification.results]
    assert statuses == ["PASSED"] * 3 + ["FAILED"] + ["NOT RUN"] * 4
    assert verification.status == "FAILED"


def test_statistics_may_pass_where_single_elements_do_not(bundle: Bundle) -> None:
    options = faulty("Float16")
    taps = ("conv2",)

    def status(check: str, atol: str) -> str:
        chosen = Comparing(checks.parse(check), taps, rtol=("0",), atol=(atol,))
        return verify(bundle, *options, chosen).status

    errors = _float16_errors(bundle)
    between = str(float(np.mean(errors) + np.max(errors)) / 2)
    assert status("mean", between) == "PASSED"
    assert status("median", between) == "PASSED"
    assert status("quantile:0.5", between) == "PASSED"
    assert status("max", between) == "FAILED"
    assert status("elementwise", between) == "FAILED"
    assert status("mean", str(float(np.mean(errors)) / 2)) == "FAILED"


def _float16_errors(bundle: Bundle) -> np.ndarray:
    (batch,) = bundle.expected(["conv2"])
    exact = batch["conv2"]
    return np.abs(exact.astype(np.float16).astype(np.float64) - exact)


def test_saved_tensors_are_the_engines(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "tensors.arrows"
    verify(bundle, *faulty("Correct"), ELEMENTWISE, save=file)
    saved = list(tensor_stream.read(file))
    (expected,) = bundle.expected(["conv1", "logits"])
    for name, array in expected.items():
        np.testing.assert_array_equal(np.concatenate([batch[name] for batch in saved]), array)


def test_many_turns_give_the_same_result(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bench.golden.create.MAX_ROWS_PER_BATCH", 2)
    folder = tmp_path / "small"
    create(folder, small_network(), RandomImages(), Creation("small", "seed", 5, ("all",)))
    options = faulty("OneUlpNoise", batch_size=1)
    whole = verify(open_bundle(folder), *options, ELEMENTWISE)
    monkeypatch.setattr(streamed_backend, "TURN_BYTES", 1)
    in_turns = verify(open_bundle(folder), *options, ELEMENTWISE)
    assert in_turns.results == whole.results
    assert whole.results[0].parity is not None
    assert whole.results[0].parity.rows == 5


@pytest.mark.parametrize(
    "options",
    [
        {"taps": ("conv9",)},
        {"rtol": ("conv9:1e-3",)},
        {"atol": ("much",)},
        {"atol": ("-1",)},
        {"rtol": ("nan",)},
    ],
)
def test_wrong_requests_are_refused(bundle: Bundle, options: dict) -> None:
    with pytest.raises(UsageError):
        verify(bundle, *faulty("Correct"), comparing(**options))
