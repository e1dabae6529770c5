"""Activations in the layout that turns a neighbouring pixel into a shifted view of one column."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

import numpy as np


@dataclass(frozen=True)
class Geometry:
    """Size of an image plane and how it is stored: padded and split into phases.

    Pixel (y, x) of the padded plane lies in phase (y % phases, x % phases) at grid place
    (y // phases, x // phases). `before` and `after` pad rows and columns alike in (y, x) order.
    """

    height: int
    width: int
    phases: int = 1
    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of one phase."""
        sizes = (self.height, self.width)
        return tuple(  # type: ignore[return-value]
            -(-(size + before + after) // self.phases)
            for size, before, after in zip(sizes, self.before, self.after, strict=True)
        )


class FeatureMap:
    """One channel after the other, as float32 columns [phase, grid y, grid x, image].

    The image number changes fastest, so that the pixel (dy, dx) grid places further on of every
    image is the same column shifted by (dy * grid width + dx) * images rows: convolutions read
    their neighbours as views. Padding keeps the value it was made with.
    """

    def __init__(self, channels: int, images: int, geometry: Geometry, fill: float = 0.0) -> None:
        self.geometry, self.images, self.channels = geometry, images, channels
        height, width = geometry.grid
        phases = geometry.phases
        # Views run over whole grid rows, so that the last ones end one grid row too far.
        plane = (height + 1) * width * images
        self._columns = np.full((channels, phases, phases, plane), fill, np.float32)
        self.planes = self._columns[..., : height * width * images].reshape(
            channels, phases, phases, height, width, images
        )

    def view(self, channel: int, y: int, x: int, first_row: int, num_rows: int) -> np.ndarray:
        """The column whose row for grid place (gy, gx) is padded pixel (gy*phases+y, gx*phases+x).

        Grid rows `first_row` to `first_row + num_rows`, whole; y and x may exceed the phases.
        """
        phases, width = self.geometry.phases, self.geometry.grid[1]
        start = ((y // phases + first_row) * width + x // phases) * self.images
        column: np.ndarray = self._columns[channel, y % phases, x % phases]
        return column[start : start + num_rows * width * self.images]

    def pixels(self, channel: int) -> list[np.ndarray]:
        """For a map of one phase without padding: a column of images for each pixel, row-major."""
        plane = self.planes[channel, 0, 0]
        return [plane[y, x] for y in range(plane.shape[0]) for x in range(plane.shape[1])]

    def features(self) -> list[np.ndarray]:
        """`pixels` of every channel: the columns of the flattened tensor."""
        return [pixel for channel in range(self.channels) for pixel in self.pixels(channel)]


@dataclass(frozen=True)
class Copy:
    """Where a part of an output column goes: target[...] = column[source]."""

    source: tuple[slice, ...]
    target: np.ndarray


def copies(
    target: FeatureMap, channel: int, phase: tuple[int, int], phases: int, rows: range
) -> list[Copy]:
    """How phase `phase` of `phases` x `phases`, grid rows `rows`, is stored into `target`.

    The source column is seen as [grid row in `rows`, grid column, image].
    """
    geometry = target.geometry
    across = range(-(-geometry.width // phases))
    pixels_down = [phases * place + phase[0] for place in rows]
    pixels_across = [phases * place + phase[1] for place in across]
    vertical = _runs(pixels_down, geometry.height, geometry.before[0], geometry.phases)
    horizontal = _runs(pixels_across, geometry.width, geometry.before[1], geometry.phases)
    return [
        Copy((ys, xs), target.planes[channel, py, px, ty, tx])
        for ys, py, ty in vertical
        for xs, px, tx in horizontal
    ]


def _runs(pixels: list[int], size: int, before: int, phases: int) -> list[tuple[slice, int, slice]]:
    """(source places, target phase, target places) along one axis of unpadded length `size`.

    `pixels` holds the pixel at each source place, evenly spaced; those past `size` are dropped.
    """
    spacing = pixels[1] - pixels[0] if len(pixels) > 1 else 1
    period = lcm(spacing, phases) // spacing
    step = period * spacing // phases
    runs = []
    for first in range(min(period, len(pixels))):
        chosen = [pixel + before for pixel in pixels[first::period] if pixel < size]
        if chosen:
            start, count = chosen[0] // phases, len(chosen)
            runs.append(
                (
                    slice(first, first + (count - 1) * period + 1, period),
                    chosen[0] % phases,
                    slice(start, start + (count - 1) * step + 1, step),
                )
            )
    return runs
