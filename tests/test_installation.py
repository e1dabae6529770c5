"""A regular installation, beside a project whose packages have the same names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

pytest.importorskip("setuptools")
pytest.importorskip("pip")

ROOT = Path(__file__).parents[1]
PACKAGES = ("adapters", "bench", "columnar_nn", "reference")
SOURCES = (*PACKAGES, "cnn_bench.py", "pyproject.toml", "README.md", "LICENSE")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
NOT_OTHERS = ("__editable__", "__pycache__", "cnn_bench")
TIMEOUT_S = 120


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of a copy: setuptools leaves files beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    sources.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, sources / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, sources / name)
    subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=sources, capture_output=True, check=True
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the programs of an environment with this one's packages and the wheel."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout[:-1])
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(folder).iterdir():
            if not entry.name.startswith(NOT_OTHERS):
                (packages / entry.name).symlink_to(entry)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", str(wheel)], check=True)
    return python.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One with packages of its own that are called as ours are, and a test of them."""
    for name in ("adapters", "bench", "reference", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"OWNER = {str(tmp_path)!r}\n")
    (tmp_path / "tests" / "test_own.py").write_text(
        "import adapters, bench, reference\n"
        "def test_own():\n"
        f"    assert {{adapters.OWNER, bench.OWNER, reference.OWNER}} == {{{str(tmp_path)!r}}}\n"
    )
    return tmp_path


def run(
    command: Path | str, *arguments: object, cwd: Path, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A program as the user calls it in a folder, PYTHONPATH being `path`."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(
        [str(command), *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    expected = {"cnn_bench.py"}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                expected.add(path.relative_to(ROOT).as_posix())
    with ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == expected


def test_pytest_runs_in_the_project(programs: Path, project: Path) -> None:
    done = run(programs / "python", "-m", "pytest", "-q", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_command_runs_in_the_project(programs: Path, project: Path) -> None:
    """Its worker processes, too, find our packages."""
    bundle = ROOT / "golden" / "plain9-photo10"
    options = ("--backend", "columnar", "--taps", "outputs")
    done = run(programs / "cnn-bench", "golden", "verify", bundle, *options, cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED: 1 of 1 tensors passed" in done.stdout


def test_the_module_runs_in_another_folder(programs: Path, tmp_path: Path) -> None:
    for done in (
        run(programs / "python", "-m", "cnn_bench", "--version", cwd=tmp_path),
        run(programs / "cnn-bench", "--version", cwd=tmp_path),
    ):
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("cnn-bench 0.")


def test_a_hidden_package_is_one_line(programs: Path, project: Path) -> None:
    for done in (
        run(programs / "python", "-m", "cnn_bench", "--version", cwd=project),
        run(programs / "cnn-bench", "--version", cwd=project.parent, path=project),
    ):
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"cnn-bench: error: {str(project / 'adapters')!r} hides the package")
        assert "take its folder off PYTHONPATH" in line


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("form", ["package", "module", "folder"])
def test_each_package_can_be_hidden(programs: Path, tmp_path: Path, name: str, form: str) -> None:
    """A folder without `__init__.py` hides none: Python looks on for a package."""
    hiding = tmp_path / name
    if form == "module":
        hiding = hiding.with_suffix(".py")
        hiding.write_text("")
    else:
        hiding.mkdir()
        if form == "package":
            (hiding / "__init__.py").write_text("")
    done = run(programs / "python", "-m", "cnn_bench", "--version", cwd=tmp_path)
    if form == "folder":
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 2
        assert done.stderr.startswith(f"cnn-bench: error: {str(hiding)!r} hides the package")
