"""Which steps of a program take image by image, and which a group of images before the next.

Image by image, what is between two steps stays in a core's cache, and all weights come through it
for every image. That is right while images are large. Deep in a large network images have shrunk
and weights have grown: there a group of images goes through a step before the next, and the step's
weights are read once for all of them.

The rule counts the bytes that come from beyond the second-level cache, for each image:

    weights       of a step whose weights outgrow that cache: all; or, if its kernel takes a group
                  at once, its share of them
    activations   of a step whose inputs and output outgrow it, in a group those of all its images

Of no group and of all groups from a step on to the end, of 4, 8 or 16 images, it takes the fewest,
unless a step's activations of a group outgrow a share of the third-level cache.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from columnar_nn.kernels.layout import BoundKernel
from columnar_nn.record import ValueRecord

GROUPS = (4, 8, 16)

CACHE_BYTES = 2**20
"""What outgrows a core's own cache."""

GROUP_BYTES = 2**24
"""Most activations of a group at a step: half of a third-level cache of 32 MiB."""


class Regions(ValueRecord):
    """The first step that groups of up to `images` images go through; the steps before it, or all
    if there are no more, take image by image.
    """

    first_grouped: int
    images: int

    def group(self, rows: int, members: int = 1) -> int:
        """Images of a group, so that threads share so many rows, and groups are of one size."""
        most = min(self.images, -(-rows // members))
        return -(-rows // -(-rows // most)) if most > 1 else 1


IMAGE_BY_IMAGE = Regions(sys.maxsize, 1)
"""No step takes groups."""


def choose(kernels: Sequence[BoundKernel]) -> Regions:
    """The regions of a program of such steps, by the rule."""
    alone = sum(_alone(kernel) for kernel in kernels)
    best, least = IMAGE_BY_IMAGE, float(alone)
    for images in GROUPS:
        for first, moved in _from_each_step(kernels, alone, images):
            if moved < least:
                best, least = Regions(first, images), moved
    return best


def _from_each_step(
    kernels: Sequence[BoundKernel], alone: int, images: int
) -> Iterator[tuple[int, float]]:
    """(first grouped step, bytes an image), the last step first, while groups fit."""
    moved = float(alone)
    for first in range(len(kernels) - 1, -1, -1):
        kernel = kernels[first]
        if images * _activations(kernel) > GROUP_BYTES:
            return
        moved += _grouped(kernel, images) - _alone(kernel)
        yield first, moved


def _activations(kernel: BoundKernel) -> int:
    layouts = (*kernel.input_layouts, kernel.output_layout)
    return sum(layout.num_bytes for layout in layouts)


def _passing(num_bytes: int) -> int:
    """Bytes that come from beyond the cache of so many that are read again and again."""
    return num_bytes if num_bytes > CACHE_BYTES else 0


def _alone(kernel: BoundKernel) -> int:
    return _passing(kernel.weight_bytes) + _passing(_activations(kernel))


def _grouped(kernel: BoundKernel, images: int) -> float:
    weights = _passing(kernel.weight_bytes)
    activations = _activations(kernel)
    passing = activations if _passing(images * activations) else 0
    return weights / (images if kernel.at_once else 1) + passing
