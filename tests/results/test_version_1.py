"""A file that compare wrote in version 1, as rows of today's tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.results import document
from bench.results.summary import summarize

FILE = Path(__file__).parent / "version_1.json"


def test_figures_made_of_its_rows_are_those_that_it_had() -> None:
    before, now = json.loads(FILE.read_text()), summarize(document.read(FILE))
    assert len(before["benchmarks"]) == len(now.benchmarks) == 6
    for old, new in zip(before["benchmarks"], now.benchmarks, strict=True):
        assert sum(turn["runs"] for turn in old.pop("turns")) == len(new.times)
        assert tuple(old.pop("times")) == new.times
        assert old.pop("phases") == pytest.approx(new.phases)
        assert {name: getattr(new, name) for name in old} == pytest.approx(old)
    for old, new in zip(before["backends"], now.backends, strict=True):
        assert new.label == f"{old['backend']}:{old['configuration']}"
        assert new.cold_start_s == old["cold_start_s"]
        assert new.peak_rss_bytes == old["peak_rss_bytes"]
        assert new.checked.get("status") == old["checked"].get("status")
        assert new.checked.get("max_abs") == old["checked"].get("max_abs")


def test_what_it_did_not_keep_is_null_with_a_reason() -> None:
    found = document.read(FILE)
    (session,), (machine, *_) = found["session"], found["machine"]
    assert session["argv"] is None
    assert session["reasons"]["argv"] == "version 1 did not keep it"
    assert machine["vendor"] is None
    assert machine["reasons"]["vendor"] == "version 1 did not keep it"
    assert machine["caches"] == {"L1": 2**15, "L2": 2**20, "L3": 2**25}
    assert {row["model_sha256"] for row in found["workload"]} == {None}


def test_it_is_the_same_session_however_often_it_is_read() -> None:
    assert document.read(FILE) == document.read(FILE)
    assert document.loads(document.to_json(document.read(FILE))) == document.read(FILE)
