"""The Python in docs/verdict.md runs as it stands, and the page has every status."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bench.verdict import status

PAGE = (Path(__file__).parents[2] / "docs" / "verdict.md").read_text(encoding="utf-8")


def test_examples() -> None:
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(block, names)
    # How many times depends on the last bits of a BLAS.
    reason = re.fullmatch(r"(column \d) is off by [\d,]+ (.*)", names["verdict"].reason)
    assert reason is not None
    column, rest = reason.groups()
    assert re.search(rf"# {column} is off by [\d,]+ {re.escape(rest)}$", PAGE, re.MULTILINE)


def test_every_status_is_explained_with_its_exit_code() -> None:
    statuses = {value for name, value in vars(status).items() if name.isupper()}
    statuses = {value for value in statuses if isinstance(value, str)}
    codes = dict(re.findall(r"^\| ([A-Z ]+) \| .* \| ([01]) \|$", PAGE, re.MULTILINE))
    assert statuses <= set(codes)
    for name in statuses:
        assert codes[name] == str(int(name in status.UNSUCCESSFUL))
