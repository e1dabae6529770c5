"""`cnn-bench compare --quick`: fewer engines, numbers of images and runs, in under 30 seconds."""

from __future__ import annotations

from typing import Any

from adapters import registry
from bench.results.schema import OFFLINE
from columnar_nn.errors import UsageError

CHOSEN: dict[str, Any] = {
    "backend": ["columnar", "onnxruntime", "pytorch"],
    "scenario": OFFLINE,
    "samples": "1,100",
    "min_time": 0.1,
}
"""The options that it chooses. 15 s on two cores of Zen 4, and 20 if kernels must be compiled."""


def choose(context: Any) -> dict[str, Any]:
    """The options chosen, by name; raises UsageError if one of them was given."""
    for name in CHOSEN:
        if context.get_parameter_source(name).name == "COMMANDLINE":
            raise UsageError(
                f"--quick chooses --{name.replace('_', '-')} itself: leave one of the two out"
            )
    return CHOSEN


def note(counts: str) -> str:
    """What it leaves out of a comparison that by itself is of so many images."""
    engines = [name for name in registry.BACKENDS if name not in CHOSEN["backend"]]
    images = [f"{int(n):,}" for n in counts.split(",") if n not in CHOSEN["samples"].split(",")]
    return (
        f"--quick leaves out {', '.join(engines)} and {' and '.join(images)} images, and times "
        "less: cnn-bench compare has all of it"
    )
