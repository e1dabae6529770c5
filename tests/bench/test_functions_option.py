"""--functions: files that the command and its workers run; what is wrong in one is one line."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from exec import declared

import columnar_nn as cnn
from adapters import declared_functions
from bench.cli.app import main
from bench.results.session import Session
from bench.workers.inputs import read

FUNCTIONS = str(Path(declared.__file__).with_name("own_functions.py"))


@pytest.fixture(autouse=True)
def nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What files declare is gone after a test, and no file is run in later workers."""
    monkeypatch.setattr(declared_functions, "LOADED", [])
    monkeypatch.chdir(tmp_path)
    with declared.own_tables():
        yield


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cnn-bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_layer_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(declared.custom_file(tmp_path))
    given = ("model", "show", path, "--json", "--functions", FUNCTIONS)
    assert run(monkeypatch, *given) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert [layer["op_type"] for layer in layers] == ["Conv", "my.ops::HardShrink", "my.ops::Sums"]


def test_workers_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(declared.custom_file(tmp_path, size=32))
    outputs = []
    for backend in ("columnar", "reference"):
        out = tmp_path / f"{backend}.arrow"
        options = ("--tensor", "y", "--out", str(out), "--backend", backend, "--samples", "3")
        assert run(monkeypatch, "taps", path, *options, "--functions", FUNCTIONS) == 0
        table = read(out)
        outputs.append(cnn.to_numpy(table["y"].combine_chunks()))
    assert outputs[0].shape == (3, 20)
    assert outputs[1].std() > 1
    np.testing.assert_allclose(*outputs, rtol=1e-4)


def test_an_engine_without_them_is_unimplemented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    path = str(declared.custom_file(tmp_path, size=32))
    options = ("--tensor", "y", "--out", "y.arrow", "--backend", "onnxruntime", "--samples", "3")
    assert run(monkeypatch, "taps", path, *options, "--functions", FUNCTIONS) == 1
    assert "UNIMPLEMENTED: onnxruntime cannot run 2 node(s)" in capsys.readouterr().err


def test_a_file_runs_once_and_results_know_it_by_its_hash(tmp_path: Path) -> None:
    assert Session("compare", {}, ()).opening()["functions"] is None
    text = "with open('runs', 'a') as file:\n    file.write('x')\n"
    (tmp_path / "mine.py").write_text(text)
    declared_functions.load(["mine.py", str(tmp_path / "mine.py")])
    declared_functions.load(["mine.py"])
    assert (tmp_path / "runs").read_text() == "x"
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert Session("compare", {}, ()).opening()["functions"] == {"mine.py": digest}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no file mine.py of functions: check the path"),
        ("import columnar_nn\n\n1 / 0\n", "mine.py:3: ZeroDivisionError: division by zero"),
        ("def f(:\n", "mine.py:1: invalid syntax"),
        (
            "import columnar_nn\n@columnar_nn.vector_function('f')\ndef f(x):\n    print(x)\n",
            "mine.py: function f (mine.py:4): print() is not supported",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(
    text: str | None,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    assert run(monkeypatch, "model", "show", "plain9", "--functions", "mine.py") == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1
