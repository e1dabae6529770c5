"""The journal of a session: where it is, what it holds, and a disk that refuses it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from bench.files.output import OutputFile
from bench.results.journal import Journal


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_line_for_the_session_and_one_for_what_was_measured(tmp_path: Path) -> None:
    journal = Journal(OutputFile(str(tmp_path / "x.json")), {"seed": 1})
    assert list(tmp_path.glob("*.journal")) == [], "not before there is something to keep"
    assert journal.notice() == ""
    journal.append("turn", {"times": [0.5], "error": float("nan")})
    (file,) = tmp_path.glob("*.journal")
    assert journal.notice() == f"what was measured is in {file}"
    session, turn = map(json.loads, file.read_text().splitlines())
    assert session["table"] == "session"
    assert session["context"] == {"seed": 1}
    assert file.name == f"x.json.{session['session_id']}.journal"
    assert turn == {"table": "turn", "times": [0.5], "error": None}
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
    journal = Journal(output, {})
    journal.append("turn", {})
    assert len(list(place.glob("cnn-bench.*.journal"))) == 1
    journal.remove()
    assert list(place.iterdir()) == []


def test_a_full_disk_ends_the_journal_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = Journal(OutputFile(str(tmp_path / "x.json")), {})
    with monkeypatch.context() as patched:
        patched.setattr("os.write", refuse)
        journal.append("turn", {"times": [1]})
        journal.append("turn", {"times": [2]})
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device; what is measured is only in memory from now on" in line
    assert journal.notice() == "", "it names no file that holds nothing"
    assert list(tmp_path.glob("*.journal")) == []


def test_a_disk_that_fills_leaves_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = Journal(OutputFile(str(tmp_path / "x.json")), {})
    journal.append("turn", {"times": [1]})
    monkeypatch.setattr("os.write", refuse)
    journal.append("turn", {"times": [2]})
    (file,) = tmp_path.glob("*.journal")
    assert journal.notice() == f"the beginning of what was measured is in {file}"
    assert json.loads(file.read_text().splitlines()[-1])["times"] == [1]
