"""Some pictures of every class, as a sheet: what is in a set of images, to be looked at."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.data.dataset import Dataset
from bench.data.resize import resize
from columnar_nn.data.encoded_images import pillow
from columnar_nn.errors import UsageError

SIDE = 64
"""Pixels of a picture's side on a sheet."""

COLUMNS, ROWS = 10, 20
"""Pictures of a class, and classes, at most."""

_GAP, _NAME_WIDTH, _NAME_LENGTH = 4, 120, 18
_PAPER, _INK = (255, 255, 255), (0, 0, 0)


class Row(NamedTuple):
    """The first pictures of a class: uint8 [n, side, side, 3]; the name of a set without is ""."""

    name: str
    pictures: np.ndarray


def rows(
    dataset: Dataset, side: int = SIDE, columns: int = COLUMNS, classes: int = ROWS
) -> list[Row]:
    """The first pictures of each of the first classes; nothing behind them is read.

    They are the images as they are stored, not as a network has them. Raises UsageError if they are
    none.
    """
    if len(dataset.image_shape) != 3:
        raise UsageError(f"{dataset.name} holds no images, of which there could be pictures")
    wanted = min(classes, len(dataset.classes)) or 1
    full = [min(columns, count) for count in dataset.label_counts[:wanted]] or [columns]
    found: list[list[np.ndarray]] = [[] for _ in range(wanted)]
    for block in dataset.source.read((dataset.image_shape[0], side, side)):
        labels = np.zeros(len(block), np.int64) if block.labels is None else block.labels
        for image, label in zip(block.images, labels.tolist(), strict=True):
            if label < wanted and len(found[label]) < columns:
                found[label].append(_picture(image, side))
        if all(len(got) >= need for got, need in zip(found, full, strict=True)):
            break
    names = dataset.classes[:wanted] or ("",)
    return [Row(name, np.stack(got)) for name, got in zip(names, found, strict=True) if got]


def png(shown: Sequence[Row]) -> bytes:
    """The sheet as a PNG file: a line for each row, its name before its pictures."""
    image_module = pillow()
    from PIL import ImageDraw

    side = shown[0].pictures.shape[1] + _GAP
    left = _NAME_WIDTH if any(row.name for row in shown) else _GAP
    width = left + side * max(len(row.pictures) for row in shown)
    sheet = image_module.new("RGB", (width, side * len(shown) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for line, row in enumerate(shown):
        top = _GAP + side * line
        draw.text((_GAP, top + side // 2 - 8), _ascii(row.name), _INK)
        for column, picture in enumerate(row.pictures):
            sheet.paste(image_module.fromarray(picture), (left + side * column, top))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def _picture(image: np.ndarray, side: int) -> np.ndarray:
    """An image C x H x W as RGB pixels side x side x 3, as colours go: floats between extremes."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
        image = ((image - low) / (high - low or 1) * 255).astype(np.uint8)
    channels = [0, 1, 2] if len(image) >= 3 else [0, 0, 0]
    resized: np.ndarray = resize(image[np.newaxis, channels], (3, side, side))[0]
    return resized.transpose(1, 2, 0)


def _ascii(name: str) -> str:
    """What Pillow's own font can draw of a name."""
    text = name.encode("ascii", "replace").decode()
    return text if len(text) <= _NAME_LENGTH else f"{text[: _NAME_LENGTH - 1]}~"
