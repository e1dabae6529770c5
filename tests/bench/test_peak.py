"""What a machine can do at most, from a clock that is no one's but the test's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.machine import peak

_ONE_S = 2e-9
"""Of a repetition."""


@pytest.mark.parametrize("preempted", [0, 1, 2, 7])
def test_a_run_that_lost_its_cpu_is_no_turn(
    preempted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call costs 1 us besides, and the one of this number 4 ms: as long as several turns."""
    now, calls = 0.0, 0

    def work(_: int, repeats: int) -> None:
        nonlocal now, calls
        now += repeats * _ONE_S + 1e-6 + (4e-3 if calls == preempted else 0.0)
        calls += 1

    monkeypatch.setattr(peak, "time", SimpleNamespace(perf_counter=lambda: now))
    rate = peak._rate(work, 1)
    assert rate == pytest.approx(1e-9 / _ONE_S, rel=0.01)
