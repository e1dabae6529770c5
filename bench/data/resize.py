"""Images in arrays brought to the shape that a network takes."""

from __future__ import annotations

import numpy as np

from bench.data.source import ImageShape


def resize(images: np.ndarray, shape: ImageShape) -> np.ndarray:
    """Images [n, C, H, W] in another C x H x W: every pixel the nearest one's exact values.

    Channel c is channel c modulo the C there are. A shape with its channels last gets them last.
    """
    if channels_last(shape):
        planar = resize(images, planar_shape(shape))
        return np.ascontiguousarray(planar.transpose(0, 2, 3, 1))
    channels, height, width = images.shape[1:]
    plane = np.arange(shape[0]) % channels
    row, column = (
        (2 * np.arange(new) + 1) * old // (2 * new)  # by the pixels' centres
        for new, old in zip(shape[1:], (height, width), strict=True)
    )
    return np.ascontiguousarray(images[:, plane][:, :, row][..., column])


def channels_last(shape: ImageShape) -> bool:
    """Whether it is taken for H x W x C, as Keras exports it: only its last size is 1 or 3."""
    return shape[2] in (1, 3) and shape[0] not in (1, 3)


def planar_shape(shape: ImageShape) -> ImageShape:
    """The same shape with its channels first."""
    return (shape[2], shape[0], shape[1]) if channels_last(shape) else shape
