"""docs/functions.md: its code runs, in order, and computes what it says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from documentation.code import run_page
from exec import declared

import columnar_nn as cnn


@pytest.fixture(autouse=True)
def own_tables() -> Iterator[None]:
    with declared.own_tables():
        yield


def test_the_code_of_the_page() -> None:
    names = run_page("docs/functions.md")
    result = names["result"]
    unit, shrunk = (cnn.to_numpy(result[name]) for name in ("unit", "shrunk"))
    root = np.sqrt(1.0625)
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0.25 / root, -1 / root]], rtol=1e-6)
    np.testing.assert_array_equal(shrunk, [[3, 4], [0, -1]])
    assert names["buckets"].to_pydict() == {"bucket": [0, None, 3], "ratio": [0.5, None, None]}
    x = np.linspace(-9, 9, 64, dtype=np.float32)
    python = np.array([names["lisht"](float(value)) for value in x])
    table = cnn.PlanBuilder().table_scan(names["pa"].table({"x": cnn.from_numpy(x[:, None])}))
    lisht = cnn.prepare(table.project(["lisht(x) AS y"]).plan()).run().to_table()["y"]
    np.testing.assert_allclose(cnn.to_numpy(lisht)[:, 0], python, rtol=1e-5, atol=1e-6)
