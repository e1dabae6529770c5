"""Products of tiles in bfloat16: panels of filters over groups of pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from numba import types

from columnar_nn.kernels.bfloat16_product import TILE_BYTES
from columnar_nn.kernels.bfloat16_tiles import DUMP_BYTES, GROUP_BYTES, TileProduct
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.bfloat16_product import (
    PANEL_WORDS,
    copy_lines,
    load_widened,
    panel_at,
    store_narrowed,
)
from columnar_nn.kernels.jitted.blocks import number
from columnar_nn.kernels.jitted.compiler import emitted
from columnar_nn.kernels.jitted.emitter import BLOCK, Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, copy, floats, integer, share_either
from columnar_nn.kernels.jitted.tiles import Tiles, tiles_of
from columnar_nn.kernels.parameters import BLOCK_BYTES, WORD_BYTES, Bytes

raw, words = POINTERS["byte"], POINTERS["word"]


class _Shape(NamedTuple):
    """Of a panel's groups: filters, and what is stored of them; blocks of 16 filters, and results,
    one or two blocks each, `row` bytes of a buffer.
    """

    kind: str
    width: int
    is_float: bool
    has_residual: bool

    @property
    def blocks(self) -> int:
        return max(self.width, LANES) // LANES

    @property
    def tiles_down(self) -> int:
        return 4 // self.blocks

    @property
    def results(self) -> int:
        return self.tiles_down * LANES

    @property
    def row(self) -> int:
        return self.blocks * BLOCK_BYTES


class _Results:
    """The sums of a panel's groups on their way from scratch memory to their places."""

    def __init__(
        self,
        e: Emitter,
        shape: _Shape,
        constants: tuple[Value, Value, Value, Value],
        memory: tuple[Value, Value, Value, Value],
    ) -> None:
        """`constants` are bias, mask, low and high; `memory` places, residual, target, scratch."""
        self._e, self._shape = e, shape
        bias, mask, low, high = constants
        starts = [BLOCK_BYTES * block for block in range(shape.blocks)]
        self._bias = [e.load(bias + start, BLOCK) for start in starts]
        self._dropped = [e.load(mask + start, BLOCK) < 0.0 for start in starts]
        self._low, self._high = e.splat(low, LANES), e.splat(high, LANES)
        self._places, self._residual, self._target, self._dump = memory
        self.buffers = self._dump + DUMP_BYTES

    def buffer_of(self, group: Value) -> Value:
        """Where a group's sums are kept; the next group's are elsewhere."""
        return self.buffers + (group % 2) * GROUP_BYTES

    def finish(self, group: Value, first: Value, count: Value) -> None:
        """Puts some of the results of a group where they go."""
        e, shape = self._e, self._shape
        sums = self.buffer_of(group)
        places = self._places + group * (shape.results * WORD_BYTES)
        with e.loop(count) as index:
            result = first + index
            place = e.load_word(places + result * WORD_BYTES)
            known = place >= 0
            goal = known.select(self._target + place, self._dump)
            added = known.select(self._residual + place, self._dump)
            values = []
            for block in range(shape.blocks):
                value = e.load(sums + result * shape.row + BLOCK_BYTES * block, BLOCK)
                value = value + self._bias[block]
                if shape.has_residual:
                    there = min(shape.width, LANES)
                    value = value + load_widened(e, added + 2 * LANES * block, there)
                clamped = e.clamp(value, self._low, self._high)
                values.append(self._dropped[block].select(0.0, clamped))
            if shape.is_float:
                for block, value in enumerate(values):
                    e.store(goal + BLOCK_BYTES * block, value)
            else:
                store_narrowed(e, goal, values, shape.width, shape.kind == "amx")


