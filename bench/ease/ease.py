"""What it took to use one backend, as it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.workers.selection import Selection


@dataclass(frozen=True)
class Ease:
    """One backend in its default configuration.

    `packages` are bytes by name of all that must be installed for it, None if that is not known.
    `starts` are cold starts, each with the seconds of BackendRecord. `settings` are what it must be
    told so that a comparison is fair, each with the reason, `unimplemented` the operators that it
    did not run, each with what it said. `on_wrong_network` is the first line that it says to
    examples.wrong_network(), empty if it ran it. Where the status is not PASSED nothing was tried
    beyond the first start, and `reason` is why.
    """

    selection: Selection
    status: str
    reason: str
    packages: Mapping[str, int] | None
    adapter_lines: int
    settings: Mapping[str, str]
    starts: tuple[Mapping[str, float], ...] = ()
    unimplemented: Mapping[str, str] = field(default_factory=dict)
    on_wrong_network: str = ""
