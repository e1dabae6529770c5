"""The built-in queries in plain Python, networks in NumPy: what engines are held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from pyarrow import parquet
from threadpoolctl import threadpool_limits

from bench.data.dataset import open_dataset
from columnar_nn.data import tensor_column
from columnar_nn.model import zoo
from reference.evaluate import evaluate

Rows = list[tuple[Any, ...]]


def reference_classes(network: str, count: int) -> np.ndarray:
    """The class of each of the first images of photo10, in float64."""
    graph = zoo.resolve(network)
    (batch,) = open_dataset("photo10").batches(count, count)
    pixels = tensor_column.to_numpy(batch.column("image")).astype(np.float32) / np.float32(255)
    output = graph.outputs[0].name
    with threadpool_limits(1):
        found = evaluate(graph.nodes, graph.weights, {graph.inputs[0].name: pixels}, [output])
    return np.asarray(found[output]).reshape(count, -1).argmax(axis=1)


def confusion(images: list[dict[str, Any]], metadata: list[dict[str, Any]]) -> Rows:
    pairs = Counter((row["label"], row["plain9"]) for row in images if row["label"] < 5)
    return [(*pair, count) for pair, count in sorted(pairs.items())]


def sites(images: list[dict[str, Any]], metadata: list[dict[str, Any]]) -> Rows:
    where = {row["id"]: row["site"] for row in metadata if row["day"] > 7}
    found: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for row in images:
        if row["id"] in where:
            found[where[row["id"]]] += 1
            errors[where[row["id"]]] += row["plain9"] != row["label"]
    rows = [(site, count, errors[site]) for site, count in found.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0]))[:10]


def agreement(images: list[dict[str, Any]], metadata: list[dict[str, Any]]) -> Rows:
    agreed = [row for row in images if row["plain9"] == row["resnet20"]]
    return [
        (
            label,
            sum(row["label"] == label for row in agreed),
            sum(row["label"] == row["plain9"] == label for row in agreed),
        )
        for label in sorted({row["label"] for row in agreed})
    ]


PLAIN: Mapping[str, Callable[[list[dict[str, Any]], list[dict[str, Any]]], Rows]] = {
    "confusion": confusion,
    "sites": sites,
    "agreement": agreement,
}


def rows_of(query: str, tables: Mapping[str, str]) -> Rows:
    """The rows of a query over files, by its classes."""
    images, metadata = (
        parquet.read_table(tables[name]).to_pylist() for name in ("classes", "metadata")
    )
    return PLAIN[query](images, metadata)
