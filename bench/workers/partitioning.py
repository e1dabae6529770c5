"""How the images of a run are cut into partitions, one for each process or several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from columnar_nn.errors import UsageError

Part = tuple[int, int]
"""Consecutive images: the first one, and how many."""

ZIPF = "zipf"
_FORM = re.compile(rf"([1-9]\d{{0,3}})(?::({ZIPF}))?")


@dataclass(frozen=True)
class Partitioning:
    """`count` partitions, of one size but for an image, or skewed by Zipf's law.

    Skewed, the k-th has 1/k of the first one's images, as the k-th most frequent key of a table
    has rows (Gray et al., Quickly Generating Billion-Record Synthetic Databases, SIGMOD 1994).
    """

    count: int
    skewed: bool = False

    @classmethod
    def parse(cls, text: str) -> Partitioning:
        """From its text; raises UsageError."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise UsageError(f"partitions {text!r}: expected a number such as 4, or 4:{ZIPF}")
        return cls(int(match[1]), match[2] is not None)

    def __str__(self) -> str:
        return f"{self.count}:{ZIPF}" if self.skewed else str(self.count)

    def parts(self, samples: int) -> list[Part]:
        """The partitions of so many images, which are at least `count`, each with one or more."""
        assert samples >= self.count
        weights = [1 / (rank if self.skewed else 1) for rank in range(1, self.count + 1)]
        spare = samples - self.count
        shares = [weight / sum(weights) * spare for weight in weights]
        sizes = [1 + int(share) for share in shares]
        # What is left over goes to those that rounding down cost most.
        by_loss = sorted(range(self.count), key=lambda part: int(shares[part]) - shares[part])
        for part in by_loss[: samples - sum(sizes)]:
            sizes[part] += 1
        return list(zip(_starts(sizes), sizes, strict=True))


def dealt(parts: Sequence[Part], processes: int) -> list[list[Part]]:
    """The parts of each process: they are dealt out in turn."""
    return [list(parts[first::processes]) for first in range(processes)]


def _starts(sizes: Sequence[int]) -> list[int]:
    return [sum(sizes[:part]) for part in range(len(sizes))]
