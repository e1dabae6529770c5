"""columnar_nn/errors.py: an error is one line of bounded length, whatever names are in it."""

from __future__ import annotations

import pytest

from columnar_nn import errors
from columnar_nn.errors import MAX_LENGTH, CnnBenchError, UnsupportedOperatorError


@pytest.mark.parametrize(
    "error",
    [
        *(
            kind("begins \x1b[2J\n" + "x" * 100_000 + " ends")
            for kind in (
                errors.CnnBenchError,
                errors.InvalidDataError,
                errors.InvalidModelError,
                errors.InvalidPlanError,
                errors.UnsupportedNetworkError,
                errors.UsageError,
            )
        ),
        UnsupportedOperatorError("begins", [("\x1b[2J\n" + "x" * 100_000, "Conv", "it ends")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_one_short_line(error: CnnBenchError) -> None:
    message = str(error)
    assert len(message) <= MAX_LENGTH
    assert message.isprintable()
    assert message.startswith("begins")
    assert message.endswith("ends")
    assert r"\x1b[2J\n" in message


def test_an_error_that_fits_is_told_whole() -> None:
    assert str(errors.UsageError("x" * MAX_LENGTH)) == "x" * MAX_LENGTH
