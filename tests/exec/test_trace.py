"""The timeline is a Chrome trace: well formed, nested, of one clock."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from exec.networks import images, residual_network

from columnar_nn.exec.executable import prepare
from columnar_nn.lowering.network import network
from columnar_nn.plan.builder import PlanBuilder

SLACK_MICROSECONDS = 1e-3


def events(path: Path, threads: int) -> list[dict[str, Any]]:
    plan = PlanBuilder().values([images(300)]).project({"y": network(residual_network())}).plan()
    task = prepare(plan, threads).run(trace=True)
    task.to_table()
    assert task.trace is not None
    task.trace.write(path)
    document = json.loads(path.read_text())
    return document["traceEvents"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("threads", [1, 2])
def test_events(threads: int, tmp_path: Path) -> None:
    start = time.perf_counter_ns() / 1000
    found = events(tmp_path / "trace.json", threads)
    end = time.perf_counter_ns() / 1000
    spans = [event for event in found if event["ph"] == "X"]
    names = [event for event in found if event["ph"] == "M"]
    assert len(spans) + len(names) == len(found)
    process, *named = names
    assert (process["name"], process["args"]) == ("process_name", {"name": "columnar_nn"})
    assert {event["name"] for event in named} == {"thread_name"}
    assert {event["tid"] for event in spans} == {event["tid"] for event in named}
    assert threading.get_native_id() in {event["tid"] for event in named}
    assert max(event["tid"] for event in named) < 2**31
    assert {event["pid"] for event in found} == {os.getpid()}
    for event in spans:
        assert start <= event["ts"] <= event["ts"] + event["dur"] <= end
        assert {"name", "cat", "pid", "tid", "args"} <= set(event)
    kernels = {event["name"] for event in spans if event["cat"] == "kernel"}
    assert kernels == {"pixels_to_float", "conv1+relu1", "conv2+norm+add+relu2", "pool", "dense"}
    projected = [e for e in spans if e["name"] == "FilterProject[1].get_output" and e["args"]]
    assert sum(event["args"]["rows"] for event in projected) == 300


def test_kernels_lie_inside_their_operators_and_do_not_overlap(tmp_path: Path) -> None:
    by_thread: dict[int, dict[str, list[tuple[float, float]]]] = defaultdict(
        lambda: {"kernel": [], "operator": []}
    )
    for event in events(tmp_path / "trace.json", 2):
        if event["ph"] == "X":
            span = (event["ts"], event["ts"] + event["dur"])
            by_thread[event["tid"]][event["cat"]].append(span)
    for spans in by_thread.values():
        for start, end in spans["kernel"]:
            assert any(
                first <= start + SLACK_MICROSECONDS and end <= last + SLACK_MICROSECONDS
                for first, last in spans["operator"]
            )
        for kind in ("kernel", "operator"):
            ordered = sorted(spans[kind])
            for (_, end), (start, _) in pairwise(ordered):
                assert end <= start + SLACK_MICROSECONDS


def test_without_a_trace_there_is_none() -> None:
    plan = PlanBuilder().values([images(1)]).plan()
    assert prepare(plan).run(profile=True).trace is None
