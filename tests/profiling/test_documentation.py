"""The Python in docs/profile.md runs as it stands, one block after the other."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "profile.md"


def test_examples() -> None:
    if find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, names)
    kernels = names["kernels"].to_pydict()
    assert kernels["label"][1] == "conv1+relu1"
    assert all(nanoseconds > 0 for nanoseconds in kernels["nanoseconds"])
    assert set(names["operators"]["output_rows"].to_pylist()) == {8}
    (batch,) = names["outputs"]
    assert batch.num_rows == names["logits"].num_rows == 8
    assert {"conv1", "dense"} <= {node for profile in names["profiles"] for node in profile.nodes}
