"""Some damaged or forged inputs of each kind: `make fuzzers` checks 2,000 in CI, others nightly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.mutations import varint

ROOT = Path(__file__).parents[2]
CASES = 200


@pytest.mark.parametrize(
    "target",
    [
        "cifar10_data",
        "image_data",
        "onnx_files",
        "golden_bundles",
        "kernel_cache",
        "arrow_files",
        "results_files",
        "sql_texts",
    ],
)
def test_hostile_input_is_a_result_or_one_line(target: str, tmp_path: Path) -> None:
    """In a process of its own, whose children are forked from a single thread."""
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", target, "0", "9", "--cases", str(CASES)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.stdout == f"{CASES} seeds from 0 on: 0 wrong\n"
    assert done.returncode == 0


def test_varints_are_those_of_protobuf() -> None:
    assert varint(0) == b"\0"
    assert varint(300) == b"\xac\x02"
    assert varint(-1) == b"\xff" * 9 + b"\x01"
