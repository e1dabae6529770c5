"""`--backends pytorch,velox` chooses what the conformance suite runs; all installed by default.
`--soak long` is for the tests marked `soak`."""

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
    parser.addoption(
        "--soak",
        choices=("short", "long"),
        default="short",
        help="how long the tests marked `soak` go on (default: %(default)s)",
    )
