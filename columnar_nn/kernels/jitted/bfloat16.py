"""Products of tiles in bfloat16: panels of filters over groups of pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from numba import types

from columnar_nn.kernels import host
from columnar_nn.kernels.bfloat16_product import TILE_BYTES
from columnar_nn.kernels.bfloat16_tiles import GROUP_BYTES, TileProduct
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted import tiles as tile_registers
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
    """Of a panel's groups: filters, and what is stored of them; blocks of 16 filters, one or two,
    which take `row` bytes of a buffer for each pixel.
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
        buffers: Value,
    ) -> None:
        """`constants` are bias, mask, low and high; `memory` kept, places, residual, target."""
        self._e, self._shape = e, shape
        bias, mask, low, high = constants
        starts = [BLOCK_BYTES * block for block in range(shape.blocks)]
        self._bias = [e.load(bias + start, BLOCK) for start in starts]
        self._dropped = [e.load(mask + start, BLOCK) < 0.0 for start in starts]
        self._low, self._high = e.splat(low, LANES), e.splat(high, LANES)
        self._kept, self._places, self._residual, self._target = memory
        self._buffers = buffers

    def buffer_of(self, group: Value) -> Value:
        """Where a group's sums are stored; the next group's are elsewhere."""
        return self._buffers + (group % 2) * GROUP_BYTES

    def of(self, group: Value) -> tuple[Value, Value]:
        """The first of a group's results that are kept, and the next group's first."""
        first = self._kept + group * WORD_BYTES
        return self._e.load_word(first), self._e.load_word(first, 1)

    def finish(self, group: Value, first: Value, end: Value) -> None:
        """Puts some of the results of a group where they go."""
        e, shape = self._e, self._shape
        sums = self.buffer_of(group)
        with e.loop(end - first) as index:
            goal = e.load_word(self._places + (first + index) * WORD_BYTES)
            place, here = goal // GROUP_BYTES, sums + goal % GROUP_BYTES
            values = []
            for block in range(shape.blocks):
                value = e.load(here + BLOCK_BYTES * block, BLOCK)
                value = value + self._bias[block]
                if shape.has_residual:
                    there = min(shape.width, LANES)
                    added = self._residual + place + 2 * LANES * block
                    value = value + load_widened(e, added, there)
                clamped = e.clamp(value, self._low, self._high)
                values.append(self._dropped[block].select(0.0, clamped))
            if shape.is_float:
                for block, value in enumerate(values):
                    e.store(self._target + place + BLOCK_BYTES * block, value)
            else:
                store_narrowed(e, self._target + place, values, shape.width, host.has_bfloat16())


