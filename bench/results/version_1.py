"""The files that `compare --json` wrote up to version 1, as rows of today's tables.

What version 1 did not keep is null, and `reasons` says so: the rounds of times and when they
were measured, every run's phases (their medians are one observation each), the model's weights,
the processor's numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from bench.results.schema import (
    CELL,
    CHECK,
    HASH_DIGITS,
    MACHINE,
    OBSERVATION,
    OFFLINE,
    PARITY,
    SESSION,
    START,
    SUBJECT,
    WORKLOAD,
)
from bench.results.summary import COLD_START
from columnar_nn.errors import InvalidDataError

VERSION = 1

_LOST = "version 1 did not keep it"
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def rows(document: Mapping[str, Any], content: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a document that `content` holds, with their tables' names.

    What they hold is as the file has it: it is checked like that of any other file. Raises
    InvalidDataError if it is no comparison, or one whose records are not where they must be.
    """
    session_id = hashlib.sha256(content).hexdigest()[:HASH_DIGITS]
    if "benchmarks" not in document:
        raise InvalidDataError(
            "this is a result of version 1, of which only those of compare can be read: measure "
            "again"
        )
    context = _object(document, "context")
    machine = _machine(session_id, _object(context, "machine"))
    yield MACHINE.name, machine
    yield SESSION.name, _session(session_id, machine["machine_id"], context, document)
    backends = {}
    for record in _objects(document, "backends"):
        subject = _subject(session_id, record, context)
        backends[_label(record)] = subject
        yield SUBJECT.name, subject
        yield from _backend(session_id, subject, record, context)
    for record in _objects(document, "benchmarks"):
        if _label(record) not in backends:
            raise InvalidDataError(f"a cell is of {_label(record)}, which is none of its backends")
        yield from _benchmark(session_id, backends[_label(record)], record, context)


def _session(
    session_id: str, machine_id: str, context: Mapping[str, Any], document: Mapping[str, Any]
) -> dict[str, Any]:
    settings = _object(context, "settings")
    parity = {"rows": 0, "failure": "", **_object(context, "parity")}
    lost = ("ended", "argv", "calibration_before_s", "calibration_after_s", "steal_share")
    return SESSION.row(
        session_id=session_id,
        command="compare",
        machine_id=machine_id,
        started=context.get("time"),
        complete=document.get("complete"),
        versions=context.get("versions"),
        commit=context.get("git_commit"),
        settings=settings,
        seed=settings.get("seed"),
        warnings=context.get("warnings"),
        import_check=context.get("import_check"),
        truth={name: value for name, value in parity.items() if name != "tolerances"},
        reasons=dict.fromkeys((*lost, "load_before", "load_after"), _LOST),
    )


