"""Python of the project's pages and of its notebook, run as a reader runs it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run_page(page: str) -> dict[str, Any]:
    """The names that the Python of a page makes, its blocks one after the other."""
    text = (ROOT / page).read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, page, "exec"), names)
    return names


def cells(notebook: str) -> Iterator[str]:
    """The code of a notebook in jupytext's percent format, cell by cell."""
    text = (ROOT / notebook).read_text(encoding="utf-8")
    found = re.findall(r"^# %%([^\n]*)\n(.*?)(?=^# %%|\Z)", text, re.MULTILINE | re.DOTALL)
    for kind, code in found:
        if "[markdown]" not in kind:
            yield code


def run_cell(code: str, names: dict[str, Any]) -> Any:
    """Runs a cell; what its last line is, where that is an expression, as a notebook shows it."""
    tree = ast.parse(code)
    shown = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if shown is None:
        return None
    assert isinstance(shown, ast.Expr)
    return eval(compile(ast.Expression(shown.value), "cell", "eval"), names)
