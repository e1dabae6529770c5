"""The one interface over engines that run queries; each runs in a worker process of its own.

The worker times whole runs. What a part of a run took comes from a Stopwatch that it hands over,
or, where an engine's operators are what is timed, from the engine's own clocks, which are on in
every run. Work that several threads share counts by its mean over them, so that parts add up to
no more than the run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import ClassVar

import pyarrow as pa

from adapters.base import Configuration, Description, Settings, Stopwatch
from adapters.queries.query import Query
from columnar_nn.errors import MissingPackageError

SCAN, RELATIONAL, CONVERSION, NETWORK = PARTS = ("scan", "relational", "conversion", "network")
"""Of a run: Parquet files read; filters, joins, aggregates, order; rows from one engine's form to
another's, images to tensors among them; networks. What is in none of them is the rest: planning,
and threads that wait."""


def stopwatch() -> Stopwatch:
    """One for the parts of a run."""
    return Stopwatch(dict.fromkeys(PARTS, 0.0))


class QueryEngine(ABC):
    """An engine, alone or with another, that holds one query over Parquet files.

    Life: `import_framework()`, constructor (networks, and what else does not depend on the rows),
    any number of `run` calls, `close`. Raises MissingPackageError if a package is absent.
    """

    name: ClassVar[str]
    packages: ClassVar[Mapping[str, str]]
    """What must be importable, and the extra of this project that installs it."""
    configurations: ClassVar[Mapping[str, Configuration]]
    runs_networks: ClassVar[bool] = True
    """Whether it runs them; if not, `tables` has them as columns (Query.relational)."""

    @classmethod
    def import_framework(cls) -> None:
        """Imports the packages; raises MissingPackageError for one that is not installed."""
        for package, extra in cls.packages.items():
            try:
                import_module(package)
            except ImportError:
                raise MissingPackageError(package, extra) from None

    def __init__(self, query: Query, tables: Mapping[str, str], settings: Settings) -> None:
        """`tables` are paths of Parquet files, by the names that the query has for them."""
        self.query = query
        self.tables = tables
        self.settings = settings
        self._build()

    @abstractmethod
    def _build(self) -> None:
        """Prepares what every run needs."""

    @abstractmethod
    def run(self, stopwatch: Stopwatch) -> pa.Table:
        """Runs the query, from the files to the rows, and tells what each of PARTS took."""

    @abstractmethod
    def describe(self) -> Description:
        """What is really being run; called after at least one `run`."""

    def close(self) -> None:  # noqa: B027 - nothing to release is the common case
        """Releases what must not outlive the engine."""
