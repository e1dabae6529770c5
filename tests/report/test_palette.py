"""Colours can be told apart by colour-blind readers, on light and on dark pages.

Colour blindness as in Machado, Oliveira, Fernandes (2009), severity 1; distances in CIELAB.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from bench.report import palette

SIMULATIONS = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
ENGINES = (
    *("columnar:pipeline/auto", "onnxruntime:default", "openvino:float32", "pytorch:eager"),
    *("tensorflow:function", "velox:winograd", "reference:float64"),
)
TOLD_APART, SEEN = 10, 2.2
"""Least distance in CIELAB (2 is just noticeable), and least contrast with the page."""


def linear(colour: str) -> npt.NDArray[np.float64]:
    values = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    ratio = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("sight", SIMULATIONS)
@pytest.mark.parametrize("dark", [False, True])
def test_backends_are_told_apart(sight: str, dark: bool) -> None:
    colours = [look.colour for look in palette.looks(ENGINES).values()]
    shown = [palette.DARK[colour] if dark else colour for colour in colours]
    seen = [lab(np.array(SIMULATIONS[sight]) @ linear(colour)) for colour in shown]
    for one, other in itertools.combinations(range(len(ENGINES)), 2):
        distance = float(np.linalg.norm(seen[one] - seen[other]))
        assert distance > TOLD_APART, f"{ENGINES[one]} and {ENGINES[other]}: {distance:.1f}"


@pytest.mark.parametrize("dark", [False, True])
def test_everything_stands_out_from_the_page(dark: bool) -> None:
    page = palette.DARK[palette.PAPER] if dark else palette.PAPER
    for light, other in palette.DARK.items():
        if light not in (palette.PAPER, palette.FAINT):
            assert contrast(other if dark else light, page) > SEEN, light
    for text in (palette.INK, palette.SOFT):
        assert contrast(palette.DARK[text] if dark else text, page) > 4.5


def test_no_two_engines_look_alike() -> None:
    engines = [*ENGINES, "columnar:none/auto", "pytorch:torchscript", "tensorflow:xla", "my.Own:x"]
    found = palette.looks(engines)
    assert len({(look.colour, look.mark) for look in found.values()}) == len(engines)
    assert found["columnar:none/auto"].colour == found["columnar:pipeline/auto"].colour
    assert found["columnar:none/auto"].dash != found["columnar:pipeline/auto"].dash
