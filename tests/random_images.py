"""Random images as a data set for fake backends, written without any image file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import fake_backends
import numpy as np
import pyarrow as pa

from columnar_nn.data import tensor_column

NUM_IMAGES = 8


@dataclasses.dataclass(frozen=True)
class RandomImages:
    """A data set of random images whose labels the tiny graph gets right for even rows only."""

    name: str = "random"
    num_rows: int = NUM_IMAGES
    fingerprint: str = "none"
    split: str | None = "test"
    image_bytes: int = 3 * 32 * 32
    classes: tuple[str, ...] = tuple("0123456789")


def write_random_images(_: RandomImages, num_samples: int, batch_size: int, path: Path) -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (num_samples, 3, 32, 32), np.uint8)
    weight = fake_backends.tiny_graph().weights["weight"]
    labels = (pixels.reshape(num_samples, -1) / 255.0 @ weight.T).argmax(axis=1)
    labels[1::2] = (labels[1::2] + 1) % 10
    table = pa.table(
        {
            "id": np.arange(num_samples),
            "label": labels.astype(np.uint8),
            "image": tensor_column.from_numpy(pixels),
        }
    )
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=batch_size)
