"""Random queries give the rows that DuckDB gives; `make fuzz TARGET=sql_rows` tries others."""

from __future__ import annotations

from pathlib import Path

import pytest
from queries.against_duckdb import difference, given, in_files
from queries.random_query import query

import columnar_nn

SEEDS_A_TEST = 25


@pytest.mark.parametrize("first", range(0, 400, SEEDS_A_TEST))
def test_random_queries(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        tables = in_files(given(seed), tmp_path) if seed % 3 == 0 else given(seed)
        assert not difference(seed, tables)


def test_most_random_queries_give_rows() -> None:
    seeds = range(100)
    numbers = [columnar_nn.sql(query(seed).whole, **given(seed)).num_rows for seed in seeds]
    assert sum(number > 0 for number in numbers) > 50
