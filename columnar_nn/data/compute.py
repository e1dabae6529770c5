"""pyarrow.compute under its own names, imported when the first of them is asked for.

That takes longer than to prepare and run a small network, which needs none of them.
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    found = globals()[name] = getattr(import_module("pyarrow.compute"), name)
    return found
