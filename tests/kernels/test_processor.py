"""kernels/processor.py: what LLVM says, asked for once between two starts of the system."""

from __future__ import annotations

from pathlib import Path

import llvmlite.binding as llvm
import pytest

from columnar_nn.kernels import processor
from columnar_nn.kernels.processor import Processor

THIS = Processor(llvm.get_host_cpu_name(), str(llvm.get_host_cpu_features().flatten()))
OTHER = "another"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the first process in a system that has just started."""
    boot = tmp_path / "boot_id"
    boot.write_text("0d7c0d41-first\n")
    monkeypatch.setattr(processor, "_BOOT", boot)
    monkeypatch.setenv("CNN_BENCH_CACHE_DIR", str(tmp_path / "cache"))
    assert _asked() == THIS
    (file,) = (tmp_path / "cache").rglob("*.processor")
    # from here on LLVM, if it is asked, names another
    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: OTHER)
    return file


def _asked() -> Processor:
    return processor.this.__wrapped__()


def test_the_next_process_does_not_ask(kept: Path) -> None:
    assert _asked() == THIS


def test_a_system_started_anew_or_another_llvm_asks(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boot_id").write_text("9a31c2f0-second\n")
    assert _asked().name == OTHER
    (tmp_path / "boot_id").write_text("0d7c0d41-first\n")
    assert _asked() == THIS
    monkeypatch.setattr(processor, "version_file", lambda package: b"another version")
    assert _asked().name == OTHER


def test_a_system_whose_starts_have_no_name_asks_and_keeps_nothing(
    kept: Path, tmp_path: Path
) -> None:
    (tmp_path / "boot_id").unlink()
    assert _asked().name == OTHER
    assert list((tmp_path / "cache").rglob("*.processor")) == [kept]


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_file_is_written_again(kept: Path, damage: str) -> None:
    content = kept.read_bytes()
    changed = content.replace(b"+", b"-", 1)
    kept.write_bytes({"cut": content[:-1], "changed": changed, "empty": b""}[damage])
    assert _asked().name == OTHER
    assert OTHER.encode() in kept.read_bytes()
