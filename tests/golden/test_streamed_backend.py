"""A worker that is fed with streams, and its end."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from golden.conftest import faulty
from golden.small_network import RandomImages, small_network

from bench.golden import tap_selection
from bench.golden.streamed_backend import StreamedBackend
from bench.workers.process import WorkerError


def test_after_a_crash_another_worker_builds(tmp_path: Path) -> None:
    graph = small_network()
    before = graph.with_outputs(tap_selection.select(graph, ["pool"]))
    images = list(RandomImages().batches(4, 4))
    with closing(StreamedBackend(*faulty("Crashing"), tmp_path)) as backend:
        for _ in range(2):
            backend.build(graph)
            with pytest.raises(WorkerError, match="exit status 3") as crash:
                next(backend.infer(iter(images)))
            assert crash.value.fatal
            backend.build(before)
            (outputs,) = backend.infer(iter(images))
            assert outputs["pool"].shape == (4, 8, 4, 4)
    assert not list(tmp_path.glob("images-*"))
