"""The journal of a session: where it is, what it holds, and a disk that refuses it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from bench.files.output import OutputFile
from bench.results.journal import Journal
from bench.results.session import Session


def journal_for(output: OutputFile | None) -> Journal:
    return Journal(output, Session("compare", {"seed": 1}, (0,)))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_lines_for_session_and_machine_and_one_for_what_was_measured(tmp_path: Path) -> None:
    journal = journal_for(OutputFile(str(tmp_path / "x.json")))
    assert list(tmp_path.glob("*.journal")) == [], "not before there is something to keep"
    assert journal.notice() == ""
    journal.append("observation", {"value": [0.5]})
    (file,) = tmp_path.glob("*.journal")
    assert journal.notice() == f"what was measured is in {file}"
    session, machine, turn = map(json.loads, file.read_text().splitlines())
    assert (session["table"], machine["table"]) == ("session", "machine")
    assert (session["settings"], session["complete"]) == ({"seed": 1}, False)
    assert session["machine_id"] == machine["machine_id"]
    assert file.name == f"x.json.{session['session_id']}.journal"
    assert turn == {"table": "observation", "value": [0.5]}
    journal.remove()
    assert not file.exists()


@pytest.mark.parametrize("name", [None, "-", "fifo", "x" * 250, "absent/x"])
def test_without_a_place_beside_the_result_it_is_a_temporary_file(
    tmp_path: Path, place: Path, name: str | None
) -> None:
    os.mkfifo(tmp_path / "fifo")
    output = None
    if name is not None:
        output = OutputFile(name if name == "-" else str(tmp_path / name))
    journal = journal_for(output)
    journal.append("observation", {})
    assert len(list(place.glob("cnn-bench.*.journal"))) == 1
    journal.remove()
    assert list(place.iterdir()) == []


def test_a_full_disk_ends_the_journal_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = journal_for(OutputFile(str(tmp_path / "x.json")))
    with monkeypatch.context() as patched:
        patched.setattr("os.write", refuse)
        journal.append("observation", {"value": [1]})
        journal.append("observation", {"value": [2]})
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device; what is measured is only in memory from now on" in line
    assert journal.notice() == "", "it names no file that holds nothing"
    assert list(tmp_path.glob("*.journal")) == []


def test_a_disk_that_fills_leaves_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = journal_for(OutputFile(str(tmp_path / "x.json")))
    journal.append("observation", {"value": [1]})
    monkeypatch.setattr("os.write", refuse)
    journal.append("observation", {"value": [2]})
    (file,) = tmp_path.glob("*.journal")
    assert journal.notice() == f"the beginning of what was measured is in {file}"
    assert json.loads(file.read_text().splitlines()[-1])["value"] == [1]
