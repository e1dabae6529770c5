"""columnar_nn/settings/variables.py: what the environment may say, that it is documented, and the
exits."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from progress_lines import without_progress

from columnar_nn.errors import UsageError
from columnar_nn.settings import cache_root, variables

ROOT = Path(__file__).parents[1]
NAMES = {
    value for name, value in vars(variables).items() if name.isupper() and isinstance(value, str)
}


def test_every_variable_is_listed_and_documented() -> None:
    found = set()
    for package in ("columnar_nn", "reference", "adapters", "bench"):
        for source in (ROOT / package).rglob("*.py"):
            found |= set(re.findall(r"CNN_BENCH_[A-Z_]+", source.read_text(encoding="utf-8")))
    assert found == NAMES
    documented = (ROOT / "docs" / "variables.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(CNN_BENCH_[A-Z_]+)`", documented, re.MULTILINE)) == NAMES


def cnn_bench(folder: Path, *arguments: str, **environment: str | None) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of the command, run in a folder."""
    chosen = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    result = subprocess.run(
        [sys.executable, "-m", "cnn_bench", *arguments],
        cwd=folder,
        env={name: value for name, value in chosen.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return result.returncode, result.stdout, result.stderr


WRONG = {
    "CNN_BENCH_VECTOR_WIDTH": ("7", "set it to 4, 8 or 16"),
    "CNN_BENCH_PROCESSOR": ("i386", "set it to"),
    "CNN_BENCH_BUILD_BYTES": ("2GB", "set it to a number of bytes"),
    "CNN_BENCH_CACHE_DIR": (__file__, "is no folder: name another"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_one_line(tmp_path: Path, name: str) -> None:
    value, message = WRONG[name]
    status, output, errors = cnn_bench(tmp_path, "compare", **{name: value})
    assert (status, output) == (2, "")
    assert re.fullmatch(rf"cnn-bench: error: {name} .*{message}.*\n", errors)


def test_no_value_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")
    variables.settle()
    assert (variables.cache_dir(), variables.processor()) == (None, None)
    assert (variables.vector_width(), variables.debug()) == (None, False)


FAST = ("--samples", "1", "--runs", "1", "--min-time", "0", "--backend", "columnar")


@pytest.mark.parametrize(("temporary", "kept"), [(".", "cache"), ("missing", "../cache/deeper")])
def test_folders_may_be_relative_or_missing(tmp_path: Path, temporary: str, kept: str) -> None:
    """Workers run elsewhere: they mean the same folders, and nothing else is left."""
    work = tmp_path / "work"
    work.mkdir()
    variables = {"TMPDIR": temporary, "CNN_BENCH_CACHE_DIR": kept}
    status, output, errors = cnn_bench(work, "compare", *FAST, **variables)
    assert (status, without_progress(errors)) == (0, ""), errors
    assert "PASSED" in output
    assert list((work / kept).resolve().rglob("*.kernel"))
    assert {path.name for path in work.iterdir()} <= {"cache"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")
@pytest.mark.parametrize("home", [None, ".", "/home/somebody"])
@pytest.mark.parametrize("cache", [None, "", "relative"])
def test_the_users_own_folder_is_absolute(
    home: str | None, cache: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HOME": home, "XDG_CACHE_HOME": cache, "CNN_BENCH_CACHE_DIR": None}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert cache_root.root().is_absolute()
    assert cache_root.root().parts[-2:] == (".cache", "cnn-bench")


def test_no_home_at_all_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CNN_BENCH_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(UsageError, match="no home folder: set HOME or CNN_BENCH_CACHE_DIR"):
        cache_root.root()
