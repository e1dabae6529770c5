"""`cnn-bench profile` as a user has it, on backends made up for the purpose."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from profiling.command_line import cnn_bench, tiny_inputs
from progress_lines import without_progress

from bench.machine.disturbance import Snapshot
from bench.results import document
from bench.results.results import Results
from bench.results.schema import Row

PROFILED = "profiling.profiled_backends.ProfiledBackend"
FOOT = ("whole run, profiled", "outside the rows", "whole run, as it is", "cost of profiling")
FAKE = "fake_backends.FakeBackend"


def test_layers_side_by_side(tmp_path: Path) -> None:
    model, data = tiny_inputs(tmp_path)
    path = tmp_path / "profile.json"
    options = ["--model", model, "--data", data, "--samples", "10", "--rounds", "2"]
    backends = [f"{PROFILED}:fused", "reference", f"{FAKE}:fine"]
    done = cnn_bench(
        "profile", *options, "--json", str(path), *(x for b in backends for x in ("--backend", b))
    )
    assert (done.returncode, without_progress(done.stderr)) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    rows = {
        name: [line.removeprefix(name).split() for line in lines if line.startswith(name)]
        for name in ("flatten+dense", "the engine's own", "sum of the rows", *FOOT)
    }
    # Long names leave room for two backends in a table. 2 us of ten images in one operator; the
    # reference's are two; the other backend tells nothing.
    assert [len(found) for found in rows.values()] == [2] * len(rows)
    assert rows["flatten+dense"][0][:2] == ["f", "0.2"]
    assert "f" not in rows["flatten+dense"][0][2:]
    assert rows["flatten+dense"][1] == ["-"]
    assert rows["the engine's own"] == [["0.1", "-"], ["-"]]
    assert rows["sum of the rows"][0][0] == "0.3"
    assert any("operator times: not available (fake tells no times" in line for line in lines)
    assert "hardware counters: not available" in done.stdout or "cache misses" in done.stdout

    results = document.read(path)
    made_up, reference, silent = (row["cell"] for row in results["cell"])
    operators = observed(results, "operator")
    (first, second) = (row for row in operators if row["cell"] == made_up and row["index"] == 0)
    assert (first["part"], first["value"], first["unit"]) == (
        ["0", "flatten", "dense"],
        [2e-6],
        "s",
    )
    assert first["detail"] == {"operator": "all", "calls": 3}
    assert second["part"] == ["1"], "the engine's own, of no node"
    assert [row["part"] for row in operators if (row["cell"], row["index"]) == (reference, 1)] == [
        ["0", "flatten"],
        ["1", "dense"],
    ]
    assert not [row for row in operators if row["cell"] == silent]
    turns = [(row["cell"], row["index"], len(row["value"])) for row in observed(results, "time")]
    assert turns == [(cell, k, 1) for cell in (made_up, reference, silent) for k in range(2)]
    tells = Snapshot.take([os.getpid()], [min(os.sched_getaffinity(0))]) is not None
    assert all((row["disturbance"] is not None) == tells for row in observed(results, "time"))


def observed(results: Results, metric: str) -> list[Row]:
    return [row for row in results["observation"] if row["metric"] == metric]


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        (f"{PROFILED}:changed", 1, "FAILED output logits is another one with profiling on"),
        (f"{FAKE}:abort", 1, "CRASHED killed by SIGABRT"),
        ("fake_backends.MissingBackend", 0, "SKIPPED"),
        (f"{FAKE}:unimplemented", 0, "UNIMPLEMENTED"),
    ],
)
def test_what_does_not_work_is_said(name: str, status: int, text: str, tmp_path: Path) -> None:
    model, data = tiny_inputs(tmp_path)
    done = cnn_bench("profile", "--model", model, "--data", data, "--backend", name)
    assert done.returncode == status
    assert text in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "nope"], "unknown backend 'nope'"),
        (["--model", "nope"], "unknown model 'nope'"),
        (["--samples", "0"], "--samples"),
        (["--threads", "0"], "--threads 0"),
        (["--json", "/no/such/folder/x.json"], "there is no folder /no/such/folder"),
        (["--algorithm", "fft"], "--algorithm 'fft': choose from auto, direct, winograd"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    done = cnn_bench("profile", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
