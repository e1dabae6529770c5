"""Predicted cost of a convolution's algorithms: the cheapest that `accuracy` admits is chosen.

Cost is counted in multiply-adds at the microkernel's own speed, so that it does not depend on
the processor's clock or width:

    direct       the multiply-adds of whole blocks of 16 filters with the channels that are read
    winograd_fm  products: tiles * (m + 2)^2 * channels * filters, both rounded up to blocks of 16,
                 plus the transforms of every tile of 16 channels or filters at a measured price
    both         bytes of packed weights past those that stay in the second-level cache; where
                 they outgrow it, a group of images reads them once (`regions`)

A tile that reaches past the edge costs as much as a whole one: that raggedness is what makes
F(6x6) lose to F(5x5) on an output of 20 x 20. Many channels of very few pixels make a smaller
tile, or direct convolution, win: a large tile has more weights to read. Prices are measured with
AVX2, at 8 multiply-adds a cycle. Over the 3x3 layers of plain9, resnet20 and resnet18, weights
counted for every image, the choice of the cheapest took 1.5 % more time than the best with AVX2.
"""

from __future__ import annotations

from columnar_nn.kernels.convolution import Convolution
from columnar_nn.kernels.direct import channels_read
from columnar_nn.kernels.host import LANES, vector_width
from columnar_nn.kernels.parameters import FLOAT_BYTES
from columnar_nn.kernels.regions import CACHE_BYTES, GROUPS

DIRECT = "direct"

TILE_SIZES = (2, 4, 5, 6)

TILE = 1500
"""Price of a tile's bookkeeping, in multiply-adds, like the prices below."""

INPUT_TRANSFORM = {2: 1700, 4: 3700, 5: 5600, 6: 8700}
"""Price of transforming one tile of 16 channels."""

OUTPUT_TRANSFORM = {2: 2000, 4: 3500, 5: 5500, 6: 9000}
"""Price of starting and storing the products of one tile and 16 filters, and transforming them
back.
"""

CACHED_WEIGHT_BYTES = 2**18
"""Packed weights of a layer that stay in the second-level cache from image to image."""

WEIGHT_BYTE = {4: 0.7, 8: 1.5, 16: 1.6}
"""Price of each other byte, by vector width: wider vectors multiply more while they wait for it.

Of 16, measured with F(4x4) of 512 channels and 7 x 7 pixels, 38 MB: 1.0 from the memory of a Zen 4,
2.2 from the third-level cache of an Emerald Rapids.
"""


def winograd_name(m: int) -> str:
    """Name of F(m x m, 3 x 3) among the algorithms."""
    return f"winograd_f{m}"


def winograd_applies(convolution: Convolution) -> bool:
    """Whether Winograd's algorithm can compute this convolution: 3x3, stride 1, one group."""
    return (
        convolution.weight.shape[2:] == (3, 3)
        and convolution.strides == (1, 1)
        and convolution.dilations == (1, 1)
        and convolution.groups == 1
        and convolution.input.kind == "nchw16c"
    )


def _traffic_cost(weights: int) -> int:
    """Price of float32 weights that come from beyond the cache.

    Weights that outgrow it are read once for a group, of the fewest images that it may have.
    """
    num_bytes = FLOAT_BYTES * weights
    beyond = max(0, num_bytes - CACHED_WEIGHT_BYTES)
    readers = GROUPS[0] if num_bytes > CACHE_BYTES else 1
    return int(beyond * WEIGHT_BYTE[vector_width()] / readers)


def _winograd_cost(convolution: Convolution, m: int) -> int:
    _, height, width = convolution.output.shape
    tiles = -(-height // m) * -(-width // m)
    sources, targets = convolution.input.blocks, convolution.output.blocks
    products = (m + 2) ** 2 * sources * targets * LANES * LANES
    transforms = sources * INPUT_TRANSFORM[m] + targets * OUTPUT_TRANSFORM[m]
    return tiles * (TILE + products + transforms) + _traffic_cost(products)


def _direct_cost(convolution: Convolution) -> int:
    _, height, width = convolution.output.shape
    filters, group_channels, kernel_height, kernel_width = map(int, convolution.weight.shape)
    taps = int(kernel_height * kernel_width)
    if convolution.is_depthwise:
        return taps * height * width * filters
    if filters > 3:
        filters = convolution.output.blocks * LANES
    if convolution.groups == 1:
        group_channels = channels_read(convolution)
    elif convolution.input.kind == "nchw16c":
        group_channels = -(-group_channels // LANES) * LANES
    weights = taps * filters * group_channels
    return weights * height * width + _traffic_cost(weights)


def predict(convolution: Convolution) -> dict[str, int]:
    """Cost of every algorithm that applies, direct convolution's first."""
    costs = {DIRECT: _direct_cost(convolution)}
    if winograd_applies(convolution):
        for m in TILE_SIZES:
            costs[winograd_name(m)] = _winograd_cost(convolution, m)
    return costs
