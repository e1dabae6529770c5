"""docs/functions.md: its code runs, in order, and computes what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exec import declared

import columnar_nn as cnn

PAGE = Path(__file__).parents[2] / "docs" / "functions.md"


@pytest.fixture(autouse=True)
def own_tables() -> Iterator[None]:
    with declared.own_tables():
        yield


def test_the_code_of_the_page() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "functions.py", "exec"), names)
    result = names["result"]
    unit, shrunk = (cnn.to_numpy(result[name].combine_chunks()) for name in ("unit", "shrunk"))
    root = np.sqrt(1.0625)
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0.25 / root, -1 / root]], rtol=1e-6)
    np.testing.assert_array_equal(shrunk, [[3, 4], [0, -1]])
    assert names["buckets"].to_pydict() == {"bucket": [0, None, 3], "ratio": [0.5, None, None]}
    x = np.linspace(-9, 9, 64, dtype=np.float32)
    python = np.array([names["lisht"](float(value)) for value in x])
    table = cnn.PlanBuilder().table_scan(names["pa"].table({"x": cnn.from_numpy(x[:, None])}))
    lisht = cnn.prepare(table.project(["lisht(x) AS y"]).plan()).run().to_table()["y"]
    np.testing.assert_allclose(
        cnn.to_numpy(lisht.combine_chunks())[:, 0], python, rtol=1e-5, atol=1e-6
    )
