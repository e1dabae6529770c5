"""Images encoded as PNG or JPEG, decoded by Pillow into tensors, channels first."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from columnar_nn.errors import InvalidDataError, MissingPackageError, first_line

FORMATS = ("PNG", "JPEG")

MAX_PIXELS = 1 << 26
"""Of an image: a file of some kilobytes may say that it holds terabytes."""

_MODES = {1: "L", 3: "RGB"}


def decode(encoded: bytes, shape: tuple[int, int, int], resize: bool = False) -> np.ndarray:
    """The pixels of a PNG or JPEG file, uint8 C x H x W: grey if C is 1, red, green, blue if 3.

    Transparency is dropped. With `resize` an image of another size is brought to it by bilinear
    interpolation. Raises InvalidDataError for what is no such file, for an image of another size
    otherwise, or of more than MAX_PIXELS; MissingPackageError without Pillow.
    """
    image_module = _pillow()
    channels, height, width = shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files that bend their format's rules
            with image_module.open(io.BytesIO(encoded), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise InvalidDataError(
                        f"an image has {image.width}x{image.height} pixels: at most {MAX_PIXELS:,}"
                    )
                if image.mode.startswith(("I", "F")):
                    raise InvalidDataError("an image has more than 8 bits a channel: convert it")
                if image.size != (width, height) and not resize:
                    raise InvalidDataError(
                        f"an image is {image.height} high and {image.width} wide, not {height} and "
                        f"{width}: resize => true brings it to that size"
                    )
                converted = image.convert(_MODES[channels])
            if converted.size != (width, height):
                converted = converted.resize((width, height), image_module.Resampling.BILINEAR)
            pixels = np.asarray(converted).reshape(height, width, channels)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        # what Pillow raises where a file is not as its format says
        reason = first_line(error)
        if isinstance(error, image_module.UnidentifiedImageError):
            reason = "it is neither PNG nor JPEG"  # Pillow tells an address
        raise InvalidDataError(f"an image cannot be decoded: {reason}") from None
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise MissingPackageError("Pillow", "images") from None
    return Image
