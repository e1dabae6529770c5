"""The names that users may rely on."""

import doctest
from pathlib import Path

import columnar_nn


def test_the_public_names_are_pinned() -> None:
    assert columnar_nn.__all__ == [
        "ArrowSource",
        "CnnBenchError",
        "Executable",
        "Graph",
        "InvalidDataError",
        "InvalidModelError",
        "InvalidPlanError",
        "Node",
        "OperatorStats",
        "PlanBuilder",
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
    assert not modules & set(columnar_nn.__all__)
