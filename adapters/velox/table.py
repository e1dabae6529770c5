"""Tables that Velox reads by itself: Parquet files and the scans of plans in serialized form."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

REGISTER_PARQUET = "_ZN8facebook5velox7parquet28registerParquetReaderFactoryEv"
"""void facebook::velox::parquet::registerParquetReaderFactory()"""


@cache
def prepare_scans() -> None:
    """Registers Velox's Hive connector and its Parquet reader, once in a process.

    pyvelox 0.2.0 contains the Parquet reader but registers only DWRF, hence the direct call.
    """
    import pyvelox
    from pyvelox import runner

    runner.register_hive("hive")
    library = ctypes.CDLL(str(Path(pyvelox.__file__).parent / "libvelox.so"))
    register = library[REGISTER_PARQUET]
    register.argtypes, register.restype = (), None
    register()


def write(path: Path, table: pa.Table) -> Any:
    """Writes the table as Parquet, uncompressed; returns pyvelox's File for it."""
    from pyvelox import file

    pq.write_table(table, path, compression="none", use_dictionary=False)
    return file.PARQUET(str(path))
