"""The workflow of docs/diff.md: its shell takes turns, and its last step is the gate.

Run as it stands there, but for `compare`, in whose place recorded sessions are copied.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench.results import document
from bench.results.results import Results

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "diff.md").read_text(encoding="utf-8")
RECORDED = Path(__file__).with_name("recorded")

STAND_IN = """\
#!{python}
import pathlib, shutil, subprocess, sys
side = pathlib.Path(sys.argv[0]).parents[2].name
if sys.argv[1] == "compare":
    target = pathlib.Path(sys.argv[-1])
    with open("turns", "a") as turns:
        turns.write(side + " ")
    shutil.copy(pathlib.Path("recorded", side, target.name), target)
else:
    sys.exit(subprocess.run([sys.executable, "-m", "cnn_bench", *sys.argv[1:]]).returncode)
"""


def step(name: str) -> str:
    """What a step runs."""
    found = re.search(rf"^      - name: {name}\n        run: \|\n((?: {{10}}.*\n)+)", PAGE, re.M)
    assert found, f"docs/diff.md has no step {name!r}"
    return textwrap.dedent(found.group(1))


def slowed(results: Results, factor: float) -> Results:
    """The columnar engine's times, multiplied."""
    subjects = {r["subject"] for r in results["subject"] if r["backend"] == "columnar"}
    cells = {r["cell"] for r in results["cell"] if r["subject"] in subjects}

    def changed(name: str, row: dict[str, object]) -> dict[str, object]:
        if name != "observation" or row["cell"] not in cells or row["metric"] != "time":
            return row
        return {**row, "value": [value * factor for value in row["value"]]}  # type: ignore[attr-defined]

    return Results.of((name, changed(name, dict(row))) for name, row in results)


@pytest.fixture
def checkouts(tmp_path: Path) -> Path:
    """Folders of the two checkouts, each with a stand-in for the command, and recorded sessions."""
    for side, name in (("base", "ten_quiet_base"), ("head", "ten_quiet_new")):
        program = tmp_path / side / ".venv" / "bin" / "cnn-bench"
        program.parent.mkdir(parents=True)
        program.write_text(STAND_IN.format(python=sys.executable))
        program.chmod(0o755)
        (tmp_path / f"sessions-{side}").mkdir()
        (tmp_path / "recorded" / side).mkdir(parents=True)
        results = document.read(RECORDED / f"{name}.json")
        keep(tmp_path, side, results)
    return tmp_path


def keep(folder: Path, side: str, results: Results) -> None:
    """Five sessions as files of their own; the sixth turn finds the first again, made another."""
    rows = [row["session_id"] for row in results["session"]]
    for number, session in enumerate(rows, 1):
        part = document.to_json(results.session(session))
        (folder / "recorded" / side / f"{number}.json").write_bytes(part)
    other = part.replace(session.encode(), (session[::-1]).encode())
    (folder / "recorded" / side / "6.json").write_bytes(other)


def run(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return subprocess.run(
        ["bash", "-e", "-c", text],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "GITHUB_STEP_SUMMARY": str(folder / "summary.md")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_sides_take_turns_and_each_comes_first_as_often(checkouts: Path) -> None:
    done = run(step("Measure in turns"), checkouts)
    assert (done.returncode, done.stderr) == (0, "")
    assert (checkouts / "turns").read_text().split() == ["base", "head", "head", "base"] * 3
    for side in ("base", "head"):
        assert len([*(checkouts / f"sessions-{side}").iterdir()]) == 6


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1.3, 1)])
def test_the_last_step_gates(checkouts: Path, factor: float, code: int) -> None:
    keep(checkouts, "head", slowed(document.read(RECORDED / "ten_quiet_new.json"), factor))
    run(step("Measure in turns"), checkouts)
    done = run(step("Compare"), checkouts)
    assert done.returncode == code, done.stderr
    assert "columnar" in (checkouts / "summary.md").read_text()
