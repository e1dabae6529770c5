"""SECURITY.md says the limits that the code has."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| .+ \| ([\d,]+) \| `([\w.]+)\.([A-Z_]+)` \|$", re.MULTILINE)


def test_limits_are_those_of_the_code() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = ROW.findall(page)
    assert len(rows) == page.split("## Limits")[1].split("\n## ")[0].count("| `")
    said = {f"{module}.{name}": int(value.replace(",", "")) for value, module, name in rows}
    actual = {f"{m}.{name}": getattr(import_module(m), name) for _, m, name in rows}
    assert said == actual


def test_fuzzed_targets_exist() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for target in re.findall(r"TARGET=(\w+)", page):
        assert (ROOT / "tests" / "fuzz" / f"{target}.py").is_file()


def test_the_readme_links_it() -> None:
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
