"""The machine as recorded, against other sources; and its warnings, with a machine made up."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from bench.machine import cpus, environment
from bench.results.schema import MACHINE
from columnar_nn.errors import UsageError


def test_facts_agree_with_other_sources() -> None:
    facts = json.loads(json.dumps({"machine": environment.machine()}))
    facts["versions"] = environment.versions()
    assert facts["machine"]["cores"] * facts["machine"]["threads_per_core"] == os.cpu_count()
    assert facts["machine"]["usable_cpus"] == len(os.sched_getaffinity(0))
    assert facts["machine"]["memory_bytes"] == psutil.virtual_memory().total
    assert facts["versions"]["numpy"] == metadata.version("numpy")
    assert facts["versions"]["python"].endswith(platform.python_version())
    assert set(facts["machine"]) < set(MACHINE.by_name)


@pytest.mark.parametrize(
    ("text", "quota"), [("max 100000", None), ("150000 100000", 1.5), ("50000 100000", 0.5)]
)
def test_a_containers_quota_limits_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, quota: float | None
) -> None:
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(cpus, "CGROUP", tmp_path)
    assert cpus.quota() == quota
    monkeypatch.setattr(cpus, "available", lambda: (0, 1, 2, 3))
    monkeypatch.setattr(cpus, "physical", lambda usable: usable)
    assert len(cpus.choose(None)) == (4 if quota is None else 1)


def test_siblings_of_a_core_come_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        (tmp_path / str(cpu)).write_text(siblings + "\n")
    monkeypatch.setattr(cpus, "_TOPOLOGY", str(tmp_path / "{}"))
    monkeypatch.setattr(cpus, "available", lambda: (0, 1, 2, 3))
    monkeypatch.setattr(cpus, "quota", lambda: None)
    assert cpus.choose(None) == (0, 1)
    assert cpus.choose(3) == (0, 1, 2)
    assert "two threads share a physical core" in environment.warnings((0, 1, 2))


def test_a_quiet_machine_has_no_warning_and_a_busy_one_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpus, "quota", lambda: None)
    monkeypatch.setattr(environment, "_read", lambda path: None)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 9.0, 9.0))
    quiet = cpus.physical(cpus.available())[:1]
    assert environment.warnings(quiet) == []
    monkeypatch.setattr(os, "getloadavg", lambda: (3.2, 0.0, 0.0))
    monkeypatch.setattr(environment, "_read", lambda path: "powersave")
    monkeypatch.setattr(cpus, "quota", lambda: 0.5)
    busy = "; ".join(environment.warnings(quiet))
    assert "load average 3.2" in busy
    assert "governor is powersave" in busy
    assert "may use 0.5 CPU(s), 1 are asked for" in busy


def test_cpus_follow_the_affinity_and_refuse_more_threads() -> None:
    usable = cpus.available()
    assert set(cpus.choose(None)) <= set(usable)
    assert len(cpus.choose(len(usable))) == len(set(cpus.choose(len(usable)))) == len(usable)
    for threads in (0, len(usable) + 1):
        with pytest.raises(UsageError, match="--threads"):
            cpus.choose(threads)
