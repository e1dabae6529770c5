"""Changes of layout, and concatenation."""

from __future__ import annotations

from columnar_nn.kernels.emit.emitter import FLOAT, Emitter, Value
from columnar_nn.kernels.host import LANES


def _lane_address(start: Value, channel: Value, pixels: Value) -> Value:
    """Address of a channel of the first pixel in nchw16c."""
    return start + channel // LANES * pixels * 64 + channel % LANES * 4


def to_blocks(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    _scratch: Value,
    part: Value,
    parts: Value,
) -> None:
    """planar to nchw16c. Parameters: channels, pixels. Parts share the blocks."""
    channels, pixels = e.load_words(parameters, 2)
    first, last = e.share((channels + (LANES - 1)) // LANES, part, parts)
    with e.loop(last, first) as block:
        start = target + block * pixels * 64
        lanes = e.least(e.word(LANES), channels - block * LANES)
        with e.when(lanes < LANES):
            e.clear(start, pixels * 64)
        with e.loop(lanes) as lane:
            plane = source + (block * LANES + lane) * pixels * 4
            with e.loop(pixels) as pixel:
                value = e.load(plane + pixel * 4, FLOAT)
                e.store(start + pixel * 64 + lane * 4, value)


def to_planes(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    _scratch: Value,
    part: Value,
    parts: Value,
) -> None:
    """nchw16c to planar. Parameters: channels, pixels. Parts share the channels."""
    channels, pixels = e.load_words(parameters, 2)
    first, last = e.share(channels, part, parts)
    with e.loop(last, first) as channel:
        start = _lane_address(source, channel, pixels)
        plane = target + channel * pixels * 4
        with e.loop(pixels) as pixel:
            e.store(plane + pixel * 4, e.load(start + pixel * 64, FLOAT))


def place_channels(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    _scratch: Value,
    part: Value,
    _parts: Value,
) -> None:
    """Copies an nchw16c input to the output's channels from `first` on. Part 0 does it all.

    Parameters: channels, pixels, first, whether the input is the last, which clears the lanes
    past its last channel.
    """
    channels, pixels, first, is_last = e.load_words(parameters, 4)
    whole = (first % LANES).equals(0) & ((channels % LANES).equals(0) | is_last.differs(0))

    def copy_blocks() -> None:
        num_bytes = (channels + (LANES - 1)) // LANES * pixels * 64
        e.copy(_lane_address(target, first, pixels), source, num_bytes)

    def copy_lanes() -> None:
        with e.loop(channels) as channel:
            origin = _lane_address(source, channel, pixels)
            goal = _lane_address(target, first + channel, pixels)
            with e.loop(pixels) as pixel:
                e.store(goal + pixel * 64, e.load(origin + pixel * 64, FLOAT))
        end = first + channels
        used = end % LANES
        with e.when(is_last.differs(0) & used.differs(0)), e.loop(pixels) as pixel:
            start = _lane_address(target, end, pixels) + pixel * 64
            e.clear(start, (e.word(LANES) - used) * 4)

    with e.when(part.equals(0)):
        e.either(whole, copy_blocks, copy_lanes)


def place_runs(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    _scratch: Value,
    part: Value,
    parts: Value,
) -> None:
    """Copies the runs of an input to equal distances in the output. Parts share the runs.

    Parameters: runs, bytes in each, distance of their places in the output, the first place.
    """
    runs, num_bytes, distance, first = e.load_words(parameters, 4)
    begin, end = e.share(runs, part, parts)
    with e.loop(end, begin) as run:
        e.copy(target + first + run * distance, source + run * num_bytes, num_bytes)