def panel_product(shape: _Shape) -> Any:
    """A function for kernels: the results of a panel of filters for groups of pixels.

        product(source, weights, offsets, steps, starts, count, kept, places, groups, row_bytes,
                configuration, bias, mask, residual, target, scratch, low, high)

    A group is four tiles: two of pixels by two of 16 filters, or four by one; of `count` tiles of
    pixels the last group has what is left. Its sums are stored to one of two buffers in scratch
    memory, from where they go to their places while the next group is multiplied, some after each
    step: so stores hide behind products.
    """
    of_block = POINTERS["block"]
    given = (raw, raw, words, integer, words, integer, words, words, integer, integer, raw)

    @emitted(types.none(*given, of_block, of_block, raw, raw, raw, number, number))
    def product(
        e: Emitter,
        source: Value,
        weights: Value,
        offsets: Value,
        steps: Value,
        starts: Value,
        count: Value,
        kept: Value,
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
        memory = (kept, places, residual, target)
        results = _Results(e, shape, (bias, mask, low, high), memory, scratch)
        tiles = tiles_of(shape.kind, e, configuration, scratch + 2 * GROUP_BYTES)
        with e.loop(groups) as group:
            for total in range(4):
                tiles.zero(total)
            first_tile = starts + group * (shape.tiles_down * WORD_BYTES)
            pixels = [e.load_word(first_tile, tile) for tile in range(shape.tiles_down)]
            there = count - group * shape.tiles_down
            is_later = group > 0
            before = is_later.select(group - 1, group)
            first, end = results.of(before)
            first = is_later.select(first, end)
            share = (end - first + (steps - 1)) // steps
            with e.loop(steps) as step:
                here = source + e.load_word(offsets + step * WORD_BYTES)
                filters = weights + step * (shape.blocks * TILE_BYTES)
                _multiply(e, tiles, [here + pixel for pixel in pixels], there, row_bytes, filters)
                some = e.least(first + step * share, end)
                results.finish(before, some, e.least(some + share, end))
            sums = results.buffer_of(group)
            for down in range(shape.tiles_down):
                with _if_there(e, down, there):
                    for right in range(shape.blocks):
                        place = sums + (down * LANES * shape.row + right * BLOCK_BYTES)
                        tiles.store(down * shape.blocks + right, place, e.word(shape.row))
        results.finish(groups - 1, *results.of(groups - 1))

    return product


def tile_use(kind: str) -> tuple[Any, Any]:
    """Functions for kernels: configure(configuration) and release()."""

    @emitted(types.none(raw))
    def configure(e: Emitter, configuration: Value) -> None:
        tile_registers.configure(kind, e, configuration)

    @emitted(types.none())
    def release(e: Emitter) -> None:
        tile_registers.release(kind, e)

    return configure, release


def _multiply(
    e: Emitter, tiles: Tiles, pixels: list[Value], there: Value, row_bytes: Value, filters: Value
) -> None:
    """A step: as many tiles of pixels as are there, by one of filters or by two.

    A tile is loaded just before it is needed first.
    """
    line = e.word(BLOCK_BYTES)
    if len(pixels) == 4:
        tiles.load(6, filters, line)
        for tile, place in enumerate(pixels):
            with _if_there(e, tile, there):
                tiles.load(4 + tile % 2, place, row_bytes)
                tiles.multiply_add(tile, 4 + tile % 2, 6)
        return
    tiles.load(4, pixels[0], row_bytes)
    tiles.load(6, filters, line)
    tiles.multiply_add(0, 4, 6)
    tiles.load(7, filters + TILE_BYTES, line)
    tiles.multiply_add(1, 4, 7)
    with _if_there(e, 1, there):
        tiles.load(5, pixels[1], row_bytes)
        tiles.multiply_add(2, 5, 6)
        tiles.multiply_add(3, 5, 7)


@contextmanager
def _if_there(e: Emitter, tile: int, there: Value) -> Iterator[None]:
    """Emits what is done if a group has a tile of pixels; it has the first one always."""
    if tile:
        with e.when(there > tile, likely=True):
            yield
    else:
        yield


def product(kind: str, width: int, output: str, residuals: int) -> Callable[..., None]:
    """Panels of `width` filters by tiles of a kind; `output` is nhwc_bf16 or planar float32.

    Parts share the panels or the groups of pixels. Each copies all lines, if they are to be copied.
    """
    shape = _Shape(kind, width, output == "planar", bool(residuals))
    multiply = panel_product(shape)
    configure, release = tile_use(kind)
    is_float, blocks, tiles_down = shape.is_float, shape.blocks, shape.tiles_down
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
        results = scratch + 3 * GROUP_BYTES
        goals = results if is_float else target
        if first < last and begin < end:
            read = source
            if p.copied.phases:
                read = results + p.panels * result_bytes
                copy_lines(p.copied, source, read)
            configure(p.configuration)
            for index in range(first, last):
                panel = panel_at(p.table + index * PANEL_WORDS)
                multiply(
                    read,
                    p.weights + panel.offset,
                    p.offsets + panel.first,
                    panel.steps,
                    p.starts + begin * tiles_down,
                    p.tiles - begin * tiles_down,
                    p.kept + begin,
                    p.places,
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
            release()
        if is_float:
            start, stop = first * width, min(last * width, p.outputs)
            if start < stop:
                copy(floats(target) + start, floats(results) + start, stop - start)

    return kernel
