"""kernels/bfloat16_bottleneck.py against convolutions in float64 of operands that are rounded."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.images import error, narrow, normal, run, stored
from kernels.test_bottleneck import BLOCKS, SIGMOID, Block

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels import BoundKernel, bfloat16, bfloat16_bottleneck, host
from columnar_nn.kernels.bottleneck import Stages
from columnar_nn.kernels.parameters import address
from columnar_nn.kernels.tables import SPOILED_BYTES
from reference.conv import conv

NARROW = (
    *BLOCKS[:2],
    BLOCKS[2]._replace(residual=False),
    BLOCKS[3],
    Block(40, 56, 33, (7, 7), (5, 5), (2, 2), (2, 2, 2, 2)),
)

KINDS = [(block, host.has_bfloat16()) for block in NARROW]
"""With whether pairs are multiplied by the processor's own instruction."""

if host.has_bfloat16():
    KINDS += [(NARROW[0], False), (NARROW[2], False)]


def truth(stages: Stages, image: np.ndarray, residual: np.ndarray | None) -> np.ndarray:
    """What comes of it where only the factors of the 1x1 convolutions are rounded."""
    value = narrow(image).astype(np.float64)
    for stage in stages.present:
        weight, is_middle = stage.weight, stage is stages.depthwise
        if not is_middle:
            weight, value = narrow(weight), narrow(value.astype(np.float32)).astype(np.float64)
        window = {"strides": stage.strides, "pads": stage.pads, "group": stage.groups}
        value = conv(value, weight.astype(np.float64), stage.bias.astype(np.float64), **window)
        if stage.residual:
            assert residual is not None
            value = value + narrow(residual)
        if stage.activation.function is None:
            value = np.clip(value, stage.activation.low, stage.activation.high)
        else:
            value = 1 / (1 + np.exp(-value))
    return value


def inputs_of(kernel: BoundKernel) -> list[np.ndarray]:
    return [normal(9 + index, 2, *x.shape) for index, x in enumerate(kernel.input_layouts)]


@pytest.mark.parametrize(("block", "by_instruction"), KINDS, ids=str)
def test_it_is_its_convolutions_of_rounded_operands(block: Block, by_instruction: bool) -> None:
    """Sums of another order may round the other way before they are projected."""
    stages = block.stages()
    kernel = bfloat16_bottleneck.bind(stages, by_instruction)
    image, *residual = inputs_of(kernel)
    actual = run(kernel, image, *residual)
    expected = truth(stages, image, residual[0] if residual else None)
    assert error(actual, expected) < (2.0**-8 if stages.project else 1e-5)


@pytest.mark.parametrize("block", [NARROW[0], NARROW[2], NARROW[3]], ids=str)
def test_parts_together_do_all_of_it(block: Block) -> None:
    kernel = bfloat16_bottleneck.bind(block.stages(), host.has_bfloat16())
    inputs = inputs_of(kernel)
    arrays = [stored(x[:1], layout) for x, layout in zip(inputs, kernel.input_layouts, strict=True)]
    outputs = []
    for parts in (1, 3):
        output = np.zeros((1, kernel.output_layout.num_items), kernel.output_layout.dtype)
        scratch = np.full(SPOILED_BYTES // 4 + kernel.scratch_floats, np.nan, np.float32)
        given = [address(arrays[0]), address(arrays[1]) if len(arrays) > 1 else 0, address(output)]
        for part in range(parts):
            kernel.function.run(
                *(address(kernel.words), *given, address(scratch) + SPOILED_BYTES, part, parts),
                *(1, 0, 0, 0),  # of one image
            )
        outputs.append(output)
    np.testing.assert_array_equal(*outputs)


def test_what_it_is_no_kernel_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = BLOCKS[0].stages()
    assert stages.project is not None
    for other in (
        Stages(None, stages.depthwise, None),
        BLOCKS[2].stages(),  # a residual without a projection
        stages._replace(project=stages.project.replaced(activation=SIGMOID)),
        Block(4, 40, 24, (7, 9)).stages(),  # pixels of no whole block
    ):
        assert not bfloat16_bottleneck.applies(other)
        with pytest.raises(InvalidModelError, match="beside 1x1"):
            bfloat16_bottleneck.bind(other, by_instruction=False)
    for kind, pays in (("amx", False), ("vectors", True), ("emulated", True)):
        monkeypatch.setattr(bfloat16, "tile_kind", lambda kind=kind: kind)
        assert bfloat16_bottleneck.pays(stages) == pays
