"""Direct convolution: rows of output pixels, 16 or 32 filters at a time."""

from __future__ import annotations

from columnar_nn.kernels import host
from columnar_nn.kernels.emit import tile
from columnar_nn.kernels.emit.emitter import FLOAT, Emitter, Value
from columnar_nn.kernels.host import LANES


def copy_band(
    e: Emitter,
    source: Value,
    target: Value,
    planes: Value,
    size: tuple[Value, Value],
    pixel_bytes: int,
    first: Value,
    rows: Value,
    left: Value,
    padded_width: Value,
) -> None:
    """Copies `rows` rows of every plane from row `first` on, with zeros around the image."""
    height, width = size
    row_bytes = width * pixel_bytes
    padded_bytes = padded_width * pixel_bytes
    left_bytes = left * pixel_bytes
    right_bytes = padded_bytes - left_bytes - row_bytes
    with e.loop(planes) as plane, e.loop(rows) as row:
        place = target + (plane * rows + row) * padded_bytes
        y = first + row

        def inside(place: Value = place, y: Value = y, plane: Value = plane) -> None:
            e.clear(place, left_bytes)
            start = place + left_bytes
            e.copy(start, source + (plane * height + y) * row_bytes, row_bytes)
            e.clear(start + row_bytes, right_bytes)

        def outside(place: Value = place) -> None:
            e.clear(place, padded_bytes)

        e.either((y >= 0) & (y < height), inside, outside)


def _store_tile(
    e: Emitter,
    results: list[tuple[int, int, Value]],
    residual: Value,
    target: Value,
    block_bytes: Value,
    low: Value,
    high: Value,
) -> None:
    """Stores clamp(value + residual) at each block and displacement, residual 0 being none."""
    kept = [(block, place, e.variable(value)) for block, place, value in results]
    with e.when(residual.differs(0)):
        for block, place, slot in kept:
            value = slot.value
            slot.value = value + e.load(residual + block_bytes * block + place, value.type)
    for block, place, slot in kept:
        e.store(target + block_bytes * block + place, e.clamp(slot.value, low, high))


