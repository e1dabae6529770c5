"""Products of tiles in bfloat16: panels of filters over groups of pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from columnar_nn.kernels import host
from columnar_nn.kernels.bfloat16 import (
    DUMP_BYTES,
    GROUP_BYTES,
    TILE_BYTES,
    TilePanel,
    TileProduct,
)
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import number
from columnar_nn.kernels.jitted.compiler import emitted, inlined
from columnar_nn.kernels.jitted.emitter import BLOCK, INT32, Emitter, Value
from columnar_nn.kernels.jitted.memory import (
    POINTERS,
    clear,
    copy,
    floats,
    integer,
    share_either,
)
from columnar_nn.kernels.jitted.records import record_at
from columnar_nn.kernels.jitted.tiles import filled, half_lanes, narrowed, tiles_of, widened
from columnar_nn.kernels.parameters import BLOCK_BYTES, WORD_BYTES, Bytes

PANEL_WORDS = len(TilePanel._fields)

panel_at = record_at(TilePanel)

raw, words = POINTERS["byte"], POINTERS["word"]


@inlined
def copy_lines(p: TileProduct, source: Bytes, target: Bytes) -> None:
    """Copies the lines of every phase, with zeros around the image."""
    left = min(p.left_bytes, p.line_bytes)
    inside = min(p.image_line_bytes, p.line_bytes - left)
    for phase in range(p.phases):
        y = p.tops[phase]
        for _ in range(p.phase_lines):
            if 0 <= y < p.height:
                clear(target, left)
                copy(target + left, source + y * p.image_line_bytes, inside)
                clear(target + (left + inside), p.line_bytes - left - inside)
            else:
                clear(target, p.line_bytes)
            target = target + p.line_bytes
            y += p.stride_y


def panel_product(kind: str, width: int, is_float: bool, has_residual: bool) -> Any:
    """A function for kernels: the results of a panel of filters for groups of pixels.

        product(source, weights, offsets, steps, starts, places, groups, row_bytes, configuration,
                bias, mask, residual, target, scratch, low, high)

    A group is four tiles: two of pixels by two of 16 filters, or four by one. Its sums are stored
    to one of two buffers in scratch memory, from where they go to their places while the next
    group is multiplied, some after each step: so stores hide behind products.
    """
    blocks = max(width, LANES) // LANES
    tiles_down = 4 // blocks
    results = tiles_down * LANES
    row = blocks * BLOCK_BYTES  # of a buffer

    addresses = (raw, raw, words, integer, words, words, integer, integer, raw)
    more = (POINTERS["block"], POINTERS["block"], raw, raw, raw, number, number)

    @emitted(types.none(*addresses, *more))
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
        buffers = scratch + DUMP_BYTES
        tiles = tiles_of(kind, e, buffers + 2 * GROUP_BYTES)
        own_bias = [e.load(bias + BLOCK_BYTES * b, BLOCK) for b in range(blocks)]
        dropped = [e.load(mask + BLOCK_BYTES * b, BLOCK) < 0.0 for b in range(blocks)]
        low, high = e.splat(low, LANES), e.splat(high, LANES)
        tile_bytes = e.word(BLOCK_BYTES)

        def buffer_of(group: Value) -> Value:
            return buffers + (group % 2) * GROUP_BYTES

        def start_of(group: Value, tile: int) -> Value:
            return e.load_word(starts + (group * tiles_down + tile) * WORD_BYTES)

        def finish(group: Value, first: Value, count: Value) -> None:
            """Puts some of the results of a group where they go."""
            sums, goals = buffer_of(group), places + group * (results * WORD_BYTES)
            with e.loop(count) as index:
                result = first + index
                place = e.load_word(goals + result * WORD_BYTES)
                known = place >= 0
                goal = known.select(target + place, scratch)
                values = []
                for b in range(blocks):
                    value = e.load(sums + result * row + BLOCK_BYTES * b, BLOCK) + own_bias[b]
                    if has_residual:
                        added = known.select(residual + place, scratch)
                        value = value + _loaded(e, added + 2 * LANES * b, min(width, LANES))
                    values.append(dropped[b].select(0.0, e.clamp(value, low, high)))
                if is_float:
                    for b, value in enumerate(values):
                        e.store(goal + BLOCK_BYTES * b, value)
                else:
                    _store(e, goal, values, width, kind == "amx")

        tiles.configure(configuration)
        share = (e.word(results - 1) + steps) // steps
        with e.loop(groups) as group:
            for total in range(4):
                tiles.zero(total)
            pixels = [start_of(group, tile) for tile in range(tiles_down)]
            pending = (group > 0).select(e.word(results), e.word(0))
            before = (group > 0).select(group - 1, group)
            with e.loop(steps) as step:
                here = source + e.load_word(offsets + step * WORD_BYTES)
                filters = weights + step * (blocks * TILE_BYTES)
                if blocks == 2:
                    tiles.load(4, here + pixels[0], row_bytes)
                    tiles.load(6, filters, tile_bytes)
                    tiles.multiply_add(0, 4, 6)
                    tiles.load(7, filters + TILE_BYTES, tile_bytes)
                    tiles.multiply_add(1, 4, 7)
                    tiles.load(5, here + pixels[1], row_bytes)
                    tiles.multiply_add(2, 5, 6)
                    tiles.multiply_add(3, 5, 7)
                else:
                    tiles.load(6, filters, tile_bytes)
                    for tile in range(4):
                        tiles.load(4 + tile % 2, here + pixels[tile], row_bytes)
                        tiles.multiply_add(tile, 4 + tile % 2, 6)
                first = e.least(step * share, pending)
                finish(before, first, e.least(first + share, pending) - first)
            sums = buffer_of(group)
            for total in range(4):
                down, right = total // blocks, total % blocks
                place = sums + (down * LANES * row + right * BLOCK_BYTES)
                tiles.store(total, place, e.word(row))
        tiles.release()
        finish(groups - 1, e.word(0), e.word(results))

    return product


def _loaded(e: Emitter, place: Value, count: int) -> Value:
    """A block of bfloat16, of which `count` are there."""
    return filled(e, widened(e, e.load(place, half_lanes(count), 2)))


def _store(e: Emitter, goal: Value, values: list[Value], width: int, by_instruction: bool) -> None:
    """Stores `width` lanes of one block or two, rounded."""
    both = values[0]
    if width != LANES:
        lanes = ir.Constant(ir.VectorType(INT32, width), list(range(width)))
        both = e.of(e.builder.shuffle_vector(values[0].ir, values[-1].ir, lanes))
    e.store(goal, narrowed(e, both, by_instruction or host.rounds_to_bfloat16()), 2)


def product(kind: str, width: int, output: str, residuals: int) -> Callable[..., None]:
    """Panels of `width` filters by tiles of a kind; `output` is nhwc_bf16 or planar float32.

    Parts share the panels or the groups of pixels. Each copies all lines, if they are to be copied.
    """
    is_float = output == "planar"
    multiply = panel_product(kind, width, is_float, bool(residuals))
    blocks_a_panel = max(width, LANES) // LANES
    result_bytes = BLOCK_BYTES * blocks_a_panel if is_float else 0
    tiles_down = 4 // blocks_a_panel
    places_a_group = tiles_down * LANES

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
        if p.phases and first < last and begin < end:
            read = results + p.panels * result_bytes
            copy_lines(p, source, read)
        for index in range(first, last):
            if begin < end:
                panel = panel_at(p.table + index * PANEL_WORDS)
                multiply(
                    read,
                    p.weights + panel.offset,
                    p.offsets + panel.first,
                    panel.steps,
                    p.starts + begin * tiles_down,
                    p.places + begin * places_a_group,
                    end - begin,
                    p.row_bytes,
                    p.configuration,
                    p.bias + index * blocks_a_panel,
                    p.mask + index * blocks_a_panel,
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
