"""Workloads of a query: its text, its networks together, and the data set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from adapters.queries.query import Query
from bench.data.dataset import Dataset
from bench.results.schema import RELATIONAL, WORKLOAD
from bench.results.session import model_sha256
from columnar_nn.model.graph import Graph
from columnar_nn.model.layer_table import layers


class QueryWorkloads:
    """Rows of the table workload, of one query on numbers of images, the `first` the fewest."""

    def __init__(
        self, query: Query, networks: Sequence[Graph], dataset: Dataset, first: int
    ) -> None:
        self._asked = {
            "query": query.name,
            "data_fingerprint": dataset.fingerprint,
            "split": dataset.split,
            "data_name": dataset.name,
            "data_rows": dataset.num_rows,
        }
        self._sql = {False: query.whole(), True: query.relational}
        hashes = [model_sha256(graph) for graph in networks]
        alone = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode())
        self._networks = {
            "model_name": ", ".join(graph.name for graph in networks),
            "model_sha256": alone if isinstance(alone, str) else alone.hexdigest(),
            "parameters": sum(graph.num_parameters() for graph in networks),
            "macs": sum(layer.macs for graph in networks for layer in layers(graph)),
        }
        self.first_batch = first

    def row(
        self,
        scenario: str,
        samples: int | None,
        batch_size: int | None,
        rate: float | None = None,
    ) -> dict[str, Any]:
        """The workload of so many images in a scenario (bench/results/schema.py)."""
        relational = scenario == RELATIONAL
        return WORKLOAD.row(
            scenario=scenario,
            samples=samples,
            batch_size=None if relational else batch_size,
            rate=rate,
            sql=self._sql[relational],
            **self._asked,
            **({} if relational else self._networks),
        )
