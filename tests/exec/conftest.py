"""The ways to run a plan."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from columnar_nn.exec import task_threads


@pytest.fixture
def drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short streams too are given to drivers on several threads."""
    monkeypatch.setattr(task_threads, "SHORT_STREAM_ROWS", 0)


@pytest.fixture(scope="module", params=["one thread", "two drivers", "two threads of one driver"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """How many threads to prepare a plan for, and what a task makes of them."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "two drivers":
            patch.setattr(task_threads, "SHORT_STREAM_ROWS", 0)
        yield 1 if request.param == "one thread" else 2
