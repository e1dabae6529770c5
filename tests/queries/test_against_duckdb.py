"""Random queries give the rows that DuckDB gives; `make fuzz TARGET=sql_rows` tries others."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kernels.guarded_memory import guarded_table
from queries.against_duckdb import difference, given, in_files
from queries.random_query import query

import columnar_nn

SEEDS_A_TEST = 25


@pytest.mark.parametrize("first", range(0, 400, SEEDS_A_TEST))
def test_random_queries(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        tables: Mapping[str, Any] = given(seed)
        if seed % 3 == 0:
            tables = in_files(given(seed), tmp_path)
        elif seed % 3 == 1 and sys.platform != "win32":
            tables = {name: guarded_table(t, seed % 2 == 0) for name, t in tables.items()}
        assert not difference(seed, tables)


def test_most_random_queries_give_rows() -> None:
    seeds = range(100)
    numbers = [columnar_nn.sql(query(seed).whole, **given(seed)).num_rows for seed in seeds]
    assert sum(number > 0 for number in numbers) > 50
