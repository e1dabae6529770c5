"""How one image's tensor lies in memory, and a kernel bound to layouts and weights."""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.parameters import arrays, fields, words
from columnar_nn.record import Record, ValueRecord

LARGE_BYTES = 2**20
"""Of weights, from which on each image brings them into a second-level cache anew, page by page.

With smaller ones in huge pages, too, plain9 takes 1.5% longer for an image.
"""

Kind = Literal["uint8", "planar", "nchw16c", "nhwc_bf16", "int64"]

ITEM_BYTES = {"uint8": 1, "planar": 4, "nchw16c": 4, "nhwc_bf16": 2, "int64": 8}
NUMPY_TYPES: dict[str, np.dtype] = {
    "uint8": np.dtype(np.uint8),
    "planar": np.dtype(np.float32),
    "nchw16c": np.dtype(np.float32),
    "nhwc_bf16": np.dtype(np.uint16),
    "int64": np.dtype(np.int64),
}


class Layout(ValueRecord):
    """Memory of one image's tensor of `shape` (without the batch dimension).

    kind "planar" is row-major float32: CHW images or features. "uint8" is planar pixels and
    "int64" planar integers (argmax). "nchw16c" is float32 [ceil(C/16)][H][W][16]: channel c of
    a pixel is lane c % 16 of block c // 16; the lanes past C always hold zero. "nhwc_bf16" is
    bfloat16 [H][W][`pixel_items`], zero past C.
    """

    kind: Kind
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.kind in ("nchw16c", "nhwc_bf16") and len(self.shape) != 3:
            raise InvalidModelError(f"{self.kind} holds C x H x W images, not shape {self.shape}")

    @property
    def blocks(self) -> int:
        """Blocks of 16 channels, the last one perhaps not full."""
        return -(-self.shape[0] // LANES)

    @property
    def pixel_items(self) -> int:
        """Items that nhwc_bf16 stores for a pixel: its channels made 4, 16, or a multiple of 32."""
        channels = self.shape[0]
        return next((size for size in (4, 16) if channels <= size), -(-channels // 32) * 32)

    @property
    def num_items(self) -> int:
        """Items stored for an image, padding lanes included."""
        if self.kind == "nhwc_bf16":
            return self.pixel_items * self.shape[1] * self.shape[2]
        if self.kind == "nchw16c":
            return self.blocks * self.shape[1] * self.shape[2] * LANES
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        """Bytes stored for an image."""
        return self.num_items * ITEM_BYTES[self.kind]

    @property
    def dtype(self) -> np.dtype:
        """NumPy type of an item."""
        return NUMPY_TYPES[self.kind]

    def lies_as(self, other: Layout) -> bool:
        """Whether memory of this layout is also memory of `other`: a reshape moves nothing."""
        if self.kind in ("nchw16c", "nhwc_bf16"):
            return self == other
        return self.kind == other.kind and self.num_items == other.num_items


class BoundKernel(Record):
    """A kernel with its sizes and packed weights, ready to run on one image, or several `at_once`.

    `parameters` is the family's record of sizes, constants and packed arrays (see `parameters`).
    `scratch_floats` is what a thread needs while it runs, `multiply_adds` those really executed
    for an image (fewer than the operator's with Winograd, more with padded channels),
    `weight_bytes` the packed weights read for an image. `error_bound` is a convolution's
    `accuracy.bound`.
    """

    name: str
    function: Kernel
    parameters: tuple[Any, ...]
    input_layouts: tuple[Layout, ...]
    output_layout: Layout
    scratch_floats: int = 0
    multiply_adds: int = 0
    error_bound: float = 0.0
    at_once: bool = False

    @functools.cached_property
    def words(self) -> np.ndarray:
        """The parameters as the kernel reads them, int64."""
        return words(self.parameters)

    def load(self) -> None:
        """Loads its machine code from the cache, or compiles it."""
        _ = self.function.address, self.words

    @property
    def user_functions(self) -> list[str]:
        """Names of the functions of the user's that it computes, which may fail on some rows."""
        kernels = [value for value in fields(self.parameters) if isinstance(value, Kernel)]
        found = (kernel.python for kernel in (self.function, *kernels))
        return [python.name for python in found if python and not python.is_built_in]

    @functools.cached_property
    def weight_bytes(self) -> int:
        """Bytes of packed weights read for an image."""
        return sum(int(array.nbytes) for array in arrays(self.parameters))


def aligned(num_bytes: int) -> np.ndarray:
    """Zeroed uint8 memory that starts at a cache line and ends with the last whole one."""
    memory = np.zeros(num_bytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + num_bytes]


def packed(values: np.ndarray) -> np.ndarray:
    """A float32 copy of `values` in C order that starts at a cache line, in huge pages if large."""
    num_bytes = values.size * 4
    if num_bytes > LARGE_BYTES:
        from columnar_nn.kernels.huge_pages import HUGE_PAGES  # of few small networks

        memory = HUGE_PAGES.take(num_bytes)
    else:
        memory = aligned(num_bytes)
    copy = memory.view(np.float32).reshape(values.shape)
    copy[...] = values
    return copy


def lane_mask(layout: Layout) -> np.ndarray:
    """-1 in the lanes of the last block past the last channel, 0 in the others."""
    mask = np.zeros(LANES, np.float32)
    mask[(layout.shape[0] - 1) % LANES + 1 :] = -1.0
    return packed(mask)
