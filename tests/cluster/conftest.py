"""Images, sessions and clusters that the tests here share; all of them are of the suite `cluster`.

Spark runs in processes of its own, one for each master: a process can have one session.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from bench.cluster import session
from bench.cluster.data import write_images
from bench.data.dataset import open_dataset
from columnar_nn.integrations.batches import infer

HERE = Path(__file__).parent
NUM = 2_000
FILES = 4


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("cluster")
            if item.path.stem != "test_sail" and session.java_version() < session.JAVA:
                item.add_marker(pytest.mark.skip(reason=f"no Java {session.JAVA} is found"))


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `images` of FILES files with NUM images in all, and `labels.parquet`."""
    folder = tmp_path_factory.mktemp("images")
    write_images(open_dataset("photo10"), NUM, FILES, folder)
    return folder


@pytest.fixture(scope="session")
def expected(images: Path) -> pa.Table:
    """What the engine makes of them, outside of Spark: id, predicted, logits, sorted by id."""
    batches = parquet.read_table(images / "images").to_batches()
    outputs = ["predicted", "logits"]
    return pa.Table.from_batches(list(infer(batches, outputs=outputs, bad="fail"))).sort_by("id")


@pytest.fixture(autouse=True, scope="session")
def _small_machines() -> None:
    """JVMs that start fast and keep little for themselves."""
    os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def logits(table: pa.Table) -> np.ndarray:
    return np.array(table["logits"].combine_chunks().flatten()).reshape(-1, 10)
