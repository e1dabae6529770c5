"""What a command printed on standard error, but for how far it was."""

from __future__ import annotations

import re


def without_progress(errors: str) -> str:
    """The text without the lines that a command of over ten seconds says now and then."""
    return re.sub(r"^cnn-bench: \d+ s, .*\n", "", errors, flags=re.MULTILINE)
