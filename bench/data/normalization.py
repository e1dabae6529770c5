"""Mean and standard deviation by which a network's inputs are normalized."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.data.source import ImageShape
from columnar_nn.errors import InvalidModelError, UsageError

MEAN, STD = "mean", "std"
"""Keys of an ONNX file's metadata: one number for each channel, of pixels from 0 to 1."""

_SEPARATORS = re.compile(r"[\s,;]+")


@dataclass(frozen=True)
class Normalization:
    """(pixel / 255 - mean) / std, by channel; one number is that of all channels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __str__(self) -> str:
        return f"mean {_text(self.mean)}, std {_text(self.std)}"

    @property
    def metadata(self) -> dict[str, str]:
        """It as `of_metadata` reads it."""
        return {
            name: ",".join(map(repr, values))
            for name, values in ((MEAN, self.mean), (STD, self.std))
        }

    def of(self, images: np.ndarray, channel_axis: int) -> np.ndarray:
        """uint8 pixels, or float32 in their place, as float32 [n, ...]."""
        shape = [1] * images.ndim
        shape[channel_axis] = -1
        mean, std = (np.array(v, np.float32).reshape(shape) for v in (self.mean, self.std))
        scale = np.float32(255 if images.dtype == np.uint8 else 1)
        normalized: np.ndarray = (images.astype(np.float32) / scale - mean) / std
        return normalized

    def check(self, shape: ImageShape, channel_axis: int) -> None:
        """Raises UsageError unless there is a number for each channel of such images."""
        channels = shape[channel_axis - 1]
        for name, values in ((MEAN, self.mean), (STD, self.std)):
            if len(values) not in (1, channels):
                raise UsageError(
                    f"{name} {_text(values)}: the network's images have {channels} channel(s); "
                    "give one number, or one for each"
                )


def parse(mean: str | None, std: str | None) -> Normalization | None:
    """What --mean and --std say; None of neither. Raises UsageError for what are no numbers."""
    if mean is None and std is None:
        return None
    return Normalization(
        (0.0,) if mean is None else _option("--mean", mean),
        (1.0,) if std is None else _option("--std", std, positive=True),
    )


def of_metadata(metadata: Mapping[str, str]) -> Normalization | None:
    """What a model's metadata says; None of none. Raises InvalidModelError for no numbers."""
    if MEAN not in metadata and STD not in metadata:
        return None
    return Normalization(_entry(MEAN, metadata, 0.0), _entry(STD, metadata, 1.0))


def _option(name: str, text: str, positive: bool = False) -> tuple[float, ...]:
    values = _numbers(text)
    if not values or (positive and min(values) <= 0):
        kind = "positive numbers" if positive else "numbers"
        raise UsageError(
            f"{name} {text!r}: expected one number, or {kind} of the channels, of pixels from 0 to "
            "1, such as 0.485,0.456,0.406"
        )
    return values


def _entry(key: str, metadata: Mapping[str, str], absent: float) -> tuple[float, ...]:
    text = metadata.get(key)
    values = (absent,) if text is None else _numbers(text)
    if not values or (key == STD and min(values) <= 0):
        raise InvalidModelError(
            f"the model's metadata has {key} {str(text)[:80]!r}, which is no number for each "
            "channel: export it with them, or give --mean and --std"
        )
    return values


def _numbers(text: str) -> tuple[float, ...]:
    """Finite numbers, as JSON or with separators; none if one is not."""
    try:
        stripped = text.strip()
        found = json.loads(stripped) if stripped.startswith("[") else _SEPARATORS.split(stripped)
        values = tuple(float(value) for value in found)
    except (ValueError, TypeError, RecursionError, OverflowError):
        return ()
    return values if all(map(math.isfinite, values)) else ()


def _text(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
