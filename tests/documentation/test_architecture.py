"""docs/architecture.md: its rooms are those that there are, its trips pass where it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_import_rules import ROOMS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MACHINE_CODE = "columnar_nn/kernels/jitted/"
"""What runs is made of it: no function in it is called."""


@pytest.mark.parametrize("package", ROOMS)
def test_the_rooms_are_listed_in_their_order(package: str) -> None:
    listed = re.findall(rf"^\| `{package}/(\w+)(?:/|\.py)` \|", PAGE, re.MULTILINE)
    rooms = [ROOT / package / room for room in ROOMS[package]]
    there = [room.name for room in rooms if room.is_dir() or room.with_suffix(".py").is_file()]
    assert listed[::-1] == there


@pytest.fixture(scope="module")
def entered() -> set[str]:
    """The files of which a function is called between plain9's file and its logits."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("trips.py"))],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("trip", ["One image", "One weight"])
def test_a_trip_passes_where_the_page_says(trip: str, entered: set[str]) -> None:
    steps = PAGE.split(f"## {trip}\n")[1].split("\n## ")[0]
    files = re.findall(r"`([\w/]+\.py)`", steps)
    assert len(files) == len(set(files)), "each is named once"
    assert len(files) > 10
    assert not {file for file in files if not file.startswith(MACHINE_CODE)} - entered
