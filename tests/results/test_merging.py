"""Files merged into one: the union, and machines that cannot be what they are said to be."""

from __future__ import annotations

from typing import Any

import pytest
from results.examples import results

from bench.results import merging
from bench.results.results import Results
from columnar_nn.errors import InvalidDataError

A, B, C = ("a" * 16, "b" * 16, "c" * 16)


def test_the_union_of_tables_whatever_the_order_and_however_often() -> None:
    one, other = results(A), results(B, vendor="Intel")
    both = merging.merged([one, other])
    assert {row["session_id"] for row in both["session"]} == {A, B}
    assert len(both["workload"]) == len(one["workload"]), "asked for by both"
    assert both.session(A) == one
    assert both.session(B) == other
    again = merging.merged([other, both, one])
    for name, rows in both.rows.items():
        assert sorted(map(repr, again[name])) == sorted(map(repr, rows))


def test_two_that_say_different_things_of_one_session_are_no_union() -> None:
    with pytest.raises(InvalidDataError, match="differ in status"):
        merging.merged([results(A), results(A, status="FAILED")])


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ({"brand": "A CPU"}, {"brand": "Another"}, "its brand is A CPU and Another"),
        ({"memory_bytes": 2**34}, {"memory_bytes": 2**35}, "its memory_bytes is"),
        ({"label": "desk"}, {"label": "lap"}, "its label is desk and lap"),
        ({"label": "desk"}, {"label": "desk", "cores": 8}, "desk names 2 machines"),
    ],
)
def test_facts_that_cannot_be_true_together(
    one: dict[str, Any], other: dict[str, Any], message: str
) -> None:
    with pytest.raises(merging.ContradictionError, match=message):
        merging.merged([results(A, **one), results(B, **other)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"brand": "A CPU"}, {"brand": "Another", "cores": 8}),  # another machine
        ({"memory_bytes": 2**34}, {"memory_bytes": 2**34 - 2**20}),  # another kernel's share
        ({"brand": "A CPU"}, {"brand": None}),
        ({"label": "desk"}, {"label": "lap", "cores": 8}),
    ],
)
def test_facts_that_can(one: dict[str, Any], other: dict[str, Any]) -> None:
    found = merging.merged([results(A, **one), results(B, **other)])
    assert len(found["machine"]) == 2


def test_what_changes_from_day_to_day_is_a_warning() -> None:
    found = merging.merged(
        [results(A, kernel="Linux-6.1"), results(B, kernel="Linux-6.2"), results(C, cores=8)]
    )
    (warning,) = merging.warnings(found)
    assert warning.endswith(": kernel is Linux-6.1 and Linux-6.2")


def test_a_label_names_the_machine_in_all_its_sessions() -> None:
    named = merging.labelled(results(A), "desk")
    found = merging.merged([results(B), named, results(A), results(C, cores=8)])
    labels = {row["session_id"]: row["label"] for row in found["machine"]}
    assert labels == {A: "desk", B: "desk", C: None}
    (desk, other) = merging.machines(found)
    assert desk == "desk"
    assert other == found.session(C)["machine"][0]["machine_id"]
    assert isinstance(found, Results)
