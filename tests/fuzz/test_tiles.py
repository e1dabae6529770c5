"""25 random layers in bfloat16, always the same: `make fuzz TARGET=tiles` goes on with others."""

from __future__ import annotations

from pathlib import Path

from fuzz import tiles


def test_amx_emulated_tiles_and_numpy_agree(tmp_path: Path) -> None:
    found = {seed: tiles.check(seed, tmp_path) for seed in range(25)}
    assert {seed: wrong for seed, wrong in found.items() if wrong} == {}
