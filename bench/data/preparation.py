"""What a user says of a set of images besides where it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.data.normalization import Normalization


@dataclass(frozen=True)
class Preparation:
    """A file of labels, and how images become a network's inputs.

    `shorter_side` is that of an image before its centre is taken, where images are files.
    """

    labels: Path | None = None
    shorter_side: int | None = None
    normalization: Normalization | None = None
