"""Random layers in bfloat16: AMX's instructions, tiles that emulate them, and NumPy agree."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from closeness import assert_close
from kernels import trapped_amx
from kernels.convolutions import RELU6, Case, in_bfloat16
from kernels.images import run

from columnar_nn.kernels import NO_ACTIVATION, RELU

SIZES = (1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 31, 33)
CHANNELS = (1, 2, 3, 4, 5, 8, 15, 16, 17, 24, 32, 33, 40, 64, 70)


def check(seed: int, folder: Path) -> str:
    """What is wrong with the layer of a seed, or nothing; the layer itself says all."""
    del folder
    case = case_of(seed)
    _, inputs, expected = in_bfloat16(case)
    emulated = run(trapped_amx.made_for("emulated", lambda: in_bfloat16(case)[0]), *inputs)
    try:
        assert_close(emulated, expected, rtol=2.0**-8, atol=1e-5 * float(np.abs(expected).max()))
    except AssertionError as error:
        return f"{case}: emulated tiles differ from NumPy: {error}"
    if not trapped_amx.is_possible():
        return ""
    with trapped_amx.installed() as unit:
        actual = run(trapped_amx.made_for("amx", lambda: in_bfloat16(case)[0]), *inputs)
        if misused := unit.misused():
            return f"{case}: misuse of AMX: {misused}"
    return "" if np.array_equal(actual, emulated) else f"{case}: AMX differs from emulated tiles"


def case_of(seed: int) -> Case:
    """The layer of a seed."""
    chance = random.Random(seed)
    groups = chance.choice((1, 1, 1, 2, 3, 8))
    channels, filters = (groups * chance.choice(CHANNELS[: 15 // groups + 3]) for _ in range(2))
    taps = chance.randint(1, 5), chance.randint(1, 5)
    dilations = chance.choice(((1, 1), (1, 1), (1, 2), (2, 3)))
    extents = [(tap - 1) * dilation + 1 for tap, dilation in zip(taps, dilations, strict=True)]
    pads = tuple(chance.randint(0, tap - 1) for tap in (*taps, *taps))
    size = tuple(
        max(chance.choice(SIZES), extent - pads[axis] - pads[axis + 2])
        for axis, extent in enumerate(extents)
    )
    return Case(
        channels,
        filters,
        (size[0], size[1]),
        taps,
        (chance.randint(1, 3), chance.randint(1, 3)),
        (pads[0], pads[1], pads[2], pads[3]),
        dilations,
        groups,
        chance.choice((NO_ACTIVATION, RELU, RELU6)),
        chance.random() < 0.5,
    )
