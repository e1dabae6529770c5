"""A small network, a few images and short measurements, as every part takes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine.small_network import small_graph

from bench.compare.experiment import Limits
from bench.data.dataset import open_dataset
from bench.engine.setup import BATCH_SIZE, Setup
from bench.machine import cpus
from bench.workers.options import Options


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing counts as disturbed, so that every ratio is printed however busy the machine is."""
    monkeypatch.setattr("bench.compare.contender.Snapshot.take", lambda pids, cpus: None)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """Up to two threads; nothing is timed for longer than it must."""
    return Setup(
        graph=small_graph(),
        dataset=open_dataset("synthetic", 100),
        options=Options(cpus.available()[:2], 120.0, BATCH_SIZE),
        limits=Limits(runs=2, min_time=0.0, budget=20.0),
        seed=1,
        folder=tmp_path,
        progress=lambda done, total, doing: None,
    )
