"""The same call on Spark with Velox inside (velox-spark, which is Gluten): its plan and its price.

    python -m bench.cluster.velox_spark FOLDER

Runs in an environment of its own: docs/cluster.md makes it. FOLDER has `images` and
`labels.parquet`, as `write_images` writes them. A scan, a filter, the network, a join and an
aggregation, twice: the network by mapInArrow, and by a scalar pandas_udf, which Gluten leaves
columns to. Prints the operators of both plans as they were run, those that are not Velox's marked,
and the time of runs in turn.
"""

from __future__ import annotations

import os
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.cluster.session import LOOPBACK
from columnar_nn.errors import CnnBenchError, MissingPackageError, UsageError
from columnar_nn.integrations.batches import MAX_ROWS, infer
from columnar_nn.integrations.prepared import PREDICTED
from columnar_nn.integrations.spark import map_batches

ROUNDS = 5
_NATIVE = re.compile(
    r"Transformer|Velox|ArrowData|Columnar(?!ToRow)|InputIteratorAdapter|InputAdapter"
)
_WRAPPERS = ("AdaptiveSparkPlan", "AQEShuffleRead", "ShuffleQueryStage", "BroadcastQueryStage")


def main(folder: Path) -> None:
    """Runs and measures both, and prints what is said above."""
    try:
        from velox_spark import get_session
    except ImportError:
        raise MissingPackageError("velox-spark", "cluster") from None
    os.environ["SPARK_LOCAL_IP"] = LOOPBACK
    spark = get_session("cnn-bench", "local[2]", offheap="2g", driver_memory="1g")
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(MAX_ROWS))
    spark.sparkContext.setLogLevel("ERROR")
    try:
        ways = {"mapInArrow": _by_map_in_arrow, "pandas_udf": _by_pandas_udf}
        answers = {}
        for name, way in ways.items():
            query = _query(spark, folder, way)
            answers[name] = sorted(map(tuple, query.collect()))
            print(f"\n{name}:")
            for operator, count in operators(query).items():
                print(f"  {count} {operator}")
        if answers["mapInArrow"] != answers["pandas_udf"]:
            raise UsageError("the two ways give different rows: this is a bug")
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                start = time.perf_counter()
                _query(spark, folder, way).collect()
                seconds[name].append(time.perf_counter() - start)
        images = sum(row[-1] for row in answers["mapInArrow"])
        for name, runs in seconds.items():
            print(
                f"\n{name}: {images:,} images, fastest {min(runs):.2f} s, median "
                f"{statistics.median(runs):.2f} s of {ROUNDS} runs"
            )
    finally:
        spark.stop()


def operators(query: Any) -> Counter[str]:
    """The operators of a query that has been run, those that are not Velox's in brackets."""
    text = query._jdf.queryExecution().toString()
    final = text.partition("== Final Plan ==")[2].partition("== Initial Plan ==")[0]
    found: Counter[str] = Counter()
    for line in final.splitlines():
        match = re.search(r"([A-Z]\w+)", line.strip(" :+-*()^0123456789"))
        if match and match[1] not in _WRAPPERS:
            found[match[1] if _NATIVE.search(match[1]) else f"[{match[1]}]"] += 1
    return found


def _query(spark: Any, folder: Path, network: Callable[[Any], Any]) -> Any:
    images = spark.read.parquet(str(folder / "images")).where("id >= 100")
    labels = spark.read.parquet(str(folder / "labels.parquet"))
    joined = network(images).join(labels, "id")
    return joined.groupBy(PREDICTED, "label").count()


def _by_map_in_arrow(frame: Any) -> Any:
    return map_batches(frame, bad="null").select("id", PREDICTED)


def _by_pandas_udf(frame: Any) -> Any:
    from pyspark.sql.functions import pandas_udf

    def classify(column: Any) -> Any:
        batch = pa.record_batch([pa.array(column, pa.binary())], ["image"])
        made = pa.Table.from_batches(list(infer([batch], keep=())))
        return made[PREDICTED].to_pandas()

    import pandas as pd

    # a function of Series: of one over an iterator of them Gluten 1.7.0 loses a column
    classify.__annotations__ = {"column": pd.Series, "return": pd.Series}
    return frame.select("id", pandas_udf(classify, "bigint")("image").alias(PREDICTED))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bench.cluster.velox_spark FOLDER")
    try:
        main(Path(sys.argv[1]))
    except CnnBenchError as error:
        sys.exit(f"velox_spark: {error}")
