"""`--backends pytorch,velox` chooses what the conformance suite runs; all installed by default."""

from __future__ import annotations

import pytest

from adapters import registry


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backends",
        help=f"comma-separated, of {', '.join(registry.BACKENDS)} (default: all installed)",
    )
