"""Images made of nothing, in any number: each class a colour wave of its own, under noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.data.cifar_binary import BLOCK_RECORDS, RECORD_BYTES

CLASSES = tuple(f"wave{label}" for label in range(10))
SEED = 32
NOISE = 48
"""Half the width of the uniform noise, in grey levels."""


def records(num_rows: int) -> Iterator[np.ndarray]:
    """Blocks of records, uint8 [n, 3073] as in CIFAR-10's files: label, then three planes.

    Block i depends on SEED and i alone: a longer sequence begins with the shorter one.
    """
    waves = _waves()
    for index, start in enumerate(range(0, num_rows, BLOCK_RECORDS)):
        random = np.random.default_rng((SEED, index))
        labels = random.integers(len(CLASSES), size=BLOCK_RECORDS, dtype=np.uint8)
        size = (BLOCK_RECORDS, RECORD_BYTES - 1)
        noise = random.integers(-NOISE, NOISE + 1, size=size, dtype=np.int16)
        block = np.empty((BLOCK_RECORDS, RECORD_BYTES), np.uint8)
        block[:, 0] = labels
        block[:, 1:] = waves[labels] + noise
        yield block[: num_rows - start]


def noise(
    num_rows: int, shape: tuple[int, ...], stream: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of what is no image: uint8 [n, *shape] at random, and labels int64 [n] likewise.

    As of `records`, a longer sequence begins with the shorter one. Streams are independent.
    """
    for index, start in enumerate(range(0, num_rows, BLOCK_RECORDS)):
        random = np.random.default_rng((SEED, index, stream))
        labels = random.integers(len(CLASSES), size=BLOCK_RECORDS)
        rows = random.integers(0, 256, (BLOCK_RECORDS, *shape), dtype=np.uint8)
        yield rows[: num_rows - start], labels[: num_rows - start]


def _waves() -> np.ndarray:
    """The classes without noise, int16 [10, 3072], within [NOISE, 255 - NOISE]."""
    row, column = np.mgrid[:32, :32]
    amplitude = 127.5 - NOISE
    images = []
    for label in range(len(CLASSES)):
        angle = np.pi * label / len(CLASSES)
        phase = (np.cos(angle) * column + np.sin(angle) * row) * (0.4 + 0.05 * label)
        images.append([127.5 + amplitude * np.sin(phase + colour * label) for colour in range(3)])
    return np.array(images).astype(np.int16).reshape(len(CLASSES), -1)
