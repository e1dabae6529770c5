"""What must be installed for a backend, held against packages whose sizes a test knows."""

from __future__ import annotations

import sys
from pathlib import Path

import llvmlite
import numpy as np
import pytest
from ease.demanding_backends import AbsentBackend

from adapters import registry
from bench.ease import installation


def install(
    folder: Path, name: str, size: int, *requires: str, extras: tuple[str, ...] = ()
) -> None:
    """A distribution of one file of so many bytes, and the metadata that installers write."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_bytes(b"#" * size)
    facts = folder / f"{name}-1.0.dist-info"
    facts.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
    lines += [f"Requires-Dist: {text}" for text in requires]
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    (facts / "METADATA").write_text("\n".join(lines) + "\n")
    (facts / "RECORD").write_text(f"{name}/__init__.py,,\n{name}/deleted.py,,\n")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project "made-up" with a core and an extra, and what these need."""
    install(
        *(tmp_path, "made_up", 1, "core>=1", 'engine; extra == "fast"'),
        'unused; extra == "other"',
        extras=("fast", "other"),
    )
    install(tmp_path, "core", 10)
    install(
        *(tmp_path, "engine", 100, "Shared_Part", "absent"),
        'old; python_version < "3"',
        'tools; extra == "dev"',
        "kit[more]",
    )
    install(tmp_path, "shared_part", 1000, "engine")
    install(tmp_path, "kit", 10_000, 'added; extra == "more"')
    for name in ("added", "unused", "old", "tools"):
        install(tmp_path, name, 100_000)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(installation, "PROJECT", "made_up")


@pytest.mark.usefixtures("installed")
def test_an_extra_needs_what_its_requirements_require() -> None:
    """In turn, once each; not the core, nor what another Python, or another extra, would need."""
    assert installation.packages("fast") == {
        "added": 100_000,
        "engine": 100,
        "kit": 10_000,
        "shared-part": 1000,
    }


@pytest.mark.usefixtures("installed")
def test_without_an_extra_it_is_the_core() -> None:
    assert installation.packages("") == {"core": 10}


def test_a_folder_that_is_not_installed_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "PROJECT", "no-such-project")
    assert installation.packages("") is None


def test_a_version_is_that_of_the_package() -> None:
    assert installation.version(registry.load("columnar")) == f"llvmlite {llvmlite.__version__}"
    assert installation.version(registry.load("reference")) == f"numpy {np.__version__}"


def test_what_is_not_installed_has_a_command_instead() -> None:
    assert not installation.version(AbsentBackend)
    assert "cnn-bench[torch]" in installation.install_command(AbsentBackend)
