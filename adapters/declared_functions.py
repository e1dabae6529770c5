"""Vector functions that users declare in Python: their files, and the reference's rules of them."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from columnar_nn.errors import CnnBenchError, UsageError, first_line
from columnar_nn.functions.declaration import DeclaredFunction
from columnar_nn.functions.declared import DECLARED
from reference.operators import OPERATORS
from reference.rounding import rounded

LOADED: list[str] = []
"""Paths of the files that this process has run, for its workers to run."""


def load(paths: Iterable[str]) -> None:
    """Runs Python files, each once, for the functions that they declare.

    Raises UsageError naming the file, and the line in it where its code raises.
    """
    for path in map(Path, paths):
        if not path.is_file():
            raise UsageError(f"no file {path} of functions: check the path")
        if str(path.absolute()) not in LOADED:
            _run(path.absolute())
            LOADED.append(str(path.absolute()))
    give_to_reference()


def sha256() -> dict[str, str]:
    """Of each file that was run, by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in map(Path, LOADED)}


def _run(path: Path) -> None:
    name = f"declared_functions_{len(LOADED)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file: name one that ends in .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except CnnBenchError as error:
        raise UsageError(f"{path.name}: {error}") from None
    except SyntaxError as error:
        raise UsageError(f"{path.name}:{error.lineno}: {error.msg}") from None
    except Exception as error:
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)
        ]
        place = f"{path.name}:{lines[-1]}" if lines else path.name
        raise UsageError(f"{place}: {type(error).__name__}: {first_line(error)}") from None


def give_to_reference() -> None:
    """Has the reference compute declared operators: by the Python functions, in float64."""
    for declared in DECLARED.values():
        if declared.onnx is not None:
            OPERATORS[declared.onnx] = _rule(declared)


def _rule(declared: DeclaredFunction) -> Callable[..., np.ndarray]:
    def evaluate(x: np.ndarray, **attributes: float) -> np.ndarray:
        return rounded(declared.reference(x, **attributes))

    return evaluate
