"""What was observed as rows of results, and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.doctor.observation import ENGINE, IMAGES, Observation
from bench.doctor.resolution import resolution
from bench.results.recording import Recorder
from bench.results.results import Results
from bench.results.schema import WATCH, Row
from bench.results.summary import disturbance_of
from bench.verdict.status import PASSED
from bench.workers.options import Options
from columnar_nn.errors import InvalidDataError

_SIDES = ("A", "B")


def record(seen: Observation, recorder: Recorder, options: Options) -> None:
    """A cell with every pair of runs, and in its detail what they can show, as ratios less one."""
    found = resolution(seen.pairs)
    cell = recorder.cell(
        recorder.subject(ENGINE, options),
        WATCH,
        IMAGES,
        options.batch_size,
        status=PASSED,
        detail={
            "load": list(seen.load),
            "available_bytes": seen.available_bytes,
            "cores": seen.cores,
            "can_show": found and {"change": found.change, **asdict(found)},
        },
    )
    for number, pair in enumerate(seen.pairs):
        told = seen.disturbances[number] if seen.disturbances else None
        for side, seconds in zip(_SIDES, pair, strict=True):
            place: dict[str, Any] = {"index": number, "order": number}
            place["disturbance"] = told and asdict(told)
            recorder.observe(cell, "time", [seconds], [side], **place)
    for metric, values in (("loop", seen.loops), ("frequency", seen.frequencies)):
        if values:
            recorder.observe(cell, metric, values)


def observation(results: Results) -> Observation:
    """What a session recorded; raises InvalidDataError if it is none of `record`'s."""
    values: dict[tuple[str, ...], list[float]] = defaultdict(list)
    disturbances = []
    for block in results["observation"]:
        key = (block["metric"], *block["part"])
        values[key] += [value for value in block["value"] if value is not None]
        if key == ("time", _SIDES[0]) and (told := disturbance_of(block["disturbance"])):
            disturbances.append(told)
    try:
        (cell,), (session,) = results["cell"], results["session"]
        return Observation(
            **_detail(cell),
            loops=values["loop",],
            pairs=list(zip(*(values["time", side] for side in _SIDES), strict=True)),
            disturbances=disturbances,
            frequencies=values["frequency",],
            complete=session["complete"],
        )
    except (ValueError, TypeError, KeyError):
        raise InvalidDataError("this session cannot be shown as one of doctor") from None


def _detail(cell: Row) -> Mapping[str, Any]:
    detail = cell["detail"]
    one, five, fifteen = map(float, detail["load"])
    return {
        "load": (one, five, fifteen),
        "available_bytes": int(detail["available_bytes"]),
        "cores": int(detail["cores"]),
    }
