"""Names that nothing in a file bears yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from columnar_nn.errors import printable


class FreshNames:
    """Gives names that are not among those `taken` and that it has not given before."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._last: Counter[str] = Counter()

    def fresh(self, wanted: str) -> str:
        """`wanted` if it is free, else with the first number behind it that is.

        Control characters in it are escaped.
        """
        name = wanted = printable(wanted)
        while name in self._taken:
            self._last[wanted] += 1
            name = f"{wanted}_{self._last[wanted]}"
        self._taken.add(name)
        return name
