"""500 random networks, always the same: `make fuzz` goes on with others."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import graphs

BLOCK = 50


@pytest.mark.parametrize("first_seed", range(0, 500, BLOCK))
def test_what_is_made_of_a_file_is_what_the_file_gives(first_seed: int, tmp_path: Path) -> None:
    found = {seed: graphs.check(seed, tmp_path) for seed in range(first_seed, first_seed + BLOCK)}
    assert {seed: wrong for seed, wrong in found.items() if wrong} == {}