def convolve_tile(
    e: Emitter,
    kind: str,
    displacement: int,
    inner: int,
    plane_channels: int,
    blocks: int,
    pixels: Value,
    source: Value,
    filters: Value,
    loops: tile.Loops,
    bias: Value,
    residual: Value,
    target: Value,
    block_bytes: Value,
    bounds: Value,
    owned: Value,
) -> None:
    """output = clamp(bias + sum + residual) for pixels 64 bytes apart in output and residual,
    `displacement` in the input.

    kind "channels" sums over `inner` consecutive channels in each step and gives `blocks` times
    16 filters, `block_bytes` apart; "lanes" multiplies 16 channels by a weight each (depthwise)
    and gives these channels; "sum" does the same and sums the channels too: one filter, one float
    of output. "groups" is "channels" where filters of several groups, or channels of others, meet
    in a block. There a filter's weights of foreign channels are zero, which makes NaN of those
    that are not finite: a tile with NaN is summed again from each filter's own channels, `owned`.
    """
    low, high = e.load(bounds, FLOAT), e.load(bounds + 4, FLOAT)
    if kind != "sum":
        low, high = e.splat(low, e.width), e.splat(high, e.width)

    def emit(size: int) -> None:
        row = tile.load_row(e, bias, LANES * blocks) if kind != "sum" else []
        zeros = [e.constant(e.vector, 0.0)] * (LANES // e.width)
        sums = tile.tile_of(e, size, row or zeros)
        if kind in ("channels", "groups"):
            tile.add_channels(e, sums, displacement, inner, source, filters, loops)
        else:
            tile.add_lanes(e, sums, displacement, source, filters, loops)
        if kind == "groups":
            with e.when(tile.holds_nan(e, sums), likely=False):
                for slots in sums:
                    for slot, value in zip(slots, row, strict=True):
                        slot.value = value
                tile.add_own_channels(
                    e, sums, displacement, inner, plane_channels, source, filters, loops, owned
                )
        values = tile.values(sums)
        if kind == "sum":
            constant = e.load(bias, FLOAT)
            values = [[tile.sum_of_lanes(e, parts) + constant] for parts in values]
        _store_tile(e, tile.placed(e, values), residual, target, block_bytes, low, high)

    e.switch(pixels, tile.sizes(), emit)


def _share(
    e: Emitter, kind: str, rows: Value, panels: Value, part: Value, parts: Value
) -> tuple[tuple[Value, Value], tuple[Value, Value]]:
    """The rows and the panels of filters of a part: see `Emitter.share_either`.

    Kind "sum" clears, and "lanes" copies with its band, the planes of several filters.
    """
    fewest = 8 if kind in ("channels", "groups") else 0
    by_rows = (rows >= parts * fewest) | (panels < parts)
    return e.share_either(by_rows, rows, panels, part, parts)


def convolve(
    e: Emitter,
    parameters: Value,
    source: Value,
    residual: Value,
    target: Value,
    scratch: Value,
    part: Value,
    parts: Value,
    kind: str,
    pixel_bytes: int,
    inner: int,
    stride_x: int,
    blocks: int,
) -> None:
    """A kind of tile over the rows of an output whose input is nchw16c (64 bytes a pixel, inner
    16) or planar (4 bytes, inner 1 or the filter's width). A panel is the filters of a tile:
    `blocks` blocks of 16, with kind "sum" a single one. Parts share the rows or, of a low image,
    the panels, which then are read once. The parameters are those of `kernels.direct.bind`.
    """
    (
        panels,
        rows,
        row_pixels,
        total_pixels,
        in_height,
        in_width,
        in_planes,
        stride_y,
        pad_top,
        pad_left,
        padded_width,
        band_rows,
        filter_height,
        filter_width,
        dilation_y,
        dilation_x,
        in_row_bytes,
        filters,
        bias,
        bounds,
        out_block_bytes,
        bias_block_bytes,
        groups,
        ragged_mask,
        owned,
    ) = e.load_words(parameters, 25)

    band = e.variable(source)
    line_bytes = e.variable(in_width * pixel_bytes)
    plane_bytes = e.variable(in_height * in_width * pixel_bytes)
    row_bytes = e.variable(in_row_bytes)
    (start, last), mine = _share(e, kind, rows, panels, part, parts)
    first = e.variable(start)
    with e.loop_while(lambda: first.value < last):
        count = e.least(band_rows, last - first.value)

        def pad(count: Value = count) -> None:
            height = (count - 1) * stride_y + (filter_height - 1) * dilation_y + 1
            y = first.value * stride_y - pad_top
            size = (in_height, in_width)
            copy_band(
                e, source, scratch, in_planes, size, pixel_bytes, y, height, pad_left, padded_width
            )
            band.value = scratch
            line_bytes.value = padded_width * pixel_bytes
            plane_bytes.value = height * padded_width * pixel_bytes
            row_bytes.value = stride_y * padded_width * pixel_bytes

        def read_in_place() -> None:
            band.value = source + first.value * in_row_bytes

        e.either(padded_width.differs(0), pad, read_in_place)
        loop_bytes = (plane_bytes.value, line_bytes.value * dilation_y, dilation_x * pixel_bytes)
        with e.loop(mine[1], mine[0]) as panel:
            group = groups + panel * 24
            planes = e.load_word(group, 1)
            weights = filters + e.load_word(group, 2)
            block_start = band.value + e.load_word(group) * plane_bytes.value
            with e.loop(count) as row:
                out_pixel = (first.value + row) * row_pixels
                pixels = e.least(row_pixels, total_pixels - out_pixel)
                out = e.variable(panel * blocks * out_block_bytes + out_pixel * 64)
                if kind == "sum":
                    with e.when(panel.equals(0)):
                        e.clear(target + out.value, pixels * 64)
                here = e.variable(block_start + row * row_bytes.value)
                tiles = (pixels + (host.tile_pixels() - 1)) // host.tile_pixels()
                smaller = pixels // tiles
                larger = pixels - smaller * tiles  # tiles that take one pixel more
                with e.loop(tiles) as index:
                    taken = smaller + (index < larger).select(e.word(1), e.word(0))
                    more = residual.differs(0).select(residual + out.value, residual)
                    counts = (planes, filter_height, filter_width)
                    convolve_tile(
                        e,
                        kind,
                        pixel_bytes * stride_x,
                        inner,
                        pixel_bytes // 4,
                        blocks,
                        taken,
                        here.value,
                        weights,
                        tuple(zip(counts, loop_bytes, strict=True)),
                        bias + panel * blocks * bias_block_bytes,
                        more,
                        target + out.value,
                        out_block_bytes,
                        bounds,
                        owned + panel * (2 * 4 * LANES),
                    )
                    here.value = here.value + taken * (pixel_bytes * stride_x)
                    out.value = out.value + taken * 64
                with e.when(ragged_mask.differs(0) & (panel + 1).equals(panels)):
                    place = target + out.value + out_block_bytes * (blocks - 1) - pixels * 64
                    tile.clear_lanes(e, place, pixels, ragged_mask)
        first.value = first.value + count
