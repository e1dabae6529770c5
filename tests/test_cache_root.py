"""columnar_nn/settings/cache_root.py: one folder for all kinds, of which only its own files are
deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli.cache import app
from columnar_nn.settings import cache_root
from columnar_nn.settings.cache_root import Contents

FILES = {
    "kernels": "1a2b/relu.kernel",
    "processors": "5e6f.processor",
    "sources": "7a8b.digest",
    "import-checks": "3c4d.import-check",
    "keys": "a.key",
}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("CNN_BENCH_CACHE_DIR", str(folder))
    return folder


def test_every_kind_is_tried_here() -> None:
    assert FILES.keys() == cache_root.KINDS.keys()


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_kept_counted_and_cleared(kind: str, root: Path) -> None:
    assert cache_root.read(kind, FILES[kind]) is None
    cache_root.write(kind, FILES[kind], b"first")
    cache_root.write(kind, FILES[kind], b"second")
    assert cache_root.read(kind, FILES[kind]) == b"second"
    assert [path.name for path in root.rglob("*.*")] == [Path(FILES[kind]).name], "nothing besides"
    held = [contents for contents in cache_root.info() if contents.num_files]
    assert held == [Contents(kind, 1, 6)]
    assert [contents for contents in cache_root.clear() if contents.num_files] == held
    assert cache_root.read(kind, FILES[kind]) is None
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    "stranger",
    ["thesis.tex", "kernels/thesis.tex", "kernels/1a2b/notes.txt", "import-checks/thesis/a.json"],
)
def test_clear_deletes_nothing_of_the_user(stranger: str, root: Path) -> None:
    (root / stranger).parent.mkdir(parents=True)
    (root / stranger).write_text("years of work")
    for kind, file in FILES.items():
        cache_root.write(kind, file, b"content")
    cache_root.clear()
    assert [path for path in root.rglob("*") if path.is_file()] == [root / stranger]


def test_an_interrupted_write_is_cleared_but_not_counted(root: Path) -> None:
    for kind, file in FILES.items():
        path = root / kind / f"{file}x1y2z3.part"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
    assert not any(contents.num_files for contents in cache_root.info())
    cache_root.clear()
    assert list(root.iterdir()) == []


def test_a_root_that_cannot_be_written_costs_only_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.write_text("not a folder")
    monkeypatch.setenv("CNN_BENCH_CACHE_DIR", str(root / "below"))
    cache_root.write("kernels", FILES["kernels"], b"content")
    assert cache_root.read("kernels", FILES["kernels"]) is None
    assert not any(contents.num_files for contents in cache_root.clear())
    assert root.read_text() == "not a folder"


def test_without_the_variable_it_is_in_the_users_own_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CNN_BENCH_CACHE_DIR")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root.root() == tmp_path / "cnn-bench"


def test_the_command_tells_folder_and_contents(root: Path) -> None:
    for kind, file in FILES.items():
        cache_root.write(kind, file, bytes(2**20))
    told = CliRunner().invoke(app, ["info"]).output
    assert str(root) in told
    assert [line.split()[0] for line in told.splitlines()] == ["folder", *FILES]
    assert told.count("1 file(s), 1.0 MiB") == len(FILES)
    assert CliRunner().invoke(app, ["clear"]).output.count("1 file(s), 1.0 MiB") == len(FILES)
    assert CliRunner().invoke(app, ["info"]).output.count("0 file(s), 0.0 MiB") == len(FILES)
