"""Files of some images, with classes that the reference gives, for every test of queries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from query_study.plain import reference_classes

from bench.data.dataset import open_dataset
from bench.query_study import data

IMAGES = 80


@pytest.fixture(scope="session")
def classes() -> Mapping[str, np.ndarray]:
    return {name: reference_classes(name, IMAGES) for name in ("plain9", "resnet20")}


@pytest.fixture(scope="session")
def tables(
    classes: Mapping[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """For two threads: two row groups."""
    return data.write(
        open_dataset("photo10"), IMAGES, 2, classes, tmp_path_factory.mktemp("tables")
    )
