"""The Parquet files that queries read, written once before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from adapters.queries.query import IMAGES
from bench.data.dataset import Dataset
from columnar_nn.data import tensor_column

METADATA, CLASSES = "metadata", "classes"
"""Beside the images: facts of each image, and IMAGES with classes in place of images."""

MIN_ROW_GROUP, MAX_ROW_GROUP = 64, 500
"""Rows of a row group, the larger of 1.5 MB. Each thread has one at least, if there are enough
rows: DuckDB reads a row group by one thread."""

SITES, DAYS = 37, 28
"""Without a common divisor: an image's site and day have nothing to do with each other."""


def write(
    dataset: Dataset,
    samples: int,
    threads: int,
    classes: Mapping[str, np.ndarray],
    folder: Path,
) -> dict[str, str]:
    """Writes so many rows into `folder`, the data set again and again; paths by table.

    They are for engines on so many threads.

    IMAGES: id, label (BIGINT), image (VARBINARY: pixels, row-major, channels first). METADATA, in
    another order: id, site (VARCHAR), day (BIGINT), made of the id by arithmetic. CLASSES: id,
    label, and a column for each of `classes`, the class of each image of the data set by network.
    Compression gains nothing on photographs' pixels.
    """
    paths = {name: folder / f"{name}.parquet" for name in (IMAGES, METADATA, CLASSES)}
    ids = np.arange(samples)
    writer = None
    labels = []
    group = min(samples, MAX_ROW_GROUP, max(MIN_ROW_GROUP, -(-samples // threads)))
    for batch in dataset.batches(samples, group):
        pixels = tensor_column.to_numpy(batch.column("image"))
        images = pa.array([image.tobytes() for image in pixels], pa.binary())
        labels.append(batch.column("label").cast(pa.int64()))
        rows = pa.record_batch([batch.column("id"), labels[-1], images], ["id", "label", "image"])
        writer = writer or parquet.ParquetWriter(paths[IMAGES], rows.schema, compression="none")
        writer.write_batch(rows, row_group_size=group)
    assert writer is not None, "at least one image is written"
    writer.close()
    known = {name: found[ids % dataset.num_rows] for name, found in classes.items()}
    table = pa.table({"id": ids, "label": pa.chunked_array(labels), **known})
    parquet.write_table(table, paths[CLASSES])
    mixed = np.random.default_rng(0).permutation(samples)
    sites = [f"site {number:02}" for number in mixed % SITES]
    facts = pa.table({"id": mixed, "site": sites, "day": mixed % DAYS + 1})
    parquet.write_table(facts, paths[METADATA])
    return {name: str(path) for name, path in paths.items()}
