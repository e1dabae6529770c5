"""Changes of layout, with the channels before or behind the pixels, and concatenation."""

from __future__ import annotations

from typing import Any

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.memory import blocks, clear, copy, floats, share
from columnar_nn.kernels.jitted.transpose import transpose
from columnar_nn.kernels.parameters import Blocks, Floats
from columnar_nn.kernels.reorder import PlacedChannels, PlacedRuns, Reorder


@inlined
def channel_of(image: Blocks, channel: int, pixels: int) -> Any:
    """A channel of the first pixel in nchw16c; those of the others follow LANES floats apart."""
    return floats(image + channel // LANES * pixels) + channel % LANES


@inlined
def copy_channel(target: Floats, target_step: int, source: Floats, step: int, pixels: int) -> None:
    """Copies the pixels of a channel, which lie some floats apart."""
    for pixel in range(pixels):
        target[pixel * target_step] = source[pixel * step]


def to_blocks(parameters: Reorder, source: Floats, target: Blocks, part: int, parts: int) -> None:
    """planar to nchw16c. Parts share the blocks."""
    channels, pixels = parameters.channels, parameters.pixels
    for b in share((channels + LANES - 1) // LANES, part, parts):
        lanes, done = min(LANES, channels - b * LANES), 0
        goal, planes = floats(target + b * pixels), source + b * LANES * pixels
        if lanes == LANES:
            done = pixels // LANES * LANES
            for first in range(pixels // LANES):
                transpose(goal + first * LANES * LANES, LANES, planes + first * LANES, pixels)
        else:
            clear(target + b * pixels, pixels)
        for lane in range(lanes):
            place, plane = goal + done * LANES + lane, planes + lane * pixels + done
            copy_channel(place, LANES, plane, 1, pixels - done)


def to_planes(parameters: Reorder, source: Blocks, target: Floats, part: int, parts: int) -> None:
    """nchw16c to planar. Parts share the blocks."""
    channels, pixels = parameters.channels, parameters.pixels
    for b in share((channels + LANES - 1) // LANES, part, parts):
        lanes, done = min(LANES, channels - b * LANES), 0
        start, planes = floats(source + b * pixels), target + b * LANES * pixels
        if lanes == LANES:
            done = pixels // LANES * LANES
            for first in range(pixels // LANES):
                transpose(planes + first * LANES, pixels, start + first * LANES * LANES, LANES)
        for lane in range(lanes):
            place, channel = planes + lane * pixels + done, start + done * LANES + lane
            copy_channel(place, 1, channel, LANES, pixels - done)


def to_pixels(parameters: Reorder, source: Blocks, target: Floats, part: int, parts: int) -> None:
    """nchw16c to planar pixels, each with its channels. Parts share the pixels."""
    channels, pixels = parameters.channels, parameters.pixels
    whole, rest = channels // LANES, channels % LANES
    for pixel in share(pixels, part, parts):
        goal, first = target + pixel * channels, source + pixel
        for b in range(whole):
            blocks(goal)[b] = first[b * pixels]
        if rest:
            copy(goal + whole * LANES, floats(first + whole * pixels), rest)


def of_pixels(parameters: Reorder, source: Floats, target: Blocks, part: int, parts: int) -> None:
    """Planar pixels, each with its channels, to nchw16c. Parts share the pixels."""
    channels, pixels = parameters.channels, parameters.pixels
    whole, rest = channels // LANES, channels % LANES
    for pixel in share(pixels, part, parts):
        line, first = source + pixel * channels, target + pixel
        for b in range(whole):
            first[b * pixels] = blocks(line)[b]
        if rest:
            last = first + whole * pixels
            clear(last, 1)
            copy(floats(last), line + whole * LANES, rest)


def place_channels(parameters: PlacedChannels, source: Blocks, target: Blocks, part: int) -> None:
    """Copies an nchw16c input to some of the output's channels. Part 0 does it all."""
    p = parameters
    if part != 0:
        return
    if p.first % LANES == 0 and (p.channels % LANES == 0 or p.is_last):
        num_blocks = (p.channels + LANES - 1) // LANES
        copy(target + p.first // LANES * p.pixels, source, num_blocks * p.pixels)
        return
    for channel in range(p.channels):
        copy_channel(
            channel_of(target, p.first + channel, p.pixels),
            LANES,
            channel_of(source, channel, p.pixels),
            LANES,
            p.pixels,
        )
    end = p.first + p.channels
    if p.is_last and end % LANES:
        goal = channel_of(target, end, p.pixels)
        for pixel in range(p.pixels):
            clear(goal + pixel * LANES, LANES - end % LANES)


def place_runs(
    parameters: PlacedRuns, source: Floats, target: Floats, part: int, parts: int
) -> None:
    """Copies the runs of an input to equal distances in the output. Parts share the runs."""
    p = parameters
    for run in share(p.runs, part, parts):
        copy(target + p.first + run * p.distance, source + run * p.length, p.length)
