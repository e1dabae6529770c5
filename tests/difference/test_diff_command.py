"""`cnn-bench diff` on files: what it prints, and each of its exit codes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from difference.made_sessions import folder, session, side
from rich.cells import cell_len
from typer.testing import CliRunner

from bench.cli.commands import load
from bench.results import document
from bench.results.results import Results
from columnar_nn.errors import CnnBenchError

BASE = {("columnar", 1): [1e-3, 1.1e-3], ("columnar", 100): [0.1, 0.12], ("torch", 1): [2e-3]}
RUNNER = CliRunner()


def sessions(name: str, count: int = 5, factor: float = 1.0, **options: Any) -> list[Results]:
    """Sessions that differ by up to 1%; those of NEW began between those of BASE."""
    found = []
    for number in range(count):
        wobble = factor * (1 + 0.01 * ((number * 7 + len(name)) % 5) / 5)
        times = {cell: [second * wobble for second in runs] for cell, runs in BASE.items()}
        minute = 2 * number + (name == "new")
        started = f"2026-01-01T00:{minute:02d}:00+0000"
        found.append(session(f"{name}{number}", times, started=started, **options))
    return found


def diff(*arguments: object) -> tuple[int, str]:
    """Exit status and output; an error is raised."""
    result = RUNNER.invoke(
        load("bench.cli.diff:diff"), list(map(str, arguments)), env={"COLUMNS": "80"}
    )
    if isinstance(result.exception, CnnBenchError):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return folder(tmp_path / "base", sessions("base"))


def made(tmp_path: Path, new: Sequence[Results]) -> Path:
    return folder(tmp_path / "new", new)


def test_versions_that_are_alike(base: Path, tmp_path: Path) -> None:
    code, output = diff(base, made(tmp_path, sessions("new")), "--require-conclusive")
    assert code == 0
    assert "3 figures: 3 same" in output
    assert "warning" not in output


def test_the_table_fits_80_columns_and_every_figure_has_its_unit(
    base: Path, tmp_path: Path
) -> None:
    _, output = diff(base, made(tmp_path, sessions("new", factor=1.2)))
    assert max(cell_len(line) for line in output.splitlines()) <= 80
    assert "\x1b" not in output
    (row,) = [line for line in output.splitlines() if line.startswith("  100 images")]
    cells = row.split()
    assert cells[:2] == ["100", "images"]
    assert cells[3] == cells[5] == "ms"
    assert float(cells[4]) / float(cells[2]) == pytest.approx(1.2, abs=0.01)
    assert cells[6].endswith("%")
    assert row.endswith("slower")


@pytest.mark.parametrize(
    ("factor", "gate", "code"),
    [
        (1.2, "median:10%", 1),
        (1.2, "median[samples=100]:10%", 1),
        (1.2, "fastest[backend=col*,samples=1]:10%", 1),
        (1.2, "median:30%", 0),
        (1 / 1.2, "median:10%", 0),
        (1.0, "median:10%", 0),
        (1.2, "p99:10%", 4),
        (1.2, "p50:10%", 1),
    ],
)
def test_gates(base: Path, tmp_path: Path, factor: float, gate: str, code: int) -> None:
    new = made(tmp_path, sessions("new", factor=factor))
    found, output = diff(base, new, "--fail-on", gate, "--require-conclusive")
    assert found == code
    outcome = {0: "passed", 1: "failed", 4: "undecided"}[code]
    assert f"--fail-on {gate}: {outcome}" in output


def test_one_gate_of_several_fails(base: Path, tmp_path: Path) -> None:
    new = made(tmp_path, sessions("new", factor=1.2))
    code, output = diff(base, new, "--fail-on", "median:50%", "--fail-on", "fastest:15%")
    assert code == 1
    assert "--fail-on median:50%: passed" in output
    assert "--fail-on fastest:15%: failed: columnar:default, 1 image, fastest;" in output


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_sessions_only_look(tmp_path: Path, count: int) -> None:
    base = folder(tmp_path / "base", sessions("base", count))
    new = made(tmp_path, sessions("new", count, factor=3))
    code, output = diff(base, new, "--fail-on", "fastest:10%")
    assert code == 0
    assert "looks slower" in output
    assert "undecided" in output
    assert "3 figures: 3 inconclusive" in output
    assert "4 at least a side" in output if count == 1 else "4 a side" in output
    assert diff(base, new, "--require-conclusive")[0] == 4


def test_another_machine_is_not_comparable_unless_allowed(base: Path, tmp_path: Path) -> None:
    new = made(tmp_path, sessions("new", factor=2, machine={"cores": 8}))
    code, output = diff(base, new, "--fail-on", "fastest:10%")
    assert code == 3
    assert "not comparable: machine: cores 2 in BASE, 8 in NEW" in output
    code, output = diff(base, new, "--fail-on", "fastest:10%", "--allow", "machine")
    assert code == 1
    assert "warning: machine: cores 2 in BASE, 8 in NEW" in output


def test_what_may_change_from_day_to_day_warns(tmp_path: Path) -> None:
    base = folder(tmp_path / "base", sessions("base", machine={"governor": "performance"}))
    new = made(tmp_path, sessions("new", machine={"governor": "powersave"}, complete=False))
    code, output = diff(base, new)
    assert code == 0
    assert "governor is performance and powersave" in output
    assert "warning: NEW: 5 of 5 sessions did not come to their end" in output


def test_other_versions_of_a_package(base: Path, tmp_path: Path) -> None:
    new = made(tmp_path, sessions("new", versions={"columnar": "2.0", "torch": "1.0"}))
    code, output = diff(base, new)
    assert code == 3
    assert "not comparable: columnar 1.0 in BASE, 2.0 in NEW" in " ".join(output.split())
    assert "3 figures: 1 same, 2 not comparable" in output
    assert diff(base, new, "--allow", "machine,versions")[0] == 0


def test_another_model_under_the_same_name(base: Path, tmp_path: Path) -> None:
    code, output = diff(base, made(tmp_path, sessions("new", model_sha256="def")))
    assert code == 3
    assert "not comparable: model_sha256 abc in BASE, def in NEW" in " ".join(output.split())


def test_cells_that_are_missing_or_failed(base: Path, tmp_path: Path) -> None:
    failed = {("columnar", 1): "CRASHED"}
    new = sessions("new", status=failed)
    kept = [
        Results.of(
            (name, row)
            for name, row in one
            if name not in ("cell", "observation") or row["cell"] != torch_cell(one)
        )
        for one in new
    ]
    code, output = diff(base, made(tmp_path, kept), "--fail-on", "fastest[samples=100]:10%")
    assert code == 0
    code, output = diff(base, tmp_path / "new", "--fail-on", "fastest:10%")
    assert code == 1
    assert "failed in NEW" in output
    assert "missing in NEW" in output


def torch_cell(results: Results) -> str:
    (subject,) = [row["subject"] for row in results["subject"] if row["backend"] == "torch"]
    return next(row["cell"] for row in results["cell"] if row["subject"] == subject)


def test_sides_in_succession_are_warned_of(tmp_path: Path) -> None:
    base = folder(tmp_path / "base", sessions("base"))
    late = [session(f"late{n}", BASE, started=f"2026-01-02T00:0{n}:00+0000") for n in range(5)]
    _, output = diff(base, made(tmp_path, late))
    assert "all sessions of BASE were before those of NEW" in " ".join(output.split())


def test_other_functions_of_ones_own_are_warned_of(base: Path, tmp_path: Path) -> None:
    new = [
        Results.of(
            (name, {**row, "functions": {"mine.py": "1234"}} if name == "session" else row)
            for name, row in one
        )
        for one in sessions("new")
    ]
    _, output = diff(base, made(tmp_path, new))
    said = "warning: files of functions: none in BASE, mine.py (1234) in NEW"
    assert said in " ".join(output.split())


def test_a_file_of_several_sessions_is_the_same_as_their_folder(base: Path, tmp_path: Path) -> None:
    new = made(tmp_path, sessions("new", factor=1.2))
    file = tmp_path / "together.json"
    file.write_bytes(document.to_json(side(sessions("new", factor=1.2))))
    assert diff(base, file) == diff(base, new)


def test_json_has_everything(base: Path, tmp_path: Path) -> None:
    new = made(tmp_path, sessions("new", factor=1.2))
    code, output = diff(base, new, "--format", "json", "--fail-on", "median[samples=1]:10%")
    found = json.loads(output)
    assert found["exit_code"] == code == 1
    assert [len(found["sessions"][name]) for name in ("base", "new")] == [5, 5]
    assert {cell["backend"] for cell in found["cells"]} == {"columnar", "torch"}
    for cell in found["cells"]:
        assert (cell["metric"], cell["unit"], cell["verdict"]) == ("median", "s", "slower")
        assert cell["low"] < 0.2 < cell["high"]
        assert len(cell["base"]) == len(cell["new"]) == 5
    assert [gate["outcome"] for gate in found["gates"]] == ["failed", "failed"]


def test_markdown_is_a_table(base: Path, tmp_path: Path) -> None:
    new = made(tmp_path, sessions("new", factor=1.2))
    _, output = diff(base, new, "--format", "md")
    rows = [line for line in output.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
    assert len(rows) == 2 + 3
    assert all("**slower**" in line for line in rows[2:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fail-on", "median"], "--fail-on 'median': expected METRIC"),
        (["--fail-on", "mean:10%"], "--fail-on 'mean:10%': metric 'mean': choose from fastest"),
        (["--fail-on", "median[nope=1]:10%"], "'nope=1' is no FIELD=VALUE with a field of backend"),
        (["--fail-on", "median[samples=7]:10%"], "no cell has such a figure"),
        (["--fail-on", "median:2%"], "are within the --margin of 5%"),
        (["--margin", "five"], "--margin: 'five' is no percentage such as 5%"),
        (["--allow", "weather"], "--allow 'weather': choose from machine, versions"),
        (["--format", "xml"], "--format 'xml': choose from table, md, json"),
    ],
)
def test_wrong_usage(base: Path, tmp_path: Path, options: list[str], message: str) -> None:
    new = made(tmp_path, sessions("new"))
    with pytest.raises(CnnBenchError) as raised:
        diff(base, new, *options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_session_on_both_sides_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(CnnBenchError, match="is in BASE and in NEW"):
        diff(base, base)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CnnBenchError, match="there are no results in this folder"):
        diff(base, tmp_path / "empty")
    with pytest.raises(CnnBenchError, match="No such file"):
        diff(base, tmp_path / "nowhere")
