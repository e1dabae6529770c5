"""kernels/bottleneck.py: as its convolutions one by one, and as the reference."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from kernels.convolutions import RELU6
from kernels.images import error, normal, run, stored

from columnar_nn.errors import InvalidModelError
from columnar_nn.functions import activations
from columnar_nn.kernels import (
    NO_ACTIVATION,
    RELU,
    Activation,
    Layout,
    Program,
    PythonFunction,
    Step,
    bottleneck,
    depthwise,
    direct,
)
from columnar_nn.kernels.bottleneck import Stages
from columnar_nn.kernels.convolution import Convolution, resolve
from reference.conv import conv

SIGMOID = Activation(function=PythonFunction("sigmoid", activations.sigmoid))
"""Not zero at zero, as the lanes past the last channel have to be."""


class Block(NamedTuple):
    """A bottleneck; no channels of an expansion or a projection mean that there is none."""

    channels: int
    expanded: int
    filters: int
    size: tuple[int, int]
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    activation: Activation = RELU6
    residual: bool = False

    def __str__(self) -> str:
        channels = f"{self.channels}-{self.expanded}-{self.filters}"
        return f"{channels} of {self.size} by {self.kernel}"

    def stages(self) -> Stages:
        """Its convolutions."""

        def layer(
            given: Layout, shape: tuple[int, ...], applied: Activation, residual: bool = False
        ) -> Convolution:
            is_middle = shape[1] == 1
            return resolve(
                given,
                normal(shape[0], *shape) / np.float32(np.prod(shape[1:]) ** 0.5),
                normal(1, shape[0]),
                self.strides if is_middle else (1, 1),
                self.pads if is_middle else (0, 0, 0, 0),
                (1, 1),
                shape[0] if is_middle else 1,
                applied,
                residual,
            )

        given = Layout("nchw16c", (self.channels or self.expanded, *self.size))
        expand = None
        if self.channels:
            expand = layer(given, (self.expanded, self.channels, 1, 1), self.activation)
            given = expand.output
        middle = layer(given, (self.expanded, 1, *self.kernel), self.activation)
        if not self.filters:
            return Stages(expand, middle.replaced(residual=self.residual), None)
        weights = (self.filters, self.expanded, 1, 1)
        return Stages(expand, middle, layer(middle.output, weights, NO_ACTIVATION, self.residual))


BLOCKS = (
    Block(24, 40, 24, (7, 9), residual=True),
    Block(16, 96, 20, (12, 31), strides=(2, 2)),
    Block(20, 48, 0, (9, 15), (5, 5), pads=(2, 2, 2, 2), activation=SIGMOID, residual=True),
    Block(0, 33, 24, (8, 23), activation=SIGMOID),
    Block(17, 17, 17, (5, 6), (2, 3), (2, 1), (0, 1, 0, 1), activation=RELU),
    Block(32, 64, 32, (14, 14), (7, 7), (1, 1), (3, 3, 3, 3), activation=RELU),
)


def inputs_of(stages: Stages) -> list[np.ndarray]:
    kernel = bottleneck.bind(stages)
    return [normal(9, 2, *layout.shape) for layout in kernel.input_layouts]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_it_gives_what_its_convolutions_give_one_by_one(block: Block) -> None:
    stages = block.stages()
    image, *residual = inputs_of(stages)
    between = image
    for stage in stages.present:
        tiles = depthwise.tiling(stage)
        kernel = direct.bind(stage) if tiles is None else depthwise.bind(stage, tiles)
        between = run(kernel, between, *(residual if stage.residual else ()))
    actual = run(bottleneck.bind(stages), image, *residual)
    np.testing.assert_array_equal(actual.view(np.uint32), between.view(np.uint32))


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.activation is not SIGMOID], ids=str)
def test_it_agrees_with_the_reference(block: Block) -> None:
    stages = block.stages()
    image, *residual = inputs_of(stages)
    expected = image.astype(np.float64)
    for stage in stages.present:
        expected = conv(
            expected,
            stage.weight.astype(np.float64),
            stage.bias.astype(np.float64),
            strides=stage.strides,
            pads=stage.pads,
            group=stage.groups,
        )
        if stage.residual:
            expected = expected + residual[0]
        expected = np.clip(expected, stage.activation.low, stage.activation.high)
    assert error(run(bottleneck.bind(stages), image, *residual), expected) < 1e-5


@pytest.mark.parametrize("block", BLOCKS[:4], ids=str)
@pytest.mark.parametrize("parts", [2, 3, 9])
def test_parts_together_do_all_of_it(block: Block, parts: int) -> None:
    kernel = bottleneck.bind(block.stages())
    inputs = inputs_of(block.stages())
    arrays = [
        stored(given[:1], layout)
        for given, layout in zip(inputs, kernel.input_layouts, strict=True)
    ]
    numbers = tuple(range(len(arrays)))
    program = Program((Step(kernel, numbers, len(arrays)),), numbers, (len(arrays),))
    whole, shared = (
        np.full((1, kernel.output_layout.num_items), np.nan, np.float32) for _ in range(2)
    )
    program.run(arrays, [whole])
    scratch = np.full(kernel.scratch_floats + 32, np.nan, np.float32)
    second = arrays[1].ctypes.data if len(arrays) > 1 else 0
    for part in range(parts):
        kernel.function.run(
            kernel.words.ctypes.data,
            arrays[0].ctypes.data,
            second,
            shared.ctypes.data,
            scratch.ctypes.data + 64,
            part,
            parts,
            *(1, 0, 0, 0),  # of one image
        )
    np.testing.assert_array_equal(shared, whole)


def test_what_it_is_no_kernel_for_is_refused() -> None:
    stages = BLOCKS[0].stages()
    assert not bottleneck.applies(Stages(None, stages.depthwise, None))
    with pytest.raises(InvalidModelError, match="beside 1x1"):
        bottleneck.bind(Stages(None, stages.depthwise, None))
    assert not bottleneck.pays(stages)
    large = Block(16, 96, 24, (112, 112)).stages()
    assert bottleneck.pays(large)
