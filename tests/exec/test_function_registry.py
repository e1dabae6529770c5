"""functions/registry.py: a function is found in its module, which is loaded when it is met."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from columnar_nn import functions
from columnar_nn.functions.registry import MODULES, VECTOR_FUNCTIONS, VectorFunctions
from columnar_nn.functions.vector_function import VectorFunction


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_the_functions_of_its_line(module: str) -> None:
    found = import_module(f"columnar_nn.functions.{module}").FUNCTIONS
    assert [function.name for function in found] == [*MODULES[module]]
    assert [VECTOR_FUNCTIONS[function.name] for function in found] == [*found]


def test_every_module_of_functions_has_a_line() -> None:
    folder = Path(functions.__path__[0])
    declare = {file.stem for file in folder.glob("*.py") if "\nFUNCTIONS" in file.read_text()}
    assert declare - {"scalar", "images", "like"} == MODULES.keys()


def test_functions_of_users_come_last_and_go() -> None:
    table = VectorFunctions()
    built_in = [*table]
    assert built_in == [name for names in MODULES.values() for name in names]
    table["mine"] = table["relu"]
    assert [*table] == [*built_in, "mine"]
    assert len(table) == len(built_in) + 1
    assert isinstance(table["mine"], VectorFunction)
    assert "mine" in table
    del table["mine"]
    assert "mine" not in table
    assert [*table] == built_in


def test_no_other_name_is_a_function() -> None:
    assert "no_such" not in VECTOR_FUNCTIONS
    assert VECTOR_FUNCTIONS.get("no_such") is None
    with pytest.raises(KeyError):
        VECTOR_FUNCTIONS["no_such"]
