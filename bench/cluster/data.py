"""A data set as Parquet for Spark: a binary column of pixels, in as many files as asked for."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from bench.data.dataset import Dataset
from columnar_nn.data import tensor_column

ROW_GROUP = 5_000

SPLIT_IS_A_FILE = {
    "spark.sql.files.openCostInBytes": "1g",
    "spark.sql.files.maxPartitionBytes": "1g",
}
"""Settings of a session that reads such files, each as a split."""


def write_images(dataset: Dataset, images: int, files: int, folder: Path) -> None:
    """Writes `images` (id, image: row-major pixels) and `labels.parquet` (id, label).

    The images are as evenly spread over the files as they can be. Compression gains nothing on
    photographs' pixels, and takes time to undo.
    """
    (folder / "images").mkdir()
    labels = []
    ends = [images * (index + 1) // files for index in range(files)]
    for index, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        ids, columns = [], []
        for batch in dataset.batches(end - start, min(end - start, ROW_GROUP), start=start):
            pixels = tensor_column.to_numpy(batch.column("image"))
            columns.append(pa.array([image.tobytes() for image in pixels], pa.binary()))
            ids.append(batch.column("id"))
            labels.append(
                pa.table({"id": ids[-1], "label": batch.column("label").cast(pa.int64())})
            )
        table = pa.table({"id": pa.chunked_array(ids), "image": pa.chunked_array(columns)})
        file = folder / "images" / f"{index:05}.parquet"
        parquet.write_table(table, file, row_group_size=ROW_GROUP, compression="none")
    parquet.write_table(pa.concat_tables(labels), folder / "labels.parquet")
