"""Graphics processors and ARM: what is skipped and why, what sees a device, what is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from adapters import registry
from bench.results import document
from bench.verdict.status import SKIPPED
from bench.workers.process import environment
from bench.workers.selection import select, select_one

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
GPUS = ("pytorch:cuda", "onnxruntime:cuda")


def cnn_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cnn_bench", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()


def test_a_gpu_is_used_only_where_it_is_named() -> None:
    assert not any(selection.gpu for selection in select(()))
    assert not any(selection.gpu for selection in select(("pytorch", "onnxruntime")))
    assert [selection.gpu for selection in select(GPUS)] == [True, True]
    assert select_one("pytorch:cuda").gpu
    for name in registry.BACKENDS:
        for configuration in registry.load(name).configurations.values():
            assert not configuration.gpu or configuration.role == "variant"


def test_only_its_process_sees_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert environment(1, tmp_path)["CUDA_VISIBLE_DEVICES"] == ""
    assert environment(1, tmp_path, gpu=True)["CUDA_VISIBLE_DEVICES"] == "1"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert environment(1, tmp_path)["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in environment(1, tmp_path, gpu=True)


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_without_a_gpu_it_is_skipped_with_the_reason(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    file = tmp_path / "result.json"
    options = [part for name in GPUS for part in ("--backend", name)]
    done = cnn_bench("compare", *options, "--samples", "1", "--label", "desk", "--json", str(file))
    assert done.returncode == 0, done.stderr
    results = document.read(file)
    subjects = {row["subject"]: row["backend"] for row in results["subject"]}
    reasons: dict[str, Any] = {}
    for cell in results["cell"]:
        assert cell["status"] == SKIPPED
        reasons[subjects[cell["subject"]]] = cell["reason"]
    assert "then pip install onnxruntime-gpu" in reasons["onnxruntime"]
    assert f"torch {metadata.version('torch')}" in reasons["pytorch"]
    assert "for CUDA in its place" in reasons["pytorch"] or "finds no GPU" in reasons["pytorch"]
    for name in GPUS:
        assert f"{name}: SKIPPED" in done.stdout
    assert not [row for row in results["observation"] if row["metric"] == "time"]
    assert [row["label"] for row in results["machine"]] == ["desk"]


def test_a_label_goes_into_every_measuring_command(tmp_path: Path) -> None:
    golden = ["golden", "verify", str(ROOT / "golden" / "plain9-photo10"), "--taps", "logits"]
    for arguments in (
        [*golden, "--backend", "reference"],
        ["profile", "--backend", "columnar:pipeline/auto", "--samples", "1", "--rounds", "1"],
    ):
        file = tmp_path / f"{arguments[0]}.json"
        done = cnn_bench(*arguments, "--label", "a desk", "--json", str(file))
        assert done.returncode == 0, done.stderr
        machines = json.loads(file.read_text())["machine"]
        assert {row["label"] for row in machines} == {"a desk"}


EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
NOT_FOR_ARM_LINUX = {"tensorflow-cpu", "pyvelox"}
"""What has no wheel there, as the package index said when the marker was written."""


def installed(extra: str, system: str, machine: str) -> set[str]:
    """Names of what an extra installs there."""
    found = set()
    for requirement in map(Requirement, EXTRAS[extra]):
        marker = requirement.marker
        if marker and not marker.evaluate({"sys_platform": system, "platform_machine": machine}):
            continue
        if requirement.name == "cnn-bench":
            found.update(*(installed(part, system, machine) for part in requirement.extras))
        else:
            found.add(requirement.name)
    return found


def test_what_has_no_wheel_for_arm_is_not_asked_for_there() -> None:
    arm, x86 = installed("all", "linux", "aarch64"), installed("all", "linux", "x86_64")
    assert not arm & NOT_FOR_ARM_LINUX
    assert x86 >= NOT_FOR_ARM_LINUX
    assert arm - x86 == {"tensorflow"}
    assert x86 - arm == NOT_FOR_ARM_LINUX | {"pyarrow"}
    assert installed("all", "darwin", "arm64") == x86


def test_gpu_packages_are_in_no_extra() -> None:
    for extra in EXTRAS:
        assert not {name for name in installed(extra, "linux", "x86_64") if "gpu" in name}
