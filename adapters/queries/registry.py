"""Names of the engines that run queries; each module is imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module

from adapters.queries.engine import QueryEngine
from columnar_nn.errors import UsageError

ENGINES = {
    "columnar": "adapters.queries.columnar:ColumnarQueries",
    "duckdb+columnar": "adapters.queries.duckdb_function:DuckDbFunction",
    "duckdb+onnxruntime": "adapters.queries.duckdb_feeding:FeedingOnnxRuntime",
    "duckdb+pytorch": "adapters.queries.duckdb_feeding:FeedingPyTorch",
    "velox": "adapters.queries.velox:VeloxRelational",
}


def load(name: str) -> type[QueryEngine]:
    """The engine called `name`; raises UsageError, listing the names, if there is none."""
    if name not in ENGINES:
        raise UsageError(f"--query has no backend {name!r}: choose from {', '.join(ENGINES)}")
    module_name, _, class_name = ENGINES[name].partition(":")
    engine: type[QueryEngine] = getattr(import_module(module_name), class_name)
    return engine
