"""Which cells there are, which are run, and on which rows their outputs are compared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.compare import selection as cells
from bench.machine import cpus
from columnar_nn.errors import UsageError


def labels(*names: str) -> list[str]:
    return [selection.label for selection in cells.select(names)]


def test_a_name_alone_leaves_the_variants_out() -> None:
    assert labels("fake_backends.FakeBackend") == ["fake_backends.FakeBackend:fine"]


def test_a_configuration_is_taken_once_and_in_order() -> None:
    chosen = labels(
        "fake_backends.FakeBackend:slow",
        "fake_backends.FakeBackend",
        "fake_backends.FakeBackend:slow",
    )
    assert chosen == ["fake_backends.FakeBackend:slow", "fake_backends.FakeBackend:fine"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", "choose from columnar, reference"),
        ("fake_backends.FakeBackend:nope", "choose from fine, wrong"),
        ("fake_backends.tiny_graph", "has no backend class tiny_graph"),
    ],
)
def test_unknown_names_list_the_known_ones(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cells.select([name])


def test_an_adapter_that_cannot_be_imported_is_left_for_its_worker_to_report() -> None:
    assert labels("no_such_module.Backend") == ["no_such_module.Backend:default"]


@pytest.mark.parametrize(
    ("text", "counts"), [("1", (1,)), ("100,1,10,10", (1, 10, 100)), (" 2, 3", (2, 3))]
)
def test_samples(text: str, counts: tuple[int, ...]) -> None:
    assert cells.parse_samples(text) == counts


@pytest.mark.parametrize("text", ["", "0", "-1,2", "1.5", "ten", "1;2"])
def test_bad_samples(text: str) -> None:
    with pytest.raises(UsageError, match="--samples"):
        cells.parse_samples(text)


def test_prediction() -> None:
    assert cells.predict_seconds({}, 10) is None
    assert cells.predict_seconds({100: 1.0}, 10) is None, "fewer images predict more, not less"
    assert cells.predict_seconds({1: 0.5}, 10) == pytest.approx(5.0)
    # A constant cost of one second is not multiplied.
    assert cells.predict_seconds({1: 1.1, 10: 2.0}, 100) == pytest.approx(11.0)
    # Noise that makes more images look cheaper does not make them free of cost.
    assert cells.predict_seconds({1: 2.0, 10: 1.0}, 100) == pytest.approx(1.0)


def test_a_cell_is_too_long_by_a_line_at_once_and_by_a_point_only_clearly() -> None:
    assert cells.too_long({}, 10, 1.0) is None
    assert cells.too_long({1: 0.45}, 10, 1.0) is None
    assert cells.too_long({1: 0.55}, 10, 1.0) == pytest.approx(5.5)
    assert cells.too_long({1: 0.1, 10: 0.15}, 100, 1.0) is None
    assert cells.too_long({1: 0.1, 10: 0.25}, 100, 1.0) == pytest.approx(1.75)


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=5, unique=True),
    st.integers(4, 32),
    st.integers(32, 4000),
)
def test_rows_to_compare_reach_both_ends_of_every_cell(
    samples: list[int], checked: int, limit: int
) -> None:
    rows = cells.rows_to_compare(samples, checked, limit)
    assert (np.diff(rows) > 0).all()
    assert rows[-1] == max(*samples, checked) - 1
    assert {*range(checked), *(count - 1 for count in samples)} <= set(rows.tolist())
    assert len(rows) <= checked + max(limit, 2 * len(samples))


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=5, unique=True),
    st.integers(16, 4000),
    st.integers(2, 40),
)
def test_rows_of_a_tied_network_are_whole_batches(
    batches: list[int], limit: int, size: int
) -> None:
    rows = cells.rows_to_compare([count * size for count in batches], 32, limit, size)
    groups = rows.reshape(-1, size)
    assert (groups[:, 0] % size == 0).all()
    assert (np.diff(groups, axis=1) == 1).all()
    assert {0, *((count - 1) * size for count in batches)} <= set(groups[:, 0].tolist())
    assert len(rows) <= max(limit, 2 * len(batches) * size) + 32 + size


def test_few_rows_are_all_compared() -> None:
    assert cells.rows_to_compare([1, 10], 8, 16).tolist() == list(range(10))


@pytest.mark.parametrize(
    ("batch_sizes", "images", "expected"),
    [
        ([1], 32, (32, 1)),
        ([1, 10, 100, 128], 32, (40, 10)),
        ([128], 32, (128, 128)),
        ([1, 10], 4, (4, 1)),
    ],
)
def test_a_check_takes_full_batches_that_were_run(
    batch_sizes: list[int], images: int, expected: tuple[int, int]
) -> None:
    assert cells.check_batches(batch_sizes, images) == expected


def test_cpus_follow_the_affinity_and_refuse_more_threads() -> None:
    usable = cpus.available()
    assert set(cpus.choose(None)) <= set(usable)
    assert len(cpus.choose(len(usable))) == len(set(cpus.choose(len(usable)))) == len(usable)
    for threads in (0, len(usable) + 1):
        with pytest.raises(UsageError, match="--threads"):
            cpus.choose(threads)
