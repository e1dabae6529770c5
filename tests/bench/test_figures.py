"""Single figures as text."""

from __future__ import annotations

import pytest

from bench.text.figures import about


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00123, "0.0012 s"),
        (0.0123, "0.012 s"),
        (0.36, "0.36 s"),
        (1.26, "1.3 s"),
        (15.6, "16 s"),
        (2570.0, "2,570 s"),
    ],
)
def test_about_so_many_seconds(seconds: float, text: str) -> None:
    assert about(seconds) == text
