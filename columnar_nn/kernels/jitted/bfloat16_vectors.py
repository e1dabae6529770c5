"""Products in bfloat16 by vectors of pairs: tiles of pixels by filters in registers.

VDPBF16PS adds to each of 16 float32 the product of two bfloat16 by two, the odd one first, each
rounded to the nearest; it takes denormals for zero and makes zero of what would be one (Intel,
Architectures Software Developer's Manual, volume 2). So a sum runs over all pairs in order, which
is another one than AMX's, where each step is summed for itself: results differ in the last bits.

A tile's sums stay in registers over all steps. For each pair of terms it loads a vector of each
block of 16 filters, and one pair of each pixel in every lane, which both blocks multiply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types

from columnar_nn.kernels.bfloat16_product import TILE_BYTES, blocks_of
from columnar_nn.kernels.bfloat16_vectors import VectorProduct, VectorTile
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.accumulators import sizes
from columnar_nn.kernels.jitted.bfloat16_lanes import PAIRS, add_pairs
from columnar_nn.kernels.jitted.bfloat16_product import (
    PANEL_WORDS,
    copy_lines,
    load_widened,
    panel_at,
    store_narrowed,
)
from columnar_nn.kernels.jitted.blocks import number, sum_of_lanes
from columnar_nn.kernels.jitted.compiler import emitted
from columnar_nn.kernels.jitted.emitter import BLOCK, INT32, Emitter, Value, Variable
from columnar_nn.kernels.jitted.memory import POINTERS, copy, integer, share_either
from columnar_nn.kernels.jitted.records import record_at
from columnar_nn.kernels.parameters import BLOCK_BYTES, FLOAT_BYTES, WORD_BYTES, Bytes

TILE_WORDS = len(VectorTile._fields)

UNROLL = 4
"""Pairs that a loop step handles."""

CHAINS = 8
"""Sums that must be under way at once: each takes six cycles, and one begins in every cycle."""

ROW_CHAINS = 2
"""Sums of a row of an image of one pixel, of how many images there ever are: together they are
enough of one, and few enough of TILE_ROWS.
"""

TILE_PIXELS = len(sizes())

TILE_ROWS = TILE_PIXELS // ROW_CHAINS

tile_at = record_at(VectorTile)

raw, words = POINTERS["byte"], POINTERS["word"]


def product_tile(
    pairs: int,
    width: int,
    output: str,
    residuals: int,
    ragged: int,
    few: int,
    by_instruction: int = 1,
    chains: int = 0,
    half: int = 0,
) -> Any:
    """A function for kernels: the results of a tile of pixels for a panel of filters.

        tile(pixels, source, row_bytes, weights, offsets, steps, bias, mask, residual, target,
             target_bytes, low, high)

    A step has so many `pairs` of terms. `row_bytes` is from pixel to pixel in the source,
    `target_bytes` in residual and target; of nchw16c that is from block to block. The mask is
    looked at if some panel is `ragged`. If `few` is not 0 there are so many filters, each
    multiplied alone. Sums are those of so many `chains`, or of as many as `sums_of_steps` takes.
    With `half`, TILE_PIXELS more pixels mean a panel whose second block has no filters.
    """
    is_blocked = output == "nchw16c"
    blocks = blocks_of(width)
    of_block = POINTERS["block"]
    given = (integer, raw, integer, raw, words, integer, of_block, of_block)

    @emitted(types.none(*given, raw, raw, integer, number, number))
    def tile(
        e: Emitter,
        pixels: Value,
        source: Value,
        row_bytes: Value,
        weights: Value,
        offsets: Value,
        steps: Value,
        bias: Value,
        mask: Value,
        residual: Value,
        target: Value,
        target_bytes: Value,
        low: Value,
        high: Value,
    ) -> None:
        def emit(case: int) -> None:
            size, is_half = (case - 1) % TILE_PIXELS + 1, case > TILE_PIXELS
            starts = [BLOCK_BYTES * block for block in range(1 if is_half else blocks)]
            first = [e.load(bias + start, BLOCK) for start in starts]
            read = (source, row_bytes, weights, offsets, steps)
            if few:
                rows = [[total + first[0]] for total in sums_of_few(e, size, few, *read)]
            else:
                rows = sums_of_steps(
                    *(e, size, first, pairs, *read),
                    by_instruction=by_instruction,
                    chains=chains,
                    step_blocks=blocks,
                )
            dropped = [e.load(mask + start, BLOCK) < 0.0 for start in starts]
            lowest, highest = e.splat(low, LANES), e.splat(high, LANES)
            for pixel, row in enumerate(rows):
                place = e.word(BLOCK_BYTES * pixel) if is_blocked else target_bytes * pixel
                results = []
                for block, total in enumerate(row):
                    value = total
                    if residuals:
                        here = residual + place + 2 * LANES * block
                        value = value + load_widened(e, here, min(width, LANES))
                    clamped = e.clamp(value, lowest, highest)
                    results.append(dropped[block].select(0.0, clamped) if ragged else clamped)
                if output == "nhwc_bf16":
                    results += [e.constant(BLOCK, 0.0)] * (blocks - len(results))
                    store_narrowed(e, target + place, results, width, bool(by_instruction))
                    continue
                for block, value in enumerate(results):
                    start = target_bytes * block if is_blocked else BLOCK_BYTES * block
                    e.store(target + place + start, value)

        most = TILE_PIXELS // max(1, chains)
        cases = [TILE_PIXELS * kind + size for kind in range(1 + half) for size in sizes()[:most]]
        e.switch(pixels, cases, emit)

    return tile


def sums_of_steps(
    e: Emitter,
    size: int,
    first: list[Value],
    pairs: int,
    source: Value,
    row_bytes: Value,
    weights: Value,
    offsets: Value,
    steps: Value,
    ahead: int = 0,
    by_instruction: int = 1,
    chains: int = 0,
    step_blocks: int = 0,
) -> list[list[Value]]:
    """Sums over all steps, [pixel][block], which begin as `first`, a value of each block. Few of
    them are begun several times, and added up; or all in so many `chains`, if that is not 0.
    A step's weights are of as many blocks, or of `step_blocks`.

    Weights are asked for `ahead` bytes before their use, if that is not 0. That pays where they
    come from beyond the second-level cache: layers of tokens take 0.82 of the time so, convolutions
    of a thousand channels up to 1.3 times as long.
    """
    unroll = UNROLL if pairs % UNROLL == 0 else pairs
    blocks = len(first)
    chains = chains or min(unroll, -(-CHAINS // (size * blocks)))
    begun = [first, *[[e.constant(BLOCK, 0.0)] * blocks for _ in range(1, chains)]]
    slots = [[[e.variable(value) for value in row] for _ in range(size)] for row in begun]
    with e.loop(steps) as step:
        here = source + e.load_word(offsets + step * WORD_BYTES)
        filters = weights + step * ((step_blocks or blocks) * TILE_BYTES)
        with e.loop(e.word(pairs // unroll)) as group:
            start, row = here + group * (4 * unroll), filters + group * (BLOCK_BYTES * unroll)
            sums = [[[slot.value for slot in pixel] for pixel in chain] for chain in slots]
            for pair in range(unroll):
                chain = sums[pair % chains]
                factors = [
                    e.load(row + (TILE_BYTES * block + BLOCK_BYTES * pair), PAIRS)
                    for block in range(blocks)
                ]
                if ahead:
                    for block in range(blocks):
                        e.prefetch(row + (TILE_BYTES * block + BLOCK_BYTES * pair + ahead))
                for pixel in range(size):
                    place = start + row_bytes * pixel + 4 * pair
                    terms = e.splat(e.load(place, INT32, 2), LANES)
                    for block, factor in enumerate(factors):
                        total = chain[pixel][block]
                        chain[pixel][block] = add_pairs(
                            e, total, factor, terms, bool(by_instruction)
                        )
            for chain_slots, chain in zip(slots, sums, strict=True):
                for pixel_slots, totals in zip(chain_slots, chain, strict=True):
                    for slot, total in zip(pixel_slots, totals, strict=True):
                        slot.value = total
    return [[_total([chain[p][b] for chain in slots]) for b in range(blocks)] for p in range(size)]


def _total(slots: list[Variable]) -> Value:
    total = slots[0].value
    for slot in slots[1:]:
        total = total + slot.value
    return total


def sums_of_few(
    e: Emitter,
    size: int,
    filters: int,
    source: Value,
    row_bytes: Value,
    weights: Value,
    offsets: Value,
    steps: Value,
) -> list[Value]:
    """As `sums_of_steps` of few filters, DEPTH terms a step, which are one vector: the sums of each
    pixel are lanes.
    """

    def sums(filter_: int) -> list[Value]:
        slots = [e.variable(e.constant(BLOCK, 0.0)) for _ in range(size)]
        with e.loop(steps) as step:
            here = source + e.load_word(offsets + step * WORD_BYTES)
            place = weights + step * (filters * BLOCK_BYTES) + BLOCK_BYTES * filter_
            factors = e.load(place, PAIRS)
            for pixel, slot in enumerate(slots):
                terms = e.load(here + row_bytes * pixel, PAIRS, 2)
                slot.value = add_pairs(e, slot.value, factors, terms)
        return [sum_of_lanes(e, slot.value) for slot in slots]

    rows = []
    for totals in zip(*map(sums, range(filters)), strict=True):
        lanes = e.constant(BLOCK, 0.0).ir
        for lane, total in enumerate(totals):
            lanes = e.builder.insert_element(lanes, total.ir, INT32(lane))
        rows.append(e.of(lanes))
    return rows


def product(
    pairs: int, width: int, residuals: int, ragged: int, few: int, half: int
) -> Callable[..., None]:
    """Panels of `width` filters, a step of which has so many pairs of terms. If `few` is not 0
    there are so many filters, each multiplied alone. With `half`, the last panel's second block has
    none.

    Parts share the panels or the tiles. Each copies all lines, if they are to be copied.
    """
    multiply = product_tile(pairs, width, "nhwc_bf16", residuals, ragged, few, half=half)
    blocks = blocks_of(width)

    def kernel(
        parameters: VectorProduct,
        source: Bytes,
        second: Bytes,
        target: Bytes,
        scratch: Bytes,
        part: int,
        parts: int,
    ) -> None:
        p = parameters
        by_panels = p.panels >= parts or p.tiles < parts
        first, last, begin, end = share_either(by_panels, p.panels, p.tiles, part, parts)
        read = source
        if p.copied.phases and first < last and begin < end:
            read = scratch
            copy_lines(p.copied, source, read)
        for index in range(first, last):
            panel = panel_at(p.table + index * PANEL_WORDS)
            more = TILE_PIXELS if half and index + 1 == p.panels else 0
            for which in range(begin, end):
                tile = tile_at(p.places + which * TILE_WORDS)
                place = index * p.panel_bytes + tile.target
                multiply(
                    tile.pixels + more,
                    read + tile.source,
                    p.row_bytes,
                    p.weights + panel.offset,
                    p.offsets + panel.first,
                    panel.steps,
                    p.bias + index * blocks,
                    p.mask + index * blocks,
                    second + place,
                    target + place,
                    p.target_bytes,
                    p.low,
                    p.high,
                )

    return kernel


def rows(pairs: int, width: int, output: str, ragged: int) -> Callable[..., None]:
    """As `product`, of images of one pixel, of which a group is a product of matrices: a panel's
    weights are read once for all of them. An image's sums are the same in any group.

    Parts share the panels. Scratch: float32 results of a panel that is not full.
    """
    multiply = product_tile(pairs, width, output, 0, ragged, 0, chains=ROW_CHAINS)
    is_float, blocks = output == "planar", blocks_of(width)

    def kernel(
        parameters: VectorProduct,
        source: Bytes,
        target: Bytes,
        scratch: Bytes,
        part: int,
        parts: int,
        images: int,
        source_bytes: int,
        target_bytes: int,
    ) -> None:
        p = parameters
        tiles = (images + (TILE_ROWS - 1)) // TILE_ROWS
        for index in range(p.panels * part // parts, p.panels * (part + 1) // parts):
            panel = panel_at(p.table + index * PANEL_WORDS)
            is_part = is_float and (index + 1) * width > p.outputs
            for tile in range(tiles):
                first, end = images * tile // tiles, images * (tile + 1) // tiles
                place = target + (first * target_bytes + index * p.panel_bytes)
                multiply(
                    end - first,
                    source + first * source_bytes,
                    source_bytes,
                    p.weights + panel.offset,
                    p.offsets + panel.first,
                    panel.steps,
                    p.bias + index * blocks,
                    p.mask + index * blocks,
                    place,
                    scratch if is_part else place,
                    p.panel_bytes if is_part else target_bytes,
                    p.low,
                    p.high,
                )
                if is_part:
                    left = (p.outputs - index * width) * FLOAT_BYTES
                    for image in range(end - first):
                        copy(place + image * target_bytes, scratch + image * p.panel_bytes, left)

    return kernel
