"""`cnn-bench doctor`: what it sees, what it says of it, and that it leaves everything as it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import fake_backends
import pytest
from random_images import RandomImages

from bench.cli import commands
from bench.doctor import findings
from bench.doctor import observation as observing
from bench.doctor.observation import Observation
from bench.doctor.recording import observation, record
from bench.doctor.resolution import Resolution
from bench.machine import environment
from bench.machine.disturbance import Disturbance
from bench.results import document
from bench.results.recording import Recorder
from bench.results.results import Results
from bench.results.session import Session, Workloads
from bench.text.progress import silent
from bench.workers.options import Options
from columnar_nn.errors import InvalidDataError

QUIET: dict[str, Any] = {
    "load": (0.0, 0.0, 0.0),
    "available_bytes": 2**40,
    "loops": [1e-3] * 20,
    "frequencies": [3e9] * 4,
}


def seen(taken: float = 0.0, steal: float = 0.0, **known: Any) -> Observation:
    """Ten seconds, of which others took so many, and the hypervisor."""
    disturbance = Disturbance(10.0, steal, taken, (taken,), 30)
    return Observation(**{**QUIET, "disturbances": [disturbance], **known})


def machine(**known: Any) -> dict[str, Any]:
    return {**environment.machine(), "governor": None, "turbo": None, "cpu_quota": None, **known}


CPUS = (min(os.sched_getaffinity(0)),)


def test_a_quiet_machine_needs_no_advice() -> None:
    assert not [*findings.advice(machine(), CPUS, seen())]


@pytest.mark.parametrize(
    ("facts", "observed", "words"),
    [
        ({}, {"load": (3.0, 0.0, 0.0)}, "others use this machine"),
        ({}, {"steal": 0.5}, "the hypervisor gives the CPUs to others"),
        ({}, {"taken": 5.0}, "mark its cells as disturbed"),
        ({"governor": "powersave"}, {}, "-g performance keeps the clock up; -g powersave undoes"),
        ({"turbo": "on"}, {}, "turbo is on"),
        ({"cpu_quota": 0.5}, {}, "the container may use 0.5 CPUs: --threads 1"),
        ({}, {"frequencies": [2e9, 3e9]}, "the clock varies"),
        ({"memory_bytes": 2**34}, {"available_bytes": 2**30}, "memory is nearly full"),
        ({}, {"cores": 0}, "threads share a core: --threads 0"),
    ],
)
def test_what_would_help(facts: dict[str, Any], observed: dict[str, Any], words: str) -> None:
    (line,) = findings.advice(machine(**facts), CPUS, seen(**observed))
    assert words in line


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_an_observation_that_is_ended_early_is_not_complete(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(observing, "HeldWorker", MagicMock())
    monkeypatch.setattr(observing, "_run", lambda *_: 0.0)
    monkeypatch.setattr(observing, "_observe_pair", end)
    found = observing.observe(seconds, Options(CPUS, 9.0, 4), tmp_path, silent)
    assert found.complete == (seconds == 0.0)


def test_facts_that_nobody_tells_are_not_made_up() -> None:
    told = dict(findings.facts(machine(), CPUS, Observation()))
    for name in ("governor", "turbo", "frequency", "stolen", "taken by others", "switches"):
        assert told[name] == findings.UNTOLD
    told = dict(findings.facts(machine(governor="schedutil"), CPUS, seen(taken=5.0, steal=2.0)))
    assert told["governor"] == "schedutil"
    assert told["frequency"] == "3,000 MHz"
    assert told["stolen"] == "20.0% of the time"
    assert told["switches"] == "a thread had to leave its CPU 3.0 times a second"
    assert told["fixed loop"].startswith("1.00 ms at best, half of the runs within 0%")


def test_the_verdict_is_the_larger_of_both_ways_to_compare() -> None:
    found = Resolution(interleaved=0.04, apart=0.35, sessions=0.2, ratio=1.01)
    first, *others = findings.verdict(found, seen())
    assert first == "As it is now, this machine can show changes above 35%."
    assert "up to 4% within one comparison" in " ".join(others)
    assert "4 sessions against 4 in cnn-bench diff can show 20%" in " ".join(others)


def test_it_measures_changes_nothing_and_keeps_every_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
    file = tmp_path / "doctor.json"
    options = ("--seconds", "1.5", "--threads", "1", "--label", "desk", "--json", str(file))
    assert commands.run(["doctor", *options]) == 0
    assert (os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)) == before
    shown = capsys.readouterr().out
    assert "fixed loop" in shown
    assert "What it can show" in shown
    assert commands.run(["show", str(file)]) == 0
    assert capsys.readouterr().out == shown
    results = document.read(file)
    times = {"A": 0, "B": 0}
    for block in results["observation"]:
        if block["metric"] == "time":
            times[block["part"][0]] += len(block["value"])
    assert times["A"] == times["B"] > 0
    assert results["machine"][0]["label"] == "desk"


def written(observed: Observation) -> Results:
    graph, images = fake_backends.tiny_graph(), RandomImages()
    session = Session("doctor", {"cpus": [0]}, ())
    recorder = Recorder(session, Workloads(graph, images))  # type: ignore[arg-type]
    record(observed, recorder, Options((0,), 9.0, 4))
    return document.loads(document.to_json(recorder.results(observed.complete)))


def test_what_is_kept_is_what_was_seen() -> None:
    known = {"pairs": [(0.5, 0.25)], "load": (1.0, 2.0, 3.0), "cores": 3}
    for complete in (True, False):
        observed = seen(taken=2.0, complete=complete, **known)
        assert observation(written(observed)) == observed
    assert observation(written(Observation())).pairs == []


@pytest.mark.parametrize("detail", [None, {}, {"load": [1]}, {"load": "abc"}, 7])
def test_what_is_no_session_of_doctor_is_said_in_a_line(detail: Any) -> None:
    results = written(seen(pairs=[(0.5, 0.25)]))
    broken = Results.of(
        (name, {**row, "detail": detail} if name == "cell" else row) for name, row in results
    )
    with pytest.raises(InvalidDataError, match="cannot be shown as one of doctor"):
        observation(broken)
