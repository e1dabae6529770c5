"""Velox plans in Velox's own serialized form, for plan nodes that pyvelox's builder lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]
"""A type, an expression or a plan node."""


def scalar(name: str) -> Json:
    """A type such as REAL, BIGINT or TINYINT."""
    return {"name": "Type", "type": name}


def array(element: Json) -> Json:
    """ARRAY(element)."""
    return {"name": "Type", "type": "ARRAY", "cTypes": [element]}


def row(columns: Mapping[str, Json]) -> Json:
    """ROW of named columns."""
    return {
        "name": "Type",
        "type": "ROW",
        "names": list(columns),
        "cTypes": list(columns.values()),
    }


REAL, BIGINT, INTEGER, TINYINT, BOOLEAN = map(
    scalar, ("REAL", "BIGINT", "INTEGER", "TINYINT", "BOOLEAN")
)


def field(name: str, of: Json) -> Json:
    """A column, or an argument of the lambda around it."""
    return {"name": "FieldAccessTypedExpr", "fieldName": name, "type": of}


def constant(value: float | int, of: Json) -> Json:
    """A literal."""
    variant = {"type": of["type"], "value": value}
    return {"name": "ConstantTypedExpr", "type": of, "value": variant}


def call(function: str, returns: Json, *arguments: Json) -> Json:
    """A call of a scalar function."""
    return {
        "name": "CallTypedExpr",
        "functionName": function,
        "type": returns,
        "inputs": list(arguments),
    }


def cast(value: Json, to: Json) -> Json:
    """CAST(value AS to)."""
    return {"name": "CastTypedExpr", "type": to, "inputs": [value], "nullOnFailure": False}


def total(terms: Sequence[Json]) -> Json:
    """The sum of REAL terms as a balanced tree."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return call("plus", REAL, total(terms[:middle]), total(terms[middle:]))


class PlanWriter:
    """Makes plan nodes with ids of their own, each over the columns of the one before."""

    def __init__(self, first_id: int) -> None:
        self._next_id = first_id

    def _node(self, name: str, sources: Sequence[Json], **fields: Any) -> Json:
        node_id, self._next_id = str(self._next_id), self._next_id + 1
        return {"name": name, "id": node_id, "sources": list(sources), **fields}

    def scan(self, columns: Mapping[str, Json]) -> Json:
        """TableScanNode of the Hive connector: whole columns of the files given at run time."""
        handles = [
            {
                "assign": name,
                "columnHandle": {
                    "name": "HiveColumnHandle",
                    "hiveColumnHandleName": name,
                    "columnType": "Regular",
                    "dataType": of,
                    "hiveType": of,
                    "requiredSubfields": [],
                },
            }
            for name, of in columns.items()
        ]
        table = {
            "name": "HiveTableHandle",
            "tableName": "table",
            "connectorId": "hive",
            "filterPushdownEnabled": True,
            "subfieldFilters": [],
            "tableParameters": {},
        }
        return self._node(
            "TableScanNode", [], outputType=row(columns), tableHandle=table, assignments=handles
        )

    def project(self, source: Json, columns: Mapping[str, Json]) -> Json:
        """ProjectNode: each column an expression of the source's columns."""
        return self._node(
            "ProjectNode",
            [source],
            names=list(columns),
            projections=list(columns.values()),
        )

    def unnest(
        self,
        source: Json,
        replicated: Mapping[str, Json],
        arrays: Mapping[str, Json],
        ordinality: str | None = None,
    ) -> Json:
        """UnnestNode: a row for each place in the arrays, which become their elements."""
        extra = {} if ordinality is None else {"ordinalityName": ordinality}
        return self._node(
            "UnnestNode",
            [source],
            replicateVariables=[field(name, of) for name, of in replicated.items()],
            unnestVariables=[field(name, of) for name, of in arrays.items()],
            unnestNames=list(arrays),
            **extra,
        )

    def cross_join(self, left: Json, right: Json, columns: Mapping[str, Json]) -> Json:
        """NestedLoopJoinNode without a condition."""
        return self._node(
            "NestedLoopJoinNode", [left, right], joinType="INNER", outputType=row(columns)
        )

    def aggregate(
        self,
        source: Json,
        keys: Mapping[str, Json],
        results: Mapping[str, Json],
        mask: str | None = None,
    ) -> Json:
        """AggregationNode in a single step; `results` are calls of aggregate functions.

        They see only the rows whose BOOLEAN column `mask` is true.
        """
        extra = {} if mask is None else {"mask": field(mask, BOOLEAN)}
        return self._node(
            "AggregationNode",
            [source],
            step="SINGLE",
            groupingKeys=[field(name, of) for name, of in keys.items()],
            preGroupedKeys=[],
            aggregateNames=list(results),
            aggregates=[
                {
                    "call": value,
                    "rawInputTypes": [argument["type"] for argument in value["inputs"]],
                    "sortingKeys": [],
                    "sortingOrders": [],
                    "distinct": False,
                    **extra,
                }
                for value in results.values()
            ],
            globalGroupingSets=[],
            ignoreNullKeys=False,
        )
