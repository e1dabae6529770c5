"""`cnn-bench report`: where it writes, what it takes, and how it ends."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report.recorded import COMPARE, PROFILE

from bench.cli.app import main
from bench.report import page

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    def run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["cnn-bench", "report", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capfd.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


def test_a_folder_stands_for_its_results(command: Command, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    for file in (COMPARE, PROFILE):
        shutil.copy(file, tmp_path / "results")
    status, output, errors = command("results", "--format", "csv", "-o", "all.csv")
    assert (status, output, errors) == (0, "", "")
    lines = (tmp_path / "all.csv").read_text().splitlines()
    found = {row["command"] for row in csv.DictReader(lines)}
    assert found == {"compare", "profile"}


def test_an_empty_folder_is_an_error_in_one_line(command: Command, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    status, output, errors = command("results", "--format", "md")
    assert (status, output) == (2, "")
    assert errors == "cnn-bench: error: results: there are no results in this folder\n"


def test_text_goes_to_standard_output_unless_a_file_is_named(command: Command) -> None:
    status, output, _ = command(COMPARE, "--format", "json")
    assert status == 0
    assert json.loads(output)["format"] == "cnn-bench/report"
    assert command(COMPARE, "--format", "md", "-o", "-")[1].startswith(("#", ">"))


@pytest.mark.skipif(sys.platform != "linux", reason="names an open descriptor")
def test_a_reader_that_has_had_enough_is_no_error_and_nothing_is_kept(command: Command) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        ended = command(COMPARE, "--format", "md", "-o", f"/dev/fd/{write}")
    finally:
        os.close(write)
    assert ended == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "pdf"), "choose from html, md, csv, latex, json, svg"),
        (("--format", "md", "--chart", "time"), "--chart is for --format svg"),
        (("--format", "md", "-o", "no/such/folder.md"), "there is no folder"),
    ],
)
def test_wrong_usage_is_one_line(command: Command, arguments: tuple[str, ...], said: str) -> None:
    status, output, errors = command(COMPARE, *arguments)
    assert (status, output) == (2, "")
    assert said in errors
    assert errors.count("\n") == 1


def test_without_the_extra_the_page_is_refused_and_tables_are_not(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_PACKAGES", ("not_a_package",))
    status, output, errors = command(COMPARE)
    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert 'cnn-bench[report]"' in errors
    for name in ("md", "csv", "latex", "json"):
        assert command(COMPARE, "--format", name)[0] == 0


def test_tables_import_none_of_the_packages() -> None:
    program = (
        "import sys; from bench.cli import report\n"
        "sys.exit(len({'altair', 'vl_convert', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == 0
