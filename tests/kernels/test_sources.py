"""kernels/sources.py: what machine code depends on is read anew when a file may have changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from columnar_nn.kernels import sources


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources, of which a process has kept the hash."""
    made = tmp_path / "package" / "kernels"
    (made / "jitted").mkdir(parents=True)
    (made.parent / "record.py").write_text("fields = 3\n")
    (made / "tile.py").write_text("rows = 6\n")
    (made / "jitted" / "tile.py").write_text("columns = 2\n")
    monkeypatch.setattr(sources, "_TOP", str(made.parent))
    monkeypatch.setenv("CNN_BENCH_CACHE_DIR", str(tmp_path / "cache"))
    sources.digest()
    return made


def test_files_that_did_not_change_are_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sources.digest()
    monkeypatch.setattr(sources, "_of_content", lambda paths: b"read")
    assert sources.digest() == before


def _same_size_and_time(file: Path) -> None:
    before = file.stat()
    time.sleep(0.02)  # a tick of the clock that files are given their times by
    file.write_text("rows = 7\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "another size": lambda file: file.write_text("rows = 12\n"),
    "the same size and time": _same_size_and_time,
    "another name": lambda file: file.rename(file.with_name("tiles.py")),
    "one more": lambda file: file.with_name("more.py").write_text(""),
    "one less": lambda file: file.unlink(),
    "what records are": lambda file: (file.parents[1] / "record.py").write_text("fields = 40\n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_a_source_is_another_hash(folder: Path, change: str) -> None:
    before = sources.digest()
    CHANGES[change](folder / "tile.py")
    assert sources.digest() != before


def test_the_hash_is_of_content_alone(folder: Path, tmp_path: Path) -> None:
    before = sources.digest()
    os.utime(folder / "tile.py")
    (folder / "notes.txt").write_text("no source")
    assert sources.digest() == before


def test_what_another_has_kept_is_not_believed(folder: Path, tmp_path: Path) -> None:
    before = sources.digest()
    for kept in (tmp_path / "cache").rglob("*.digest"):
        kept.write_bytes(bytes(64))
    assert sources.digest() == before
