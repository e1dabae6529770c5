"""What a user says of a set of images besides where it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data import normalization
from bench.data.normalization import Normalization
from columnar_nn.errors import UsageError


@dataclass(frozen=True)
class Preparation:
    """A file of labels, and how images become a network's inputs.

    `shorter_side` is that of an image before its centre is taken, where images are files.
    """

    labels: Path | None = None
    shorter_side: int | None = None
    normalization: Normalization | None = None

    @classmethod
    def parse(
        cls, labels: str | Path | None, resize: int | None, mean: str | None, std: str | None
    ) -> Preparation:
        """What the options of these names say; raises UsageError."""
        file = None if labels is None else Path(labels)
        if file is not None and not file.is_file():
            raise UsageError(f"--labels {file}: no such file; check the path")
        return cls(file, resize, normalization.parse(mean, std))

    def settings(self) -> dict[str, Any]:
        """It as a session's settings have it: by the names of the options."""
        found = self.normalization
        return {
            "labels": None if self.labels is None else str(self.labels),
            "resize": self.shorter_side,
            "mean": None if found is None else list(found.mean),
            "std": None if found is None else list(found.std),
        }
