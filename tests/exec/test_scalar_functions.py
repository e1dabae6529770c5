"""Scalar functions of one's own, held against Python itself, row by row, and against DuckDB's."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from exec import declared

import columnar_nn as cnn
from adapters import declared_functions
from columnar_nn.errors import InvalidDataError, InvalidPlanError

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(1)
LEAST, GREATEST = -(2**63), 2**63 - 1


@pytest.fixture(autouse=True)
def own_tables() -> Iterator[None]:
    with declared.own_tables():
        yield


def made_from(text: str, **names: Any) -> Any:
    space = {"math": math, **names}
    exec(text, space)
    return space["f"]


def column(values: np.ndarray, data_type: Any) -> Any:
    """With a null in every third row, and as a slice that begins within a byte."""
    array = pa.array(values, data_type, mask=RNG.random(len(values)) < 1 / 3)
    return array.slice(5)


ROWS = 1000
INTEGERS = column(RNG.integers(-50, 50, ROWS), pa.int64())
FLOATS = column(RNG.normal(size=ROWS) * 9, pa.float64())
TRUTHS = column(RNG.random(ROWS) < 0.5, pa.bool_())
TABLE = pa.table({"n": INTEGERS, "x": FLOATS, "b": TRUTHS})


def project(text: str, table: Any = TABLE, threads: int = 1) -> list[Any]:
    plan = cnn.PlanBuilder().table_scan(table).project([f"{text} AS y"]).plan()
    result = cnn.prepare(plan, threads=threads).run().to_table()["y"]
    result.validate(full=True)
    return list(result.to_pylist())


def by_python(function: Callable[..., Any], names: str, called: str = "") -> list[Any]:
    """Row by row; null where an argument is that is not one of `called`."""
    results = []
    for row in TABLE.select(list(names)).to_pylist():
        unknown = any(value is None for name, value in row.items() if name not in called)
        results.append(None if unknown else function(*row.values()))
    return results


FUNCTIONS: dict[str, tuple[str, str, str]] = {
    "floor_division": ("n: int) -> int", "n // 7 - -n // 3", "n"),
    "remainder": ("n: int) -> int", "n % 7 + -n % -5 + n % -3", "n"),
    "true_division": ("n: int, x: float) -> float", "n / 4 + x / 2", "nx"),
    "bits": ("n: int) -> int", "(n << 3) + (n >> 2) + (n >> 70) + (n & 6 ^ 3 | ~n)", "n"),
    "powers": ("n: int) -> float", "n**2 + 2.0**n", "n"),
    "of_math": ("x: float) -> float", "math.sqrt(abs(x)) + math.log1p(math.exp(x))", "x"),
    "rounded": ("x: float) -> int", "int(x) + round_down(x)", "x"),
    "branches": ("x: float) -> float", "x if x > 0 else -1", "x"),
    "least": ("n: int, x: float) -> float", "min(n, 3) + max(x, 0.5)", "nx"),
    "floats": ("x: float) -> float", "x // 0.7 + x % 0.7", "x"),
    "compares": ("b: bool, n: int) -> bool", "b and -10 < n <= 20 or n == 30", "bn"),
    "negation": ("b: bool) -> bool", "not b", "b"),
    "counts": ("b: bool) -> int", "b + 2 * b", "b"),
    "narrow": ("n: int) -> float", "n", "n"),
    "constant": (") -> int", "7", ""),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_is_what_python_computes(name: str, threads: int) -> None:
    signature, body, columns = FUNCTIONS[name]
    round_down = made_from("def f(x):\n    return int(math.floor(x))")
    f = made_from(f"def f({signature}:\n    return {body}", round_down=round_down)
    cnn.scalar_function(name)(f)
    found = project(f"{name}({', '.join(columns)})", threads=threads)
    expected = by_python(f, columns)
    if name == "constant":
        expected = [7] * TABLE.num_rows
    assert [value is None for value in found] == [value is None for value in expected]
    known = [value for value in found if value is not None]
    truth = [value for value in expected if value is not None]
    assert len({type(value) for value in known}) == 1
    np.testing.assert_allclose(known, truth, rtol=1e-14)


@pytest.mark.parametrize("data_type", [pa.int8(), pa.uint16(), pa.int32()])
def test_narrower_arguments_are_converted(data_type: Any) -> None:
    cnn.scalar_function("twice")(made_from("def f(n: int) -> int:\n    return n * 2"))
    cnn.scalar_function("half")(made_from("def f(x: float) -> float:\n    return x / 2"))
    table = pa.table({"n": pa.array([1, None, 100], data_type)})
    assert project("twice(n)", table) == [2, None, 200]
    assert project("half(n)", table) == [0.5, None, 50.0]


def test_a_parameter_that_may_be_none_is_called_for_nulls() -> None:
    """And a result that may be None is null there."""
    text = "def f(n: int | None, x: float) -> float | None:\n"
    f = made_from(f"{text}    if n is None:\n        return x\n    return None if n > 9 else n * x")
    cnn.scalar_function("mixed")(f)
    found = project("mixed(n, x)")
    assert found == by_python(f, "nx", called="n")
    assert sum(value is None for value in found) > sum(v is None for v in FLOATS.to_pylist())


def test_nulls_as_duckdb_has_them() -> None:
    """Its functions in Python have the two conventions: null in, null out, and "special"."""
    texts = {
        "strict": "def f(n: int) -> int:\n    return n + 1",
        "special": "def f(n: int | None) -> int | None:\n    return 0 if n is None else n + 1",
    }
    connection = duckdb.connect()
    connection.register("t", TABLE)
    for name, text in texts.items():
        f = made_from(text)
        cnn.scalar_function(name)(f)
        handling = "special" if name == "special" else "default"
        connection.create_function(name, f, ["BIGINT"], "BIGINT", null_handling=handling)
        rows = connection.execute(f"SELECT {name}(n) FROM t").fetchall()
        assert project(f"{name}(n)") == [row[0] for row in rows]


def test_null_and_constant_arguments() -> None:
    f = made_from("def f(n: int | None, m: int) -> int:\n    return m if n is None else n + m")
    cnn.scalar_function("f")(f)
    table = pa.table({"n": pa.array([1, None, 3])})
    assert project("f(n, 10)", table) == [11, 10, 13]
    assert project("f(null, 10)", table) == [10] * 3
    assert project("f(n, null)", table) == [None] * 3
    assert project("f(n, n)", table.slice(0, 0)) == []


def test_in_filters_and_aggregates_and_by_call() -> None:
    cnn.scalar_function("even")(made_from("def f(n: int) -> bool:\n    return n % 2 == 0"))
    cnn.scalar_function("square")(made_from("def f(n: int) -> int:\n    return n * n"))
    scan = cnn.PlanBuilder().table_scan(TABLE).filter("even(n)")
    plan = scan.aggregate([], ["sum(square(n)) AS total", "count(n) AS rows"]).plan()
    (found,) = cnn.prepare(plan).run().to_table().to_pylist()
    known = [n for n in INTEGERS.to_pylist() if n is not None and n % 2 == 0]
    assert found == {"total": sum(n * n for n in known), "rows": len(known)}
    called = cnn.call("square", cnn.call("square", "n"))
    plan = cnn.PlanBuilder().table_scan(TABLE).project({"y": called}).plan()
    assert 'square(square(ROW["n"]))' in cnn.to_text(plan)
    found = cnn.prepare(plan).run().to_table()["y"].to_pylist()
    assert found == [None if n is None else n**4 for n in INTEGERS.to_pylist()]


def test_over_what_a_network_gives() -> None:
    """Kernels of tensors and functions of numbers in one expression."""
    cnn.scalar_function("next_class")(made_from("def f(n: int) -> int:\n    return (n + 1) % 10"))
    logits = RNG.normal(size=(20, 10)).astype(np.float32)
    table = pa.table({"logits": cnn.from_numpy(logits)})
    assert project("next_class(argmax(logits))", table) == ((logits.argmax(1) + 1) % 10).tolist()


@pytest.mark.parametrize(
    ("body", "n", "message"),
    [
        ("n + 1", GREATEST, "an integer exceeds 64 bits"),
        ("n - 1", LEAST, "an integer exceeds 64 bits"),
        ("n * 2", GREATEST // 2 + 1, "an integer exceeds 64 bits"),
        ("-n", LEAST, "an integer exceeds 64 bits"),
        ("abs(n)", LEAST, "an integer exceeds 64 bits"),
        ("n // -1", LEAST, "an integer exceeds 64 bits"),
        ("int(n * 2.0)", GREATEST, "an integer exceeds 64 bits"),
        ("int(math.nan * n)", 1, "an integer exceeds 64 bits"),
        ("n << 40", 2**30, "an integer exceeds 64 bits"),
        ("1 << n", 64, "an integer exceeds 64 bits"),
        ("1 >> n", -1, "an integer exceeds 64 bits"),
        ("5 // n", 0, "an integer is divided by zero"),
        ("5 % n", 0, "an integer is divided by zero"),
        ("(1, 2)[n]", 2, "an index lies outside of its tuple"),
    ],
)
def test_what_fails_is_an_error(body: str, n: int, message: str) -> None:
    cnn.scalar_function("failing")(made_from(f"def f(n: int) -> int:\n    return {body}"))
    with pytest.raises(
        InvalidDataError, match=f"failing: .*{message}; filter such rows out"
    ) as error:
        project("failing(n)", pa.table({"n": [1, n, None]}))
    assert "\n" not in str(error.value)
    assert project("failing(n)", pa.table({"n": pa.array([None], pa.int64())})) == [None]


@pytest.mark.parametrize(
    ("body", "n", "value"),
    [
        ("n + 1", GREATEST - 1, GREATEST),
        ("-n", GREATEST, -GREATEST),
        ("n * 2", 2**62 - 1, 2**63 - 2),
    ],
)
def test_the_largest_that_do_not_fail(body: str, n: int, value: int) -> None:
    cnn.scalar_function("fits")(made_from(f"def f(n: int) -> int:\n    return {body}"))
    assert project("fits(n)", pa.table({"n": [n]})) == [value]


def test_none_as_a_number_is_an_error() -> None:
    cnn.scalar_function("careless")(made_from("def f(n: int | None) -> int:\n    return n + 1"))
    table = pa.table({"n": pa.array([1, None])})
    with pytest.raises(InvalidDataError, match="careless: None is used as a number"):
        project("careless(n)", table)
    assert project("careless(n)", table.slice(0, 1)) == [2]


def test_floats_follow_ieee_754() -> None:
    bodies = {
        "divided": "x / 0.0",
        "remainder": "x % 0.0",
        "logarithm": "math.log(x)",
        "large": "math.exp(x * 1000)",
        "unordered": "1.0 if x < 1 or x >= 1 else -1.0",
    }
    table = pa.table({"x": [-2.0, 0.0, 3.0, math.nan, math.inf]})
    with np.errstate(all="ignore"):
        x = table["x"].to_numpy()
        expected = {
            "divided": x / 0.0,
            "remainder": np.full(5, np.nan),
            "logarithm": np.log(x),
            "large": np.exp(x * 1000),
            "unordered": [1, 1, 1, -1, 1],
        }
    for name, body in bodies.items():
        cnn.scalar_function(name)(made_from(f"def f(x: float) -> float:\n    return {body}"))
        np.testing.assert_allclose(project(f"{name}(x)", table), expected[name], rtol=1e-14)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(n: int) -> int:\n    print(n)", r":2\): print\(\) is not supported"),
        ("def f(n: int) -> int:\n    raise ValueError", "raise or assert is not supported"),
        ("def f(n: int) -> int:\n    return sum([n, n])", "is not supported"),
        ("def f(n: int) -> int:\n    return [n][0]", "a list is not supported"),
        ("def f(n: int) -> int:\n    return n.bit_length()", r"\.bit_length is not supported"),
        ("def f(n: int) -> bool:\n    return n == 'a'", "text is not supported: numbers only"),
        ("def f(n: str) -> int:\n    return 1", "parameter n is annotated with str: use bool"),
        ("def f(n) -> int:\n    return 1", "parameter n is annotated with nothing"),
        ("def f(n: int):\n    return 1", "its result is annotated with nothing"),
        (
            "def f(n: int | float) -> int:\n    return 1",
            "parameter n is annotated with int",
        ),
        ("def f(n: int = 1) -> int:\n    return 1", "parameter n has a default, or is"),
        ("def f(*n: int) -> int:\n    return 1", "parameter n has a default, or is"),
        ("def f(n: Missing) -> int:\n    return 1", "'Missing' is not defined: use bool, int"),
    ],
)
def test_what_cannot_be_declared(text: str, message: str) -> None:
    future = "from __future__ import annotations\n" if "Missing" in text else ""
    f = made_from(future + text)
    with pytest.raises(cnn.UsageError, match=message) as error:
        cnn.scalar_function("refused")(f)
    assert "\n" not in str(error.value)
    with pytest.raises(InvalidPlanError, match="no function refused"):
        project("refused(n)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(n: int) -> int:\n    return n / 2", "returning a float as an int is not supported"),
        ("(n: int) -> bool:\n    return n", "returning an int as a bool is not supported"),
        ("(n: int) -> int:\n    return None if n else 1", "returning None is not supported"),
        ("(n: int) -> float:\n    return math.gamma(n)", "gamma, which the C library does not"),
        ("(n: int) -> int:\n    return n[0]", "is not supported: use"),
    ],
)
def test_what_does_not_compile_is_refused_when_prepared(text: str, message: str) -> None:
    cnn.scalar_function("refused")(made_from(f"def f{text}"))
    plan = cnn.PlanBuilder().table_scan(TABLE).project(["refused(n) AS y"]).plan()
    with pytest.raises(cnn.UsageError, match=message) as error:
        cnn.prepare(plan)
    assert "\n" not in str(error.value)


def test_names_and_arguments_that_do_not_fit() -> None:
    f = made_from("def f(n: int) -> int:\n    return n")
    for name in ("plus", "relu", "Mine"):
        with pytest.raises(cnn.UsageError, match=r"choose another name|use lower case"):
            cnn.scalar_function(name)(f)
    for decorator in (cnn.scalar_function, cnn.vector_function):
        with pytest.raises(cnn.UsageError, match=f'@{decorator.__name__}."name".'):
            decorator(f)
    cnn.scalar_function("mine")(f)
    with pytest.raises(cnn.UsageError, match="mine is declared as a vector and a scalar"):
        cnn.vector_function("mine")(made_from("def f(x):\n    return x"))
    with pytest.raises(InvalidPlanError, match=r"not supported: mine\(DOUBLE\); cast"):
        project("mine(x)")
    with pytest.raises(InvalidPlanError, match=r"takes 1 argument\(s\), not 2"):
        project("mine(n, n)")


def test_declared_again_it_is_replaced() -> None:
    for k in (2, 3):
        cnn.scalar_function("times")(made_from("def f(n: int) -> int:\n    return n * k", k=k))
        assert project("times(n)", pa.table({"n": [5]})) == [5 * k]


PROGRAM = """
import sys
import pyarrow as pa
import columnar_nn as cnn
@cnn.scalar_function("doubled")
def doubled(n: int) -> int:
    return n * 2
