"""The names that users may rely on."""

import doctest
import rlcompleter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import columnar_nn
import columnar_nn.kernels


def test_the_public_names_are_pinned() -> None:
    assert columnar_nn.__all__ == [
        "ArrowSource",
        "CnnBenchError",
        "Executable",
        "Graph",
        "InvalidDataError",
        "InvalidModelError",
        "InvalidPlanError",
        "MissingPackageError",
        "Node",
        "OperatorStats",
        "PlanBuilder",
        "PlanNode",
        "PlanNodeStats",
        "StepStats",
        "Task",
        "TaskStats",
        "TensorSpec",
        "UnsupportedOperatorError",
        "UsageError",
        "argmax",
        "call",
        "clamp",
        "column",
        "fma",
        "from_numpy",
        "integrations",
        "load_network",
        "network",
        "network_outputs",
        "open_source",
        "prepare",
        "scalar_function",
        "softmax",
        "sql",
        "sql_plan",
        "to_numpy",
        "to_text",
        "vector_function",
        "where",
    ]


def test_every_public_name_exists() -> None:
    for name in columnar_nn.__all__:
        assert getattr(columnar_nn, name).__doc__, name


def test_the_example_of_the_package_works() -> None:
    result = doctest.testmod(columnar_nn)
    assert result.attempted > 0
    assert result.failed == 0


def test_no_public_name_is_hidden_by_a_module() -> None:
    package = Path(columnar_nn.__file__).parent
    modules = {path.stem for path in package.iterdir()}
    assert modules & set(columnar_nn.__all__) == {"integrations"}  # which is the module


PACKAGES = (
    columnar_nn,
    columnar_nn.kernels,
    columnar_nn.integrations,
    columnar_nn.integrations.batches,
    columnar_nn.integrations.duckdb,
    columnar_nn.integrations.spark,
)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_completion_shows_the_public_names_and_no_other(package: ModuleType) -> None:
    name = package.__name__.rpartition(".")[2]
    assert dir(package) == sorted(package.__all__)
    completer = rlcompleter.Completer({name: package})
    shown = {match.rstrip("()").rpartition(".")[2] for match in completer.attr_matches(f"{name}.")}
    assert shown == set(package.__all__)
    assert all(getattr(package, each) is not None for each in package.__all__)


def test_a_star_imports_them() -> None:
    names: dict[str, Any] = {}
    exec("from columnar_nn import *", names)
    assert set(columnar_nn.__all__) <= names.keys()


def test_a_name_that_is_none() -> None:
    with pytest.raises(AttributeError, match="'columnar_nn' has no public name 'load_networks'"):
        columnar_nn.load_networks  # noqa: B018
