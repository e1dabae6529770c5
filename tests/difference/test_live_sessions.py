"""Sessions measured now, of two versions in turns, and the verdict of `cnn-bench diff` on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]

MAIN = [sys.executable, "-c", "from bench.cli.app import main; main()"]
SAMPLES = (1, 10)
SESSIONS = 6
MOST_SESSIONS = 18


def cnn_bench(*arguments: object, slowed_by: float = 0.0) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path),
        "ENGINE_SLOWED_BY": str(slowed_by),
    }
    command = [*MAIN, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def measure(folder: Path, sessions: int, slowed_by: float) -> None:
    """More sessions of both versions, in turns; which of them is first changes every time."""
    options = ["--backend", "difference.slowed_engine.Engine", "--threads", 1]
    options += ["--samples", ",".join(map(str, SAMPLES)), "--runs", 5, "--min-time", 0.1]
    for _ in range(sessions):
        number = len(list((folder / "base").glob("*.json")))
        turns = [("base", 0.0), ("new", slowed_by)]
        for side, slowness in turns if number % 2 else turns[::-1]:
            file = folder / side / f"{number:02}.json"
            cnn_bench("compare", *options, "--json", file, slowed_by=slowness)


def verdicts(folder: Path) -> list[dict[str, Any]]:
    found = json.loads(cnn_bench("diff", folder / "base", folder / "new", "--format", "json"))
    assert [cell["samples"] for cell in found["cells"]] == list(SAMPLES)
    return list(found["cells"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for side in ("base", "new"):
        (tmp_path / side).mkdir()
    return tmp_path


def test_a_version_is_not_faster_or_slower_than_itself(folder: Path) -> None:
    """Called so twice in a row, which chance does once in 400 nights."""
    called: list[str] = []
    for attempt in ("first", "second"):
        (folder / attempt / "base").mkdir(parents=True)
        (folder / attempt / "new").mkdir()
        measure(folder / attempt, SESSIONS, 0.0)
        called = [c["verdict"] for c in verdicts(folder / attempt)]
        if not {"faster", "slower"} & set(called):
            return
    pytest.fail(f"one version against itself, twice: {called}")


def test_a_version_that_takes_20_percent_more_is_found(folder: Path) -> None:
    """With more sessions until it is, unless the machine is so unsteady that none can show it."""
    cells: list[dict[str, Any]] = []
    while len(list((folder / "base").glob("*.json"))) < MOST_SESSIONS:
        measure(folder, SESSIONS, 0.2)
        cells = verdicts(folder)
        assert not {"faster", "same"} & {cell["verdict"] for cell in cells}
        if all(cell["verdict"] == "slower" for cell in cells):
            return
    open_ = [c for c in cells if c["verdict"] != "slower"]
    if min(c["smallest_change"] for c in open_) > 0.2:
        pytest.skip(
            "this machine cannot show 20% now: " + str([c["smallest_change"] for c in open_])
        )
    pytest.fail(f"20% were not found: {open_}")