plan = cnn.PlanBuilder().table_scan(pa.table({"n": [1, None]})).project(["doubled(n) AS y"]).plan()
print(cnn.prepare(plan).run().to_table()["y"].to_pylist(), "numba" in sys.modules)
"""


def test_a_later_process_takes_it_from_the_cache(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    given = {"CNN_BENCH_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    outputs = [
        subprocess.run(
            [sys.executable, str(path)],
            cwd=ROOT,
            env={**os.environ, **given},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for _ in range(2)
    ]
    assert outputs == ["[2, None] True\n", "[2, None] False\n"]


def test_errors_stay_with_their_rows() -> None:
    """As those of built-in functions: what guards a row, and `try`, forgets them."""
    cnn.scalar_function("share")(made_from("def f(n: int) -> int:\n    return 60 // n"))
    cnn.scalar_function("known")(made_from("def f(n: int | None) -> bool:\n    return n is None"))
    table = pa.table({"n": pa.array([0, 4, None, 0, 5])})
    assert project("if(n = 0, 0, share(n))", table) == [0, 15, None, 0, 12]
    assert project("try(share(n))", table) == [None, 15, None, None, 12]
    assert project("try(share(share(n)))", table) == [None, 4, None, None, 5]
    assert project("try(known(share(n)))", table) == [None, False, True, None, False]
    assert project("try(share(0))", table) == [None] * 5
    filtered = cnn.PlanBuilder().table_scan(table).filter("n <> 0 AND share(n) > 12").plan()
    assert cnn.prepare(filtered).run().to_table()["n"].to_pylist() == [4]
    with pytest.raises(InvalidDataError, match="share: an integer is divided by zero"):
        project("share(n)", table)


def test_a_file_of_functions_declares_them() -> None:
    """What --functions runs, in the command and in its workers."""
    declared_functions.load([str(Path(__file__).with_name("own_functions.py"))])
    assert project("next_class(n)", pa.table({"n": [3, 9, None]})) == [4, 0, None]
