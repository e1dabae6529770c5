"""The worker's commands, in this process: profiles that add up, streams that lose no row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from bench.engine import session as session_module
from bench.engine.session import EngineSession
from bench.engine.setup import Setup
from columnar_nn.errors import InvalidDataError


@pytest.fixture
def session(setup: Setup) -> EngineSession:
    made = EngineSession(started=0.0)
    made.import_framework("columnar")
    made.build(str(setup.data.graph), "pipeline/direct", 1, 32, "auto")
    return made


def test_a_profile_has_each_kernel_in_each_run(setup: Setup, session: EngineSession) -> None:
    reply = session.profile(str(setup.data.images), samples=40, batch_size=16, min_seconds=0.0)
    runs = len(reply["plain"])
    assert runs == len(reply["profiled"]) == session_module.MIN_PROFILES
    assert np.shape(reply["nanoseconds"]) == (runs, len(reply["steps"]))
    assert all(step["rows"] == 40 for step in reply["steps"])
    convolutions = [s for s in reply["steps"] if s["kernel"].startswith("conv2d_direct")]
    # 15 x 15 pixels, 27 taps; then 13 x 13 pixels, 144 taps; 16 filters, bias and ReLU each.
    expected = [225 * 16 * (2 * 27 + 2), 169 * 16 * (2 * 144 + 2)]
    assert [step["operations"] for step in convolutions] == expected
    for seconds, nanoseconds in zip(reply["profiled"], reply["nanoseconds"], strict=True):
        assert 0 < sum(nanoseconds) / 1e9 < seconds


def test_overhead_clocks_kernels_inside_the_same_run(setup: Setup, session: EngineSession) -> None:
    reply = session.overhead(str(setup.data.images), samples=40, batch_size=16, min_seconds=0.0)
    runs = session_module.MIN_PROFILES
    assert len(reply["plain"]) == len(reply["clocked"]) == len(reply["kernels"]) == runs
    assert all(0 < k < c for k, c in zip(reply["kernels"], reply["clocked"], strict=True))


@pytest.mark.parametrize(("samples", "batch_size"), [(1, 128), (100, 7), (128, 128)])
def test_a_stream_reads_the_rows_that_are_asked_for(
    setup: Setup, samples: int, batch_size: int
) -> None:
    batches = list(session_module._read(str(setup.data.images), samples, batch_size))
    assert max(batch.num_rows for batch in batches) <= batch_size
    ids = pa.Table.from_batches(batches).column("id").to_pylist()
    assert ids == list(range(samples))


def test_a_stream_that_is_too_short_is_an_error(setup: Setup, session: EngineSession) -> None:
    assert session.stream(str(setup.data.images), 128, 32)["peak_rss_bytes"] > 0
    with pytest.raises(InvalidDataError, match="128 rows came out of 129 images"):
        session.stream(str(setup.data.images), 129, 32)
