"""`--backends pytorch,velox` chooses what the conformance suite runs; all installed by default."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from adapters import registry
from adapters.base import Backend
from columnar_nn.errors import MissingPackageError


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backends",
        help=f"comma-separated, of {', '.join(registry.BACKENDS)} (default: all installed)",
    )


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
    by_role = {details.role: name for name, details in backend.configurations.items()}
    return list(backend.configurations) if every else [by_role.get("default", by_role.get("best"))]


def _skip_if_missing(backend: type[Backend]) -> list[pytest.MarkDecorator]:
    if find_spec(backend.package) is not None:
        return []
    return [pytest.mark.skip(reason=str(MissingPackageError(backend.package, backend.extra)))]
