"""The chosen backends as parameters; how many of ONNX's cases each engine passed, and why not."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec

import pytest
from _pytest.terminal import TerminalReporter

from adapters import registry
from adapters.base import Backend
from columnar_nn.errors import MissingPackageError


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Fills `backend` with each chosen backend, `engine` with each configuration of each.

    Both are written backend:configuration; `backend` takes what users get without asking.
    """
    for argument in {"backend", "engine"}.intersection(metafunc.fixturenames):
        parameters = [
            pytest.param(f"{name}:{configuration}", marks=_skip_if_missing(backend))
            for name, backend in _chosen(metafunc.config).items()
            for configuration in _configurations(backend, every=argument == "engine")
        ]
        metafunc.parametrize(argument, parameters)


def _chosen(config: pytest.Config) -> dict[str, type[Backend]]:
    option: str | None = config.getoption("--backends")
    names = list(registry.BACKENDS) if option is None else option.split(",")
    unknown = [name for name in names if name not in registry.BACKENDS]
    if unknown:
        raise pytest.UsageError(
            f"--backends: unknown {', '.join(unknown)}; choose from {', '.join(registry.BACKENDS)}"
        )
    return {name: registry.load(name) for name in names}


def _configurations(backend: type[Backend], every: bool) -> list[str]:
    known = {name: details for name, details in backend.configurations.items() if not details.gpu}
    by_role = {details.role: name for name, details in known.items()}
    return list(known) if every else [by_role.get("default", by_role.get("best"))]


def _skip_if_missing(backend: type[Backend]) -> list[pytest.MarkDecorator]:
    if find_spec(backend.package) is not None:
        return []
    return [pytest.mark.skip(reason=str(MissingPackageError(backend.package, backend.extra)))]


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    passed: Counter[str] = Counter()
    skipped: Counter[tuple[str, str]] = Counter()
    for status in ("passed", "skipped"):
        for report in terminalreporter.stats.get(status, []):
            if "test_onnx_cases.py::test_case[" not in report.nodeid:
                continue
            engine = report.nodeid.partition("[")[2].partition("-")[0]
            if status == "passed":
                passed[engine] += 1
            else:
                reason = str(report.longrepr[2]).removeprefix("Skipped: ").partition(" (")[0]
                skipped[engine, reason] += 1
    for engine, count in passed.items():
        reasons = [f"{n} {reason}" for (e, reason), n in skipped.items() if e == engine]
        terminalreporter.write_line(
            f"ONNX backend cases, {engine}: {count} passed; skipped: {'; '.join(reasons) or 0}"
        )
