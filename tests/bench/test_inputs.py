"""Files shared by workers."""

from __future__ import annotations

from pathlib import Path

import fake_backends
import pytest

from bench.data.dataset import open_dataset
from bench.workers import inputs
from columnar_nn.errors import UsageError


def test_more_images_than_the_disk_holds_are_refused_at_once(tmp_path: Path) -> None:
    graph, dataset = fake_backends.tiny_graph(), open_dataset("photo10")
    with pytest.raises(UsageError, match=r"1,000,000,000,000 images take 3,081,000\.0 GB"):
        inputs.prepare(tmp_path, graph, dataset, 10**12, 1)
    assert list(tmp_path.iterdir()) == []
