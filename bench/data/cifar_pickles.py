"""CIFAR's Python version: pickled dicts of an array of pixels and a list of labels.

They are read by `safe_pickle`, which runs nothing of what is in them; one file is held at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import cifar_files, safe_pickle
from bench.data.cifar_files import IMAGE_SHAPE, PIXEL_BYTES, File, Layout
from bench.data.source import BLOCK_ROWS, Block
from columnar_nn.errors import InvalidDataError


def read_blocks(path: Path, split: str, layout: Layout) -> Iterator[Block]:
    """The images and labels of a split, in file order; paths are those of `cifar_files.files`.

    Raises InvalidDataError naming the file, and what in it is not as it should be.
    """
    for file in cifar_files.files(path, layout, split):
        held = _dict(file)
        images = _images(held.get("data"), file.name)
        labels = _labels(held.get(layout.labels_key), len(images), layout, file.name)
        block = Block(images, labels)
        for start in range(0, len(block), BLOCK_ROWS):
            yield block.rows(start, start + BLOCK_ROWS)


def class_names(path: Path, layout: Layout) -> tuple[str, ...]:
    """Names of the labels: those in the folder's or archive's pickle, else the layout's."""
    file = cifar_files.names_file(path, layout)
    if file is None:
        return layout.classes
    where, content = file
    names = _loaded(content, where).get(layout.names_key)
    texts = [_text(name) for name in names] if isinstance(names, list) else []
    return cifar_files.checked_names(texts, layout, where)


def _dict(file: File) -> dict[str, Any]:
    if file.size > safe_pickle.MAX_BYTES:
        raise InvalidDataError(
            f"{file.name}: a pickle of more than {safe_pickle.MAX_BYTES:,} bytes is not read"
        )
    return _loaded(file.read(file.size), file.name)


def _loaded(content: bytes, name: str) -> dict[str, Any]:
    """The dict in a pickle; its keys, bytes of Python 2 perhaps, as texts."""
    held = safe_pickle.loads(content, name)
    if not isinstance(held, dict):
        raise InvalidDataError(f"{name}: no dict; expected CIFAR's, with data and labels")
    return {_text(key): value for key, value in held.items()}


def _images(data: Any, name: str) -> np.ndarray:
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != PIXEL_BYTES:
        raise InvalidDataError(f"{name}: no data of {PIXEL_BYTES} bytes an image; expected CIFAR's")
    if not len(data):
        raise InvalidDataError(f"{name}: no images")
    return data.reshape(-1, *IMAGE_SHAPE)


def _labels(labels: Any, count: int, layout: Layout, name: str) -> np.ndarray:
    if not isinstance(labels, list) or len(labels) != count:
        raise InvalidDataError(f"{name}: no {layout.labels_key}, a list with one for each image")
    for row, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < len(layout.classes):
            raise InvalidDataError(
                f"{name}: the label of image {row} is not one of 0 to {len(layout.classes) - 1}"
            )
    return np.array(labels, np.int64)


def _text(text: Any) -> str:
    """A key or a name; what is none is no key that is asked for."""
    if isinstance(text, bytes):
        return text.decode("latin-1")
    return text if isinstance(text, str) else ""