def _machine(session_id: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    lost = ("vendor", "family", "model", "stepping", "cores", "threads_per_core", "hypervisor")
    caches = facts.get("caches")
    return MACHINE.row(
        session_id=session_id,
        features=facts.get("features"),
        caches={n: _bytes(size) for n, size in caches.items()}
        if isinstance(caches, dict)
        else None,
        architecture=facts.get("architecture"),
        brand=facts.get("cpu"),
        kernel=facts.get("system"),
        **{
            name: facts.get(name)
            for name in (
                *("memory_bytes", "memory_limit_bytes", "cpu_quota", "usable_cpus"),
                *("usable_cores", "governor", "turbo"),
            )
        },
        reasons=dict.fromkeys(lost, _LOST),
    )


def _subject(
    session_id: str, record: Mapping[str, Any], context: Mapping[str, Any]
) -> dict[str, Any]:
    settings = _object(context, "settings")
    found = ("description", "precision", "layout", "algorithm", "denormals", "versions", "notes")
    cpus = settings.get("cpus")
    threads = record.get("threads")
    return SUBJECT.row(
        session_id=session_id,
        backend=record.get("backend"),
        configuration=record.get("configuration"),
        processes=1,
        threads=threads,
        options={"algorithm": settings.get("algorithm")},
        cpus=cpus[:threads] if isinstance(cpus, list) and type(threads) is int else None,
        **{name: record.get(name) for name in found},
    )


def _workload(
    context: Mapping[str, Any], scenario: str, samples: Any, batch_size: Any
) -> dict[str, Any]:
    model, data = _object(context, "model"), _object(context, "data")
    return WORKLOAD.row(
        model_name=model.get("name"),
        parameters=model.get("parameters"),
        data_fingerprint=data.get("fingerprint"),
        samples=samples,
        batch_size=batch_size,
        scenario=scenario,
        data_name=data.get("name"),
        data_rows=data.get("rows"),
        reasons=dict.fromkeys(("model_sha256", "macs"), _LOST),
    )


def _cell(
    session_id: str,
    subject: Mapping[str, Any],
    workload: Mapping[str, Any],
    record: Mapping[str, Any],
    context: Mapping[str, Any],
) -> dict[str, Any]:
    names = (*(field.name for field in PARITY), "status", "reason", "predicted_s", "accuracy")
    return CELL.row(
        session_id=session_id,
        subject=subject["subject"],
        workload=workload["workload"],
        tolerance=_object(context, "parity").get("tolerances"),
        **{name: record.get(name) for name in names},
        log=record.get("log") or None,
    )


def _backend(
    session_id: str,
    subject: Mapping[str, Any],
    record: Mapping[str, Any],
    context: Mapping[str, Any],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The cells of its start, with what that cost, and of its check if there was one."""
    workload = _workload(context, START, 1, 1)
    cell = _cell(session_id, subject, workload, record, context)
    yield WORKLOAD.name, workload
    yield CELL.name, cell
    figures = [("cold_start", part, "s", f"{part}_s") for part in COLD_START]
    figures.append(("cold_start", "total", "s", "cold_start_s"))
    figures += [("rss", part, "byte", f"{part}_rss_bytes") for part in ("start", "peak")]
    for metric, part, unit, name in figures:
        if record.get(name) is not None:
            yield OBSERVATION.name, _observation(cell, metric, [part], [record[name]], unit)
    checked = record.get("checked")
    if isinstance(checked, dict) and checked:
        workload = _workload(context, CHECK, None, None)
        yield WORKLOAD.name, workload
        yield CELL.name, _cell(session_id, subject, workload, checked, context)


def _benchmark(
    session_id: str,
    subject: Mapping[str, Any],
    record: Mapping[str, Any],
    context: Mapping[str, Any],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A cell and its times: a row for each turn, if they were kept, else one."""
    workload = _workload(context, OFFLINE, record.get("samples"), record.get("batch_size"))
    cell = _cell(session_id, subject, workload, record, context)
    yield WORKLOAD.name, workload
    yield CELL.name, cell
    times = record.get("times")
    if not isinstance(times, list) or not times:
        return
    turns = _objects(record, "turns") if record.get("turns") else [{"runs": len(times)}]
    index = 0
    for turn in turns:
        runs = turn.get("runs")
        values = times[index : index + runs] if type(runs) is int and runs > 0 else []
        if not values:
            raise InvalidDataError("the turns of a cell do not have its times")
        block = _observation(cell, "time", [], values, "s")
        block |= {"index": index, "disturbance": turn.get("disturbance")}
        block["switches"] = turn.get("switches")
        yield OBSERVATION.name, block
        index += len(values)
    for phase, seconds in _object(record, "phases").items():
        block = _observation(cell, "phase", [phase], [seconds], "s")
        yield OBSERVATION.name, block | {"detail": {"statistic": "median of all runs"}}


def _observation(
    cell: Mapping[str, Any], metric: str, part: list[str], values: list[Any], unit: str
) -> dict[str, Any]:
    return OBSERVATION.row(
        session_id=cell["session_id"],
        cell=cell["cell"],
        metric=metric,
        part=part,
        index=0,
        value=values,
        unit=unit,
        reasons=dict.fromkeys(("round", "order", "start_s"), _LOST),
    )


def _bytes(size: Any) -> int | None:
    """Bytes of a size such as "48K"."""
    if isinstance(size, str) and size[:-1].isdecimal() and len(size) < 12 and size[-1] in _UNITS:
        return int(size[:-1]) * _UNITS[size[-1]]
    return None


def _label(record: Mapping[str, Any]) -> str:
    return f"{record.get('backend')}:{record.get('configuration')}"


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name, {})
    if not isinstance(value, dict):
        raise InvalidDataError(f"{name} is no JSON object")
    return value


def _objects(holder: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = holder.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InvalidDataError(f"{name} is no list of JSON objects")
    return value
