"""Images encoded as PNG or JPEG, decoded by Pillow into tensors, channels first.

They are as they are meant to be seen: turned as their EXIF orientation says. Transparency is
dropped, as by torchvision and TensorFlow: pixels keep their colours.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from columnar_nn.errors import InvalidDataError, MissingPackageError, first_line

FORMATS = ("PNG", "JPEG")
_BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")

MAX_PIXELS = 1 << 26
"""Of an image: a file of some kilobytes may say that it holds terabytes."""

_MODES = {1: "L", 3: "RGB"}

_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What brings an image of an EXIF orientation upright, as Pillow calls it (CIPA DC-008)."""

_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError),
    *(OverflowError, ZeroDivisionError, struct.error, zlib.error),
)
"""What Pillow raises where a file is not as its format says."""


def is_encoded(content: bytes) -> bool:
    """Whether it begins as a PNG or JPEG file does."""
    return content.startswith(_BEGINNINGS)


def decode(encoded: bytes, shape: tuple[int, int, int], resize: bool = False) -> np.ndarray:
    """The pixels of a PNG or JPEG file, uint8 C x H x W: grey if C is 1, red, green, blue if 3.

    With `resize` an image of another size is brought to it by bilinear interpolation. Raises
    InvalidDataError for what is no such file, for an image of another size otherwise, or of more
    than MAX_PIXELS; MissingPackageError without Pillow.
    """
    channels, height, width = shape
    with _upright(encoded) as image:
        if image.size != (width, height) and not resize:
            raise InvalidDataError(
                f"an image is {image.height} high and {image.width} wide, not {height} and "
                f"{width}: resize => true brings it to that size"
            )
        return _pixels(_scaled(image.convert(_MODES[channels]), (width, height)))


def decode_cropped(
    encoded: bytes, shape: tuple[int, int, int], shorter_side: int | None = None
) -> np.ndarray:
    """As `decode`, but an image is scaled in its proportions, and its centre taken.

    Its shorter side becomes `shorter_side`, which is no less than H and W, or as little as covers
    them. Sizes and places are rounded as torchvision's Resize and CenterCrop do. Of an image so
    long that it would have more than MAX_PIXELS then, no more than its centre is scaled.
    """
    channels, height, width = shape
    with _upright(encoded) as image:
        size = _covering(image.size, (width, height), shorter_side)
        left, top = (
            round((there - wanted) / 2) for there, wanted in zip(size, (width, height), strict=True)
        )
        centre = (left, top, left + width, top + height)
        plain = image.convert(_MODES[channels])
        if size[0] * size[1] <= MAX_PIXELS:
            return _pixels(_scaled(plain, size).crop(centre))
        across, down = image.width / size[0], image.height / size[1]
        box = [edge * step for edge, step in zip(centre, (across, down) * 2, strict=True)]
        return _pixels(plain.resize((width, height), pillow().Resampling.BILINEAR, box))


def upright_shape(encoded: bytes) -> tuple[int, int, int]:
    """C x H x W of an image, which is decoded to its end: 1 channel if it is grey, else 3."""
    with _upright(encoded) as image:
        grey = image.mode in ("1", "L", "LA")
        image.convert("RGB").close()  # some files can be opened and loaded, but not converted
        return (1 if grey else 3, image.height, image.width)


@contextmanager
def _upright(encoded: bytes) -> Iterator[Any]:
    """The decoded image; what goes wrong until the end of the block is InvalidDataError."""
    image_module = pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files that bend their format's rules
            with image_module.open(io.BytesIO(encoded), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise InvalidDataError(
                        f"an image has {image.width}x{image.height} pixels: at most "
                        f"{MAX_PIXELS:,} are decoded; scale it down"
                    )
                if image.mode.startswith(("I", "F")):
                    raise InvalidDataError("an image has more than 8 bits a channel: convert it")
                image.load()
                turn = _TURNS.get(_orientation(image))
                turned = image.transpose(image_module.Transpose[turn]) if turn else image
                yield turned
    except image_module.DecompressionBombError:  # Pillow's own limit is above this one
        raise InvalidDataError(
            f"an image has more than {MAX_PIXELS:,} pixels: scale it down"
        ) from None
    except _DAMAGE as error:
        reason = first_line(error)
        if isinstance(error, image_module.UnidentifiedImageError):
            reason = "it is neither PNG nor JPEG"  # Pillow tells an address
        raise InvalidDataError(f"an image cannot be decoded: {reason}") from None


def _orientation(image: Any) -> Any:
    """The EXIF orientation; of what is damaged there, that of an upright image."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except (*_DAMAGE, AttributeError):
        return 1


def _covering(
    size: tuple[int, int], wanted: tuple[int, int], shorter_side: int | None
) -> tuple[int, int]:
    """Width and height of an image scaled so that `wanted` can be cut out of it."""
    shorter = min(size)
    if shorter_side is not None:
        width, height = (int(shorter_side * side / shorter) for side in size)
        return width, height
    scale = max(new / old for new, old in zip(wanted, size, strict=True))
    width, height = (max(new, int(scale * old)) for new, old in zip(wanted, size, strict=True))
    return width, height


def _scaled(image: Any, size: tuple[int, int]) -> Any:
    if image.size == size:
        return image
    return image.resize(size, pillow().Resampling.BILINEAR)


def _pixels(image: Any) -> np.ndarray:
    """uint8 C x H x W."""
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def pillow() -> Any:
    """Pillow's module Image; raises MissingPackageError."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingPackageError("Pillow", "images") from None
    return Image