def panel_product(shape: _Shape) -> Any:
    """A function for kernels: the results of a panel of filters for groups of pixels.

        product(source, weights, offsets, steps, starts, places, groups, row_bytes, configuration,
                bias, mask, residual, target, scratch, low, high)

    A group is four tiles: two of pixels by two of 16 filters, or four by one. Its sums are stored
    to one of two buffers in scratch memory, from where they go to their places while the next
    group is multiplied, some after each step: so stores hide behind products.
    """
    of_block = POINTERS["block"]
    given = (raw, raw, words, integer, words, words, integer, integer, raw, of_block, of_block)

    @emitted(types.none(*given, raw, raw, raw, number, number))
    def product(
        e: Emitter,
        source: Value,
        weights: Value,
        offsets: Value,
        steps: Value,
        starts: Value,
        places: Value,
        groups: Value,
        row_bytes: Value,
        configuration: Value,
        bias: Value,
        mask: Value,
        residual: Value,
        target: Value,
        scratch: Value,
        low: Value,
        high: Value,
    ) -> None:
        memory = (places, residual, target, scratch)
        results = _Results(e, shape, (bias, mask, low, high), memory)
        tiles = tiles_of(shape.kind, e, results.buffers + 2 * GROUP_BYTES)
        tiles.configure(configuration)
        all_results = e.word(shape.results)
        share = (all_results + (steps - 1)) // steps
        with e.loop(groups) as group:
            for total in range(4):
                tiles.zero(total)
            first_tile = starts + group * (shape.tiles_down * WORD_BYTES)
            pixels = [e.load_word(first_tile, tile) for tile in range(shape.tiles_down)]
            is_later = group > 0
            before = is_later.select(group - 1, group)
            pending = is_later.select(all_results, e.word(0))
            with e.loop(steps) as step:
                here = source + e.load_word(offsets + step * WORD_BYTES)
                filters = weights + step * (shape.blocks * TILE_BYTES)
                _multiply(e, tiles, [here + pixel for pixel in pixels], row_bytes, filters)
                first = e.least(step * share, pending)
                results.finish(before, first, e.least(first + share, pending) - first)
            sums = results.buffer_of(group)
            for total in range(4):
                down, right = total // shape.blocks, total % shape.blocks
                place = sums + (down * LANES * shape.row + right * BLOCK_BYTES)
                tiles.store(total, place, e.word(shape.row))
        tiles.release()
        results.finish(groups - 1, e.word(0), all_results)

    return product


def _multiply(
    e: Emitter, tiles: Tiles, pixels: list[Value], row_bytes: Value, filters: Value
) -> None:
    """A step: tiles of pixels by one of filters, or if they are two by two of filters.

    A tile is loaded just before it is needed first.
    """
    line = e.word(BLOCK_BYTES)
    if len(pixels) == 4:
        tiles.load(6, filters, line)
        for tile, place in enumerate(pixels):
            tiles.load(4 + tile % 2, place, row_bytes)
            tiles.multiply_add(tile, 4 + tile % 2, 6)
        return
    tiles.load(4, pixels[0], row_bytes)
    tiles.load(6, filters, line)
    tiles.multiply_add(0, 4, 6)
    tiles.load(7, filters + TILE_BYTES, line)
    tiles.multiply_add(1, 4, 7)
    tiles.load(5, pixels[1], row_bytes)
    tiles.multiply_add(2, 5, 6)
    tiles.multiply_add(3, 5, 7)


def product(kind: str, width: int, output: str, residuals: int) -> Callable[..., None]:
    """Panels of `width` filters by tiles of a kind; `output` is nhwc_bf16 or planar float32.

    Parts share the panels or the groups of pixels. Each copies all lines, if they are to be copied.
    """
    shape = _Shape(kind, width, output == "planar", bool(residuals))
    multiply = panel_product(shape)
    is_float, blocks, tiles_down, places = (
        shape.is_float,
        shape.blocks,
        shape.tiles_down,
        shape.results,
    )
    result_bytes = shape.row if is_float else 0

    def kernel(
        parameters: TileProduct,
        source: Bytes,
        second: Bytes,
        target: Bytes,
        scratch: Bytes,
        part: int,
        parts: int,
    ) -> None:
        p = parameters
        by_panels = p.panels >= parts or p.groups < parts
        first, last, begin, end = share_either(by_panels, p.panels, p.groups, part, parts)
        results = scratch + (DUMP_BYTES + 3 * GROUP_BYTES)
        goals = results if is_float else target
        read = source
        if p.copied.phases and first < last and begin < end:
            read = results + p.panels * result_bytes
            copy_lines(p.copied, source, read)
        for index in range(first, last):
            if begin < end:
                panel = panel_at(p.table + index * PANEL_WORDS)
                multiply(
                    read,
                    p.weights + panel.offset,
                    p.offsets + panel.first,
                    panel.steps,
                    p.starts + begin * tiles_down,
                    p.places + begin * places,
                    end - begin,
                    p.row_bytes,
                    p.configuration,
                    p.bias + index * blocks,
                    p.mask + index * blocks,
                    second + index * p.panel_bytes,
                    goals + index * p.panel_bytes,
                    scratch,
                    p.low,
                    p.high,
                )
        if is_float:
            start, stop = first * width, min(last * width, p.outputs)
            if start < stop:
                copy(floats(target) + start, floats(results) + start, stop - start)

    return kernel
