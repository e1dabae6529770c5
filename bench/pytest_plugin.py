"""Golden bundles in any project's tests: a fixture that opens them and an assertion.

A project asks for it (docs/golden.md); it imports nothing heavy until it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bench.golden.bundle import Bundle


@pytest.fixture(scope="session")
def golden_bundle(request: pytest.FixtureRequest) -> Callable[[str | Path], Bundle]:
    """Opens the bundle at a path relative to pytest's root folder, checking every file once."""
    from bench.golden.bundle import open_bundle

    opened: dict[Path, Bundle] = {}

    def open_once(path: str | Path) -> Bundle:
        folder = request.config.rootpath / path
        if folder not in opened:
            opened[folder] = open_bundle(folder)
        return opened[folder]

    return open_once


def assert_matches_golden(
    outputs: Mapping[str, Any],
    bundle: Bundle | str | Path,
    *,
    rtol: Sequence[str] = (),
    atol: Sequence[str] = (),
    check: str = "elementwise",
) -> None:
    """Fails, with the table of `golden verify`, unless the tensors match the bundle's.

    `outputs` maps tensor names to float32 arrays [rows, ...] of all of the bundle's images. The
    network's outputs must be among them; inner tensors are compared if they are given.
    `rtol` and `atol` replace the bundle's tolerances, as "value" or "tensor:value". Raises
    UsageError for a tensor that the bundle does not have.
    """
    import numpy as np

    from bench.golden import checks, report, tap_selection
    from bench.golden.bundle import Bundle, open_bundle
    from bench.golden.comparison import compare
    from bench.golden.verify import Comparing, Verification, select
    from bench.verdict.status import worst

    if not isinstance(bundle, Bundle):
        bundle = open_bundle(bundle)
    taps = (tap_selection.OUTPUTS, *outputs)
    comparing = Comparing(checks.parse(check), taps, rtol, atol)
    tensors = select(bundle, comparing)
    arrays = {name: np.asarray(array) for name, array in outputs.items()}
    expected = bundle.expected([tensor.name for tensor in tensors])
    noises = bundle.noises()
    results = compare(tensors, comparing.check, expected, [arrays], noises=noises)
    verification = Verification(
        subject="outputs",
        expected=str(bundle.folder),
        fingerprint=bundle.fingerprint,
        status=worst(result.status for result in results),
        reason="",
        results=results,
        rows=bundle.manifest.rows,
        rule=comparing.rule(bundle.manifest.format_version),
    )
    if verification.exit_code():
        pytest.fail(report.plain_text(verification), pytrace=False)
