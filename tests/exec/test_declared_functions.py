"""Functions of one's own: in plans, in expressions' text, in ONNX files; keys, refusals, bounds."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from exec import declared

import columnar_nn as cnn
from adapters import declared_functions
from adapters.base import Settings
from adapters.registry import load
from columnar_nn.errors import InvalidDataError, InvalidModelError, UnsupportedOperatorError
from columnar_nn.functions.registry import VECTOR_FUNCTIONS
from columnar_nn.kernels import PythonFunction
from columnar_nn.model import onnx_io
from reference.evaluate import evaluate

ROOT = Path(__file__).parents[2]
SLOPE = 0.5


@pytest.fixture(autouse=True)
def own_tables() -> Iterator[None]:
    with declared.own_tables():
        yield


def rows(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def project(projection: Any, x: np.ndarray, threads: int = 1, fusion: str = "pipeline") -> Any:
    table = pa.table({"x": cnn.from_numpy(x)})
    plan = cnn.PlanBuilder().table_scan(table).project({"y": projection}).plan()
    result = cnn.prepare(plan, threads=threads, fusion=fusion).run().to_table()
    return cnn.to_numpy(result["y"].combine_chunks())


def close(actual: np.ndarray, expected: np.ndarray, *, rtol: float, atol: float) -> None:
    assert_close(actual, expected.astype(np.float32), rtol=rtol, atol=atol)


def float64_lisht(x: np.ndarray) -> np.ndarray:
    wide = x.astype(np.float64)
    result: np.ndarray = wide * np.tanh(wide)
    return result


@pytest.mark.parametrize("shape", [(3, 1003), (2, 17, 5, 3)])
def test_a_function_of_an_element(shape: tuple[int, ...]) -> None:
    cnn.vector_function("lisht")(declared.lisht)
    x = rows(*shape)
    close(project("lisht(x)", x), float64_lisht(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("given", "lambd"), [({}, 0.5), ({"lambd": 0.75}, 0.75)])
def test_a_function_that_branches_with_an_attribute(given: dict[str, Any], lambd: float) -> None:
    cnn.vector_function("hard_shrink", lambd=0.5)(declared.hard_shrink)
    x = rows(4, 37)
    expected = np.where(np.abs(x) > lambd, x, 0)
    np.testing.assert_array_equal(project(cnn.call("hard_shrink", "x", **given), x), expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_functions_of_a_row(threads: int) -> None:
    cnn.vector_function("l2_normalize", shape=lambda shape: shape)(declared.l2_normalize)
    declare = cnn.vector_function("sums", shape=lambda shape: shape[:1], power=2, factor=0.5)
    declare(declared.channel_sums)
    x = rows(9, 50)
    expected = x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    close(project("l2_normalize(x)", x, threads), expected, rtol=1e-6, atol=1e-7)
    images = rows(3, 18, 4, 5)
    expected = 0.25 * (images.astype(np.float64) ** 3).sum((2, 3))
    given = cnn.call("sums", "x", power=3, factor=0.25)
    close(project(given, images, threads), expected, rtol=1e-5, atol=1e-6)


def declare_operators() -> None:
    declared_functions.load([str(Path(__file__).parent / "own_functions.py")])


@pytest.mark.parametrize("fusion", ["pipeline", "none"])
def test_operators_of_a_file(tmp_path: Path, fusion: str) -> None:
    path = declared.custom_file(tmp_path, lambd=0.25)
    with pytest.raises(UnsupportedOperatorError, match=r"operator of another domain, my\.ops"):
        cnn.load_network(str(path))
    declare_operators()
    graph = cnn.load_network(str(path))
    images = rows(5, 3, 8, 8)
    result = project(cnn.network(graph, "x"), images, fusion=fusion)
    expected = evaluate(graph.nodes, graph.weights, {"image": images}, ["y"])["y"]
    close(result, expected, rtol=1e-4, atol=1e-4)
    windows = np.lib.stride_tricks.sliding_window_view(images.astype(np.float64), (3, 3), (2, 3))
    c = np.einsum("ncyxij,fcij->nfyx", windows, graph.weights["w"].astype(np.float64))
    by_numpy = 0.5 * (np.where(np.abs(c) > 0.25, c, 0) ** 2).sum((2, 3))
    close(expected, by_numpy, rtol=1e-5, atol=1e-5)


def test_a_graph_with_them_is_written_and_read(tmp_path: Path) -> None:
    declare_operators()
    graph = cnn.load_network(str(declared.custom_file(tmp_path)))
    assert [node.op_type for node in graph.nodes] == ["Conv", "my.ops::HardShrink", "my.ops::Sums"]
    assert graph.nodes[1].attributes == {"lambd": 0.5}
    onnx_io.save(graph, tmp_path / "again.onnx")
    assert onnx_io.load(tmp_path / "again.onnx").nodes == graph.nodes


def test_an_attribute_that_the_function_lacks(tmp_path: Path) -> None:
    declare_operators()
    with pytest.raises(InvalidModelError, match=r"node shrink .*no attribute 'bias'"):
        cnn.load_network(str(declared.custom_file(tmp_path, bias=1.0)))


@pytest.mark.parametrize("backend", ["pytorch", "onnxruntime", "openvino", "tensorflow", "velox"])
def test_other_backends_say_that_they_have_none(tmp_path: Path, backend: str) -> None:
    declare_operators()
    graph = cnn.load_network(str(declared.custom_file(tmp_path)))
    made = load(backend)
    settings = Settings(next(iter(made.configurations)), 1, 1)
    with pytest.raises(UnsupportedOperatorError, match=r"shrink \(my\.ops::HardShrink\)") as found:
        made(graph, settings)
    assert [node for node, *_ in found.value.nodes] == ["shrink", "sums"]


PROGRAM = """
import sys
import numpy as np
import pyarrow as pa
import columnar_nn as cnn
sys.path.insert(0, "tests")
from exec import declared
cnn.vector_function("hard_shrink", lambd=0.5)(declared.hard_shrink)
table = pa.table({"x": cnn.from_numpy(np.array([[0.25, 1.0]], np.float32))})
plan = cnn.PlanBuilder().table_scan(table).project(["hard_shrink(x) AS y"]).plan()
print(cnn.to_numpy(cnn.prepare(plan).run().to_table()["y"].combine_chunks()).tolist())
print("numba" in sys.modules)
"""


def test_a_later_process_takes_it_from_the_cache(tmp_path: Path) -> None:
    given = {"CNN_BENCH_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            env={**os.environ, **given},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout.split("\n")[:2]
        for _ in range(2)
    ]
    assert outputs == [["[[0.0, 1.0]]", "True"], ["[[0.0, 1.0]]", "False"]]


def made_from(text: str, **names: Any) -> Any:
    space = {"math": math, **names}
    exec(text, space)
    return space["f"]


def keys(*functions: Callable[..., Any]) -> set[str]:
    return {PythonFunction("f", function).key for function in functions}


def test_the_key_is_what_the_function_is() -> None:
    text = "def f(x):\n    return x * slope"
    assert len(keys(made_from(text, slope=0.5), made_from("\n\n" + text, slope=0.5))) == 1
    others = [
        made_from(text, slope=0.25),
        made_from("def f(x):\n    return x + slope", slope=0.5),
        made_from("def f(x):\n    return x * math.pi"),
        made_from("def f(x):\n    return x * math.e"),
        made_from("def f(x):\n    return x * 2.0"),
        made_from("def f(x):\n    return x * 3.0"),
    ]
    assert len(keys(made_from(text, slope=0.5), *others)) == 7
    inner = [made_from(f"def f(x):\n    return x * {n}.0") for n in (1, 2)]
    assert len(keys(*(made_from("def f(x):\n    return g(x)", g=g) for g in inner))) == 2


def test_a_function_that_calls_another_and_captures_values() -> None:
    half = made_from("def f(x):\n    return x * slope", slope=SLOPE)
    f = made_from(
        "def f(x):\n    return half(x) + offsets[1] if x > 0 else -1", half=half, offsets=(1.0, 2.0)
    )
    cnn.vector_function("halves")(f)
    x = rows(2, 20)
    expected = np.where(x > 0, x * 0.5 + 2, -1)
    close(project("halves(x)", x), expected, rtol=1e-6, atol=0)


def test_declared_again_it_is_replaced() -> None:
    x = rows(2, 20)
    for factor in (2.0, 3.0):
        cnn.vector_function("times")(made_from("def f(x):\n    return x * k", k=factor))
        close(project("times(x)", x), x * factor, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("print(x)", r":3\): print\(\) is not supported"),
        ("raise ValueError", r"raise or assert is not supported: give NaN"),
        ("return [x]", "a list is not supported: write loops"),
        ("return max([x for _ in range(3)])", "(comprehension|list) is not supported"),
        ("return np.zeros(3)", r"the module numpy is not supported: write loops"),
        ("return x.max()", r"\.max is not supported: of a row there are \.shape"),
        ("return unknown(x)", "the unknown name unknown is not supported"),
        ("return table[0] * x", r"table, a ndarray, is not supported: use numbers, tuples"),
        ("return f'{x}'", "text is not supported"),
        ("import os", "import is not supported"),
    ],
)
def test_what_no_kernel_can_hold_is_refused_when_declared(body: str, message: str) -> None:
    f = made_from(f"\ndef f(x):\n    {body}", np=np, table=np.zeros(2))
    with pytest.raises(cnn.UsageError, match=message) as error:
        cnn.vector_function("refused")(f)
    assert "\n" not in str(error.value)
    assert "refused" not in VECTOR_FUNCTIONS


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return math.gamma(x)", "gamma, which the C library does not have, is not supported"),
        ("return math.fmod(x, 2.0)", "fmod of such arguments is not supported"),
    ],
)
def test_what_numba_cannot_compile_is_refused_when_prepared(body: str, message: str) -> None:
    cnn.vector_function("refused")(made_from(f"def f(x):\n    {body}"))
    with pytest.raises(cnn.UsageError, match=message) as error:
        project("refused(x)", rows(1, 2))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "onnx_name", "text", "message"),
    [
        ("Lisht", None, "def f(x): return x", "use lower case letters"),
        ("relu", None, "def f(x): return x", "is built in: choose another name"),
        ("own", "Lisht", "def f(x): return x", "write domain::Type"),
        ("own", None, "def f(x, a): return x", r"takes \(x, a\): make it \(x\)"),
        ("own", None, "def f(x=1): return x", r"takes \(x\): make it \(x\)"),
    ],
)
def test_declarations_that_do_not_fit(
    name: str, onnx_name: str | None, text: str, message: str
) -> None:
    with pytest.raises(cnn.UsageError, match=message):
        cnn.vector_function(name, onnx=onnx_name)(made_from(text))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("first", "count"), [(-1, 3), (0, 11), (2**40, 1), (-(2**62), 1)])
def test_an_index_outside_of_the_row_is_an_error(first: int, count: int, threads: int) -> None:
    declare = cnn.vector_function("beyond", shape=lambda shape: shape, first=0, count=10)
    declare(declared.beyond)
    x = rows(4, 10)
    outside = cnn.call("beyond", "x", first=first, count=count)
    with pytest.raises(InvalidDataError, match="function beyond: an index lies outside of its row"):
        project(outside, x, threads)
    np.testing.assert_array_equal(
        project(cnn.call("beyond", "x", first=2, count=8), x)[:, 2:], x[:, 2:]
    )


def test_an_index_outside_of_a_tuple_is_an_error() -> None:
    cnn.vector_function("chosen")(made_from("def f(x):\n    return (1.0, 2.0)[int(x)]"))
    x = np.array([[0, 1, 1, 0]], np.float32)
    np.testing.assert_array_equal(project("chosen(x)", x), x + 1)
    with pytest.raises(InvalidDataError, match="function chosen: an index lies outside"):
        project("chosen(x)", x + 1)


def test_what_is_not_written_is_zero() -> None:
    declare = cnn.vector_function("beyond", shape=lambda shape: shape, first=0, count=10)
    declare(declared.beyond)
    assert not project(cnn.call("beyond", "x", count=0), rows(4, 10)).any()


def test_a_row_is_read_only() -> None:
    f = made_from("def f(x, out):\n    x[0] = 1.0")
    cnn.vector_function("writes", shape=lambda shape: shape)(f)
    with pytest.raises(cnn.UsageError, match="setitem of such arguments is not supported"):
        project("writes(x)", rows(1, 2))


@pytest.mark.parametrize(
    ("body", "message"),
    [("int(x) * 2**62", "an integer exceeds 64 bits"), ("5 // int(x)", "an integer is divided by")],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_an_integer_without_a_value_is_an_error(body: str, message: str, threads: int) -> None:
    cnn.vector_function("whole")(made_from(f"def f(x):\n    return {body}"))
    x = np.array([[1, -1], [1, 1]], np.float32)
    assert project("whole(x)", x).shape == x.shape
    for value in (0, 4):
        x[1, 1] = value
        failing = value == (0 if "//" in body else 4)
        if failing:
            with pytest.raises(InvalidDataError, match=f"^function whole: {message}"):
                project(cnn.call("relu", cnn.call("whole", "x")), x, threads)
        else:
            project("whole(x)", x, threads)


def test_primitives_are_vector_code_and_the_same_on_numbers() -> None:
    """`where` has no branch; beside one, the same function is on numbers, with the same results."""
    names = {"where": cnn.where, "fma": cnn.fma, "clamp": cnn.clamp}
    body = "clamp(fma(where(x < 0.5, x, 2.0 * x), 0.5, 1.0), -1.0, 1.5)"
    cnn.vector_function("blocks")(made_from(f"def f(x):\n    return {body}", **names))
    cnn.vector_function("numbers")(
        made_from(f"def f(x):\n    return {body} if x == x else x", **names)
    )
    x = rows(3, 50)
    x[0, :3] = [np.nan, np.inf, -np.inf]
    expected = np.clip(np.where(x < 0.5, x, 2 * x).astype(np.float64) * 0.5 + 1, -1, 1.5)
    for name in ("blocks", "numbers"):
        close(project(f"{name}(x)", x), expected, rtol=1e-6, atol=1e-7)
