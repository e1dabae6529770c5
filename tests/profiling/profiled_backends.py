"""A backend that tells what its configuration says of its operators' times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from fake_backends import FakeBackend

from adapters.base import Configuration
from adapters.operator_profile import OperatorProfile


class ProfiledBackend(FakeBackend):
    """Computes fake_backends.tiny_graph; "fused" in one operator, "changed" wrong if profiled."""

    name = "profiled"
    configurations: ClassVar[Mapping[str, Configuration]] = {
        name: Configuration(name, "default" if name == "fused" else "variant")
        for name in ("fused", "changed")
    }

    def start_profiling(self) -> str:
        self._profiling = True
        return "made up"

    def stop_profiling(self) -> tuple[OperatorProfile, ...]:
        self._profiling = False
        return (
            OperatorProfile(("flatten", "dense"), "all", 2e-6, 3),
            OperatorProfile((), "setup", 1e-6, 1),
        )

    def _to_arrays(self, result: np.ndarray) -> Sequence[np.ndarray]:
        spoiled = self.settings.configuration == "changed" and getattr(self, "_profiling", False)
        return [result + 1 if spoiled else result]
