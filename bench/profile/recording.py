"""What profiling gave, as rows of results."""

from __future__ import annotations

from dataclasses import asdict

from bench.compare.experiment import Experiment
from bench.profile.result import BackendProfile, ProfileResult
from bench.results.recording import Recorder
from bench.results.results import Results
from bench.results.schema import PROFILE, Row
from bench.results.session import Session, Workloads

_FOUND = ("precision", "layout", "algorithm", "denormals", "versions", "notes")


def results(
    session: Session, workloads: Workloads, experiment: Experiment, found: ProfileResult
) -> Results:
    """The session of a profile, with every run's operators."""
    recorder = Recorder(session, workloads)
    options = experiment.options
    for selection, profile in zip(experiment.selections, found.backends, strict=True):
        facts = {name: profile.description.get(name) for name in _FOUND}
        subject = recorder.subject(selection, options, **facts)
        cell = recorder.cell(
            *(subject, PROFILE, found.samples, options.batch_size),
            status=profile.status,
            reason=profile.reason,
            detail={
                "source": profile.source,
                "unavailable": profile.unavailable,
                "counters_unavailable": profile.counters_unavailable,
            },
        )
        _observe(recorder, cell, profile)
    return recorder.results(complete=True)


def _observe(recorder: Recorder, cell: Row, profile: BackendProfile) -> None:
    for index, (plain, taken) in enumerate(zip(profile.plain, profile.disturbances, strict=True)):
        disturbance = taken and asdict(taken)
        recorder.observe(cell, "time", [plain], index=index, disturbance=disturbance)
    if profile.profiled:
        recorder.observe(cell, "profiled_time", [run.seconds for run in profile.profiled])
    for index, run in enumerate(profile.profiled):
        for number, operator in enumerate(run.operators):
            detail = {"operator": operator.operator, "calls": operator.calls}
            part = [str(number), *operator.nodes]
            seconds = [operator.seconds]
            recorder.observe(cell, "operator", seconds, part, index=index, detail=detail)
    for name, count in profile.counts.items():
        recorder.observe(cell, "event", [count], [name])
