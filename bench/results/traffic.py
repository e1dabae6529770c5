"""How queries arrive, as it was asked, and the largest rate whose latencies are within a limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.results.percentiles import percentile
from bench.results.schema import LATENCIES, OFFLINE, SERVER, SINGLE_STREAM

PERCENTILES = (50.0, 90.0, 99.0, 99.9)


@dataclass(frozen=True)
class Limit:
    """The percentile `percent` of latencies may be `seconds` at most."""

    percent: float
    seconds: float

    def holds(self, latencies: Sequence[float]) -> bool | None:
        """Whether the bound of the percentile is within it; None of too few to carry one."""
        found = percentile(latencies, self.percent)
        return None if found is None else found.at_most <= self.seconds


@dataclass(frozen=True)
class Traffic:
    """A scenario (bench/results/schema.py), the percentiles wanted, and of a server its rates.

    Without `rates`, queries a second, the largest within the `limit` is searched for.
    """

    scenario: str = OFFLINE
    percentiles: tuple[float, ...] = ()
    rates: tuple[float, ...] = ()
    limit: Limit | None = None

    @property
    def searched(self) -> bool:
        """Whether its rates are to be found."""
        return self.scenario == SERVER and not self.rates

    @property
    def arrivals(self) -> list[tuple[str, float | None]]:
        """Scenario and rate of the cells it begins with.

        A search begins with queries one by one: they say how many a second there can be.
        """
        if self.searched:
            return [(SINGLE_STREAM, None)]
        if self.scenario == SERVER:
            return [(SERVER, rate) for rate in self.rates]
        return [(self.scenario, None)]

    def settings(self) -> dict[str, Any]:
        """It as the settings of a session have it: nothing where there are no queries."""
        return {} if self.scenario == OFFLINE else {"traffic": asdict(self)}

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Traffic:
        """From the settings of a session, whoever wrote them; raises ValueError if they are none.

        Those of a session without queries are of the scenario OFFLINE.
        """
        if "traffic" not in settings:
            return cls()
        try:
            known = settings["traffic"]
            limit = known["limit"]
            made = cls(
                known["scenario"],
                tuple(map(_positive, known["percentiles"])),
                tuple(map(_positive, known["rates"])),
                limit and Limit(_positive(limit["percent"]), _positive(limit["seconds"])),
            )
        except (TypeError, KeyError) as error:
            raise ValueError(f"its traffic lacks {error}") from None
        percents = (*made.percentiles, *([made.limit.percent] if made.limit else []))
        if made.scenario not in LATENCIES or any(percent >= 100 for percent in percents):
            raise ValueError("its traffic is none")
        return made


def knee(served: Iterable[tuple[float, Sequence[float]]], limit: Limit) -> float | None:
    """The largest rate that was within the limit, below every one that was not; None if none was.

    `served` are rates with the latencies that were measured there.
    """
    found = None
    for rate, latencies in sorted(served, key=lambda one: one[0]):
        if not limit.holds(latencies):
            break
        found = rate
    return found


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise TypeError(f"a number above 0 where {value!r} is")
    return float(value)
