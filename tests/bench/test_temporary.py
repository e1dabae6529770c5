"""Temporary files and folders, and what becomes of those that a killed process leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.files import temporary

LEAVE = (
    "import os, pathlib, sys\n"
    "from bench.files import temporary\n"
    "with temporary.{kind} as path:\n"
    "    file = path / 'content' if path.is_dir() else path\n"
    "    file.write_bytes(b'content'); print(path, flush=True)\n"
    "    {end}\n"
)
KINDS = {
    "temporary_folder()": "",
    "folder_beside(pathlib.Path(sys.argv[1]) / 'x')": ".",
    "file_beside(pathlib.Path(sys.argv[1]) / 'x')": ".",
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def started(kind: str, end: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LEAVE.format(kind=kind, end=end), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "TMPDIR": str(folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_killed_process_left_is_deleted_by_the_next(kind: str, tmp_path: Path) -> None:
    with started(kind, "os.kill(os.getpid(), 9)", tmp_path) as process:
        process.wait()
        (left,) = tmp_path.iterdir()
        assert left.name.startswith(f"{KINDS[kind]}cnn-bench-{process.pid}-")
    with temporary.temporary_folder() as mine:
        assert list(tmp_path.iterdir()) == [mine]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_living_process_holds_is_left_alone(kind: str, tmp_path: Path) -> None:
    with started(kind, "sys.stdin.read()", tmp_path) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        with temporary.temporary_folder() as mine, temporary.file_beside(tmp_path / "y") as other:
            assert {theirs, mine, other} == set(tmp_path.iterdir())
        assert theirs.exists()
        process.kill()


@pytest.mark.parametrize(
    "name",
    [
        "cnn-bench-results",
        "cnn-bench-123-0123456789ab",
        "cnn-bench-123-0123456789ab.tmp.json",
        "my-cnn-bench-123-0123456789ab.tmp",
        "cnn-bench.0123456789abcdef.journal",
    ],
)
def test_what_is_named_otherwise_is_nobodys_to_delete(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with temporary.temporary_folder():
        pass
    assert (tmp_path / name).is_dir()


def test_a_link_is_left_alone_with_what_it_names(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    link = tmp_path / "cnn-bench-123-0123456789ab.tmp"
    link.symlink_to(kept)
    with temporary.temporary_folder():
        pass
    assert link.is_symlink()
    assert (kept / "file").exists()


def test_another_users_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "cnn-bench-123-0123456789ab.tmp"
    theirs.mkdir()
    monkeypatch.setattr("os.geteuid", lambda: theirs.stat().st_uid + 1)
    with temporary.temporary_folder():
        pass
    assert theirs.exists()


def test_what_was_renamed_stays(tmp_path: Path) -> None:
    with temporary.file_beside(tmp_path / "x") as file:
        file.write_bytes(b"content")
        file.rename(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"content"
