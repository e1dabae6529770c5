"""The textbook's loops called with arrays, as a reader would, and as Python."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from closeness import assert_close
from kernels.images import normal

from columnar_nn.kernels import Layout, conv2d
from columnar_nn.kernels.jitted.textbook import convolve
from reference.conv import conv

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("function", [convolve, convolve.py_func], ids=["jitted", "Python"])
def test_arrays_are_convolved(function) -> None:
    image, filters, bias = normal(1, 3, 7, 8), normal(2, 4, 3, 3, 2), normal(3, 4)
    expected = conv(
        *(array.astype(np.float64) for array in (image[None], filters, bias)),
        strides=(2, 1),
        pads=(1, 0, 2, 1),
        dilations=(1, 2),
        group=1,
    )[0]
    output = np.full(expected.shape, np.nan, np.float32)
    function(image, filters, bias, (2, 1), (1, 0), (1, 2), output)
    assert_close(output, expected.astype(np.float32), rtol=0, atol=1e-5)


def test_only_products_inside_of_the_image_are_counted() -> None:
    weight = np.ones((2, 3, 3, 3), np.float32)
    kernel = conv2d(Layout("planar", (3, 4, 5)), weight, pads=(1, 1, 1, 1), algorithm="textbook")
    ones = np.ones((1, 3, 4, 5))
    seen = conv(ones, weight, strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1), group=1)
    assert kernel.multiply_adds == seen.sum()


def test_the_page_shows_the_loops_as_they_are() -> None:
    page = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
    (listing,) = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    source = ROOT / "columnar_nn" / "kernels" / "jitted" / "textbook.py"
    assert listing in source.read_text(encoding="utf-8")
