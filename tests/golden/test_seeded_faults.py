"""Errors planted in a backend: each is caught at the right operator, harmless noise is not."""

import pytest
from golden.conftest import faulty
from golden.small_network import SMALL_CHANNEL

from bench.golden import checks
from bench.golden.bisect import bisect
from bench.golden.bundle import Bundle
from bench.golden.verify import Comparing, verify

ELEMENTWISE = Comparing(checks.parse("elementwise"))
FAULTS = {
    "SwappedChannels": "conv2",
    "ShiftedPadding": "conv2",
    "ConfusedFlatten": "flatten",
    "DroppedBias": "conv2",
    "ForgottenResidual": "add",
    "Float16": "conv2",
    "ForgottenPadding": "conv1",
}


@pytest.mark.parametrize("backend", FAULTS)
def test_fault_is_found_at_its_operator(bundle: Bundle, backend: str) -> None:
    verification = verify(bundle, *faulty(backend), ELEMENTWISE)
    assert verification.status == "FAILED"
    assert verification.exit_code() == 1
    first = verification.first_diverging
    assert first is not None
    assert first.tensor.operator == FAULTS[backend]
    before = [r.status for r in verification.results[: verification.results.index(first)]]
    assert set(before) <= {"PASSED"}


@pytest.mark.parametrize("backend", ["Correct", "OneUlpNoise"])
def test_harmless_rounding_passes(bundle: Bundle, backend: str) -> None:
    verification = verify(bundle, *faulty(backend), ELEMENTWISE)
    assert [result.status for result in verification.results] == ["PASSED"] * 8
    assert verification.exit_code() == 0
    noise = max(result.parity.max_ulp for result in verification.results if result.parity)
    assert (noise > 0) == (backend == "OneUlpNoise")


@pytest.mark.parametrize(
    ("backend", "operator", "reason"),
    [
        ("RolledClasses", "dense", "elements outside the tolerance"),
        ("ReversedRows", "dense", "elements outside the tolerance"),
        ("ShuffledSmallClasses", "dense", " is off by"),
        ("OneWrongRow", "dense", " is off by"),
        ("Float16Channel", "conv2", f"column {SMALL_CHANNEL} is off by"),
    ],
)
def test_fault_in_rows_and_columns_is_found(
    mixed: Bundle, backend: str, operator: str, reason: str
) -> None:
    """The last three are small beside the tensor's largest element: its tolerance allows them."""
    options = faulty(backend, batch_size=1000)
    verification = verify(mixed, *options, ELEMENTWISE)
    assert verification.exit_code() == 1
    first = verification.first_diverging
    assert first is not None
    assert first.parity is not None
    assert first.tensor.operator == operator
    assert reason in first.reason
    assert (first.parity.outside == 0) == (" is off by" in first.reason)
    assert first.verdict is not None
    assert backend != "OneWrongRow" or first.verdict.worst_row == 7


@pytest.mark.parametrize("backend", ["Correct", "OneUlpNoise"])
def test_harmless_rounding_passes_at_any_scale(mixed: Bundle, backend: str) -> None:
    verification = verify(mixed, *faulty(backend, batch_size=1000), ELEMENTWISE)
    assert [result.status for result in verification.results] == ["PASSED"] * 2


@pytest.mark.parametrize("backend", ["NotANumber", "Dead"])
def test_meaningless_values_fail_where_they_begin(bundle: Bundle, backend: str) -> None:
    verification = verify(bundle, *faulty(backend), ELEMENTWISE)
    assert verification.status == "FAILED"
    first = verification.first_diverging
    assert first is not None
    assert first.tensor.operator == {"NotANumber": "relu2", "Dead": "pool"}[backend]


def test_worst_element_is_the_planted_one(bundle: Bundle) -> None:
    first = verify(bundle, *faulty("NotANumber"), ELEMENTWISE).first_diverging
    assert first is not None
    # Batches have 4 images, and each spoils the same element of its first one.
    assert {element.index for element in first.worst} == {(0, 3, 1, 2), (4, 3, 1, 2)}


@pytest.mark.parametrize("backend", ["SwappedChannels", "ConfusedFlatten", "DroppedBias"])
def test_faults_that_reach_the_outputs_show_without_taps(bundle: Bundle, backend: str) -> None:
    comparing = Comparing(checks.parse("elementwise"), taps=("outputs",))
    verification = verify(bundle, *faulty(backend), comparing)
    assert [result.tensor.name for result in verification.results] == ["logits"]
    assert verification.status == "FAILED"


@pytest.mark.parametrize("backend", sorted(FAULTS.keys() - {"ForgottenPadding"}))
def test_bisect_tells_the_culprit_from_its_heirs(bundle: Bundle, backend: str) -> None:
    bisection = bisect(bundle, *faulty(backend), ELEMENTWISE)
    assert [error.tensor.operator for error in bisection.culprits] == [FAULTS[backend]]
    sources = {error.tensor.operator: error.source for error in bisection.operators}
    names = list(sources)
    at = names.index(FAULTS[backend])
    assert {sources[name] for name in names[:at]} <= {""}
    assert sources["dense"] == "inherited"
    for error in bisection.operators:
        assert error.own is not None, error.reason
        if error.source == "inherited":
            assert error.inherited > 0
            assert error.own.status == "PASSED"
    assert bisection.exit_code() == 1


def test_tensor_that_an_engine_forgets_fails(bundle: Bundle) -> None:
    verification = verify(bundle, *faulty("Incomplete"), ELEMENTWISE)
    assert verification.status == "FAILED"
    assert "the graph's are ['conv1', 'relu1', 'pool'" in verification.reason
    assert verification.exit_code() == 1
