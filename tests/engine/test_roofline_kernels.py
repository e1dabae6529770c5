"""The kernels that measure the machine compute what they say; what they measure is possible."""

from __future__ import annotations

import math

import numpy as np
import pytest
from closeness import assert_close

from bench.machine import environment
from bench.machine import peak as machine_peak
from columnar_nn.errors import UsageError
from columnar_nn.kernels import roofline
from columnar_nn.kernels.layout import aligned


def floats(count: int, seed: int) -> np.ndarray:
    array = aligned(4 * count).view(np.float32)
    array[:] = np.random.default_rng(seed).standard_normal(count)
    return array


@pytest.mark.parametrize("repeats", [0, 1, 7, 1000])
def test_multiply_adds_is_the_recurrence(repeats: int) -> None:
    values = floats(roofline.lanes(), 1)
    expected = values.astype(np.float64)
    for _ in range(repeats):
        expected = 0.75 * expected + 0.5
    roofline.multiply_adds(repeats, 0.75, 0.5, values)
    assert_close(values, expected.astype(np.float32), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("repeats", [1, 2])
def test_read_sums_every_float(steps: int, repeats: int) -> None:
    source = floats(steps * roofline.step_floats(), 2)
    target = floats(roofline.step_floats(), 3)
    roofline.stream("read", repeats, source, target)
    expected = repeats * source.reshape(steps, -1).astype(np.float64).sum(axis=0)
    assert_close(target, expected.astype(np.float32), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 3])
def test_copy_copies_and_stays_inside(steps: int) -> None:
    count = steps * roofline.step_floats()
    source, memory = floats(count, 4), floats(count + 64, 5)
    before = memory.copy()
    roofline.stream("copy", 1, source, memory[:count])
    np.testing.assert_array_equal(memory[:count], source)
    np.testing.assert_array_equal(memory[count:], before[count:])


def test_triad_is_that_of_stream() -> None:
    count = 3 * roofline.step_floats()
    source, target = floats(2 * count, 6), floats(count, 7)
    roofline.stream("triad", 1, source, target)
    first, second = source[:count].astype(np.float64), source[count:].astype(np.float64)
    assert_close(target, (first + 3 * second).astype(np.float32), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "source", "target"),
    [("read", 1, 2), ("copy", 2, 1), ("triad", 1, 1), ("triad", 2, 2), ("copy", 0.5, 0.5)],
)
def test_sizes_that_do_not_fit_are_refused(name: str, source: float, target: float) -> None:
    step = roofline.step_floats()
    with pytest.raises(UsageError, match="sizes do not fit"):
        roofline.stream(name, 1, floats(int(source * step), 1), floats(int(target * step), 1))


@pytest.mark.parametrize("threads", [1, 2])
def test_peaks_are_possible(threads: int) -> None:
    """No core does a thousand multiply-adds a cycle, nor fewer than one in a hundred cycles."""
    assert 0.05 < machine_peak.gflops(threads) / threads < 10_000
    for kernel in roofline.STREAMS:
        assert 0.01 < machine_peak.gigabytes_per_second(kernel, 16 * 2**10, threads) < 100_000


def test_the_roofline_is_the_longer_of_both_times() -> None:
    peak = machine_peak.MachinePeak(100.0, {"memory": machine_peak.Level(math.inf, 10.0)})
    assert [peak.least_nanos(500, n // 2, n // 2) for n in (10, 50, 100)] == [5.0, 5.0, 10.0]


@pytest.mark.parametrize(
    ("read", "written", "nanoseconds"),
    [
        (40, 20, 0.6),  # all in the first cache
        (120, 60, 1.8),  # 20 beyond it take less time than all to it
        (150, 150, 4.0),  # 50 and 50 beyond it
        (1000, 20, 900 / 25),
        (3000, 20, 2000 / 5),  # memory
        (3000, 1500, 2500 / 5),
    ],
)
def test_what_a_cache_cannot_hold_crosses_to_the_next(
    read: int, written: int, nanoseconds: float
) -> None:
    levels = {
        "L1": machine_peak.Level(100, 100.0),
        "L2": machine_peak.Level(1000, 25.0),
        "memory": machine_peak.Level(math.inf, 5.0),
    }
    peak = machine_peak.MachinePeak(1e6, levels)
    assert peak.least_nanos(10, read, written) == pytest.approx(nanoseconds)


@pytest.mark.parametrize("caches", [{}, {1: 2**15, 2: 2**20, 3: 2**25}])
def test_every_level_is_measured(caches: dict[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no cache is known nothing is held against memory: it might lie in any cache."""
    monkeypatch.setattr(environment, "cache_bytes", lambda: caches)
    monkeypatch.setattr(machine_peak, "MEMORY_BYTES", 2**21)
    levels = machine_peak.measure().levels
    assert list(levels) == (["L1", "L2", "L3", "memory"] if caches else ["L1"])
    assert [level.num_bytes for level in levels.values()] == [*caches.values(), math.inf]
    assert all(0.01 < level.gigabytes_per_second < 100_000 for level in levels.values())
