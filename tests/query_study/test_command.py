"""`cnn-bench compare --query`, its workers in the process of the test."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from query_study.in_process import install

from bench.cli import commands
from bench.results import document
from columnar_nn.errors import UsageError


def test_a_query_is_measured_shown_and_kept(
    classes: Mapping[str, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(monkeypatch, classes)
    monkeypatch.setenv("COLUMNS", "80")
    file = tmp_path / "x.json"
    options = "--samples 20 --backend columnar --threads 1 --min-time 0 --runs 2 --seed 3"
    line = ["compare", "--query", "confusion", *options.split(), "--json", str(file)]
    assert commands.run(line) == 0
    printed = capsys.readouterr().out
    assert commands.run(["show", str(file)]) == 0
    assert capsys.readouterr().out == printed
    assert re.search(r"^columnar:sql +[\d.,]+ ±", printed, re.M)
    (session,) = document.read(file)["session"]
    assert session["command"] == "compare"
    assert session["complete"]
    assert (session["settings"]["query"], session["seed"]) == ("confusion", 3)
    assert [row["query"] for row in json.loads(file.read_text())["summary"]] == ["confusion"]
    assert not list(tmp_path.glob("*.journal"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--query nope", "--query 'nope': choose from confusion, sites, agreement"),
        ("--query sites --model resnet20", "--model says nothing of --query"),
        ("--query sites --data synthetic", "--data says nothing of --query"),
        ("--query sites --quick", "--quick says nothing of --query"),
        ("--query sites --latency-limit 1ms", "--latency-limit says nothing of --query"),
        ("--query sites --samples 0", "--samples '0'"),
        ("--query sites --threads 0", "--threads 0"),
        ("--query sites --backend pytorch", "--query has no backend 'pytorch': choose from"),
        ("--query sites --backend velox:best", "velox has no configuration 'best'"),
    ],
)
def test_what_makes_no_sense_is_refused(options: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        commands.run(["compare", *options.split()])
