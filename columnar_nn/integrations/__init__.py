"""Networks inside other engines: over streams of Arrow batches, in Spark and in DuckDB."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from columnar_nn.integrations import batches, duckdb, spark

__all__ = ["batches", "duckdb", "spark"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"columnar_nn.integrations.{name}")
    raise AttributeError(f"module 'columnar_nn.integrations' has no public name {name!r}")


def __dir__() -> list[str]:
    return __all__
