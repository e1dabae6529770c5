"""`--backends pytorch,velox` chooses what the conformance suite runs; all installed by default."""

from __future__ import annotations

import os

import pytest

from adapters import registry

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backends",
        help=f"comma-separated, of {', '.join(registry.BACKENDS)} (default: all installed)",
    )
